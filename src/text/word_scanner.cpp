// One function for each family of patterns, over a table of four classes of characters.
#include "text/word_scanner.h"

#include <array>
#include <limits>
#include <vector>

#include "text/unicode.h"
#include "text/utf8.h"

namespace millrace {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Around the digits, which are the only difference in the family.
constexpr std::string_view kCl100kStart =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
constexpr std::string_view kCl100kEnd = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

enum class Kind : std::uint8_t { kLetter, kNumber, kSpace, kOther };

Kind find_kind(char32_t c) {
  if (is_letter(c)) return Kind::kLetter;
  if (is_numeric(c)) return Kind::kNumber;
  return is_whitespace(c) ? Kind::kSpace : Kind::kOther;
}

// The kinds of the first 2^16 characters, which are nearly all of any text.
const std::vector<Kind>& basic_kinds() {
  constexpr char32_t kNumBasic = 0x10000;
  static const std::vector<Kind> kinds = [] {
    std::vector<Kind> made(kNumBasic);
    for (char32_t c = 0; c < kNumBasic; ++c) made[c] = find_kind(c);
    return made;
  }();
  return kinds;
}

struct Character {
  char32_t code_point = 0;
  std::uint32_t num_bytes = 0;
  Kind kind = Kind::kOther;
};

// Walks over valid UTF-8.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), kinds_(basic_kinds().data()) {}

  std::size_t size() const { return text_.size(); }
  char byte(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  Character at(std::size_t at) const {
    const auto lead = static_cast<std::uint8_t>(text_[at]);
    if (lead < 0x80) return {lead, 1, kinds_[lead]};
    const auto next = [&](std::size_t i) -> char32_t {
      return static_cast<std::uint8_t>(text_[at + i]) & 0x3F;
    };
    if (lead < 0xE0) {
      const char32_t c = (lead & 0x1Fu) << 6 | next(1);
      return {c, 2, kinds_[c]};
    }
    if (lead < 0xF0) {
      const char32_t c = (lead & 0x0Fu) << 12 | next(1) << 6 | next(2);
      return {c, 3, kinds_[c]};
    }
    const char32_t c = (lead & 0x07u) << 18 | next(1) << 12 | next(2) << 6 | next(3);
    return {c, 4, find_kind(c)};
  }

  bool is(std::size_t at_byte, Kind kind) const {
    return at_byte < text_.size() && at(at_byte).kind == kind;
  }

  // The end of the run of up to `max` characters of a kind from `begin` on.
  std::size_t run_end(std::size_t begin, Kind kind, std::size_t max = kNoLimit) const {
    for (std::size_t n = 0; n < max && begin < text_.size(); ++n) {
      const Character character = at(begin);
      if (character.kind != kind) break;
      begin += character.num_bytes;
    }
    return begin;
  }

 private:
  std::string_view text_;
  const Kind* kinds_;
};

constexpr bool is_newline(char c) {
  return c == '\r' || c == '\n';
}

enum class Case : std::uint8_t { kMatters, kIgnored };

// The end of 's, 't, 're, 've, 'm, 'll or 'd at an apostrophe; `begin` when none is there.
std::size_t contraction_end(const Reader& text, std::size_t begin, Case letter_case) {
  const auto letter = [&](std::size_t at) {
    const char c = text.byte(at);
    return letter_case == Case::kIgnored && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a')
                                                                 : c;
  };
  const char first = letter(begin + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return begin + 2;
  const char second = letter(begin + 2);
  const bool is_long =
      ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  if (is_long) return begin + 3;
  // The long s is an s to those who ignore case.
  const bool is_long_s = letter_case == Case::kIgnored && first == '\xC5' && second == '\xBF';
  return is_long_s ? begin + 3 : begin;
}

// \s+(?!\S)|\s+ : a run of white space that something follows leaves it its last character.
std::size_t space_end(const Reader& text, std::size_t begin) {
  std::size_t last = begin;
  std::size_t at = begin;
  while (at < text.size()) {
    const Character character = text.at(at);
    if (character.kind != Kind::kSpace) break;
    last = at;
    at += character.num_bytes;
  }
  return at < text.size() && last > begin ? last : at;
}

}  // namespace

std::optional<WordScanner> WordScanner::for_pattern(std::string_view pattern) {
  if (!require_unicode_tables("words").ok()) return std::nullopt;
  if (pattern == kGpt2) return WordScanner(Family::kGpt2, kNoLimit);
  if (!pattern.starts_with(kCl100kStart) || !pattern.ends_with(kCl100kEnd)) return std::nullopt;
  if (pattern.size() < kCl100kStart.size() + kCl100kEnd.size()) return std::nullopt;
  pattern.remove_prefix(kCl100kStart.size());
  pattern.remove_suffix(kCl100kEnd.size());
  if (pattern.empty()) return WordScanner(Family::kCl100k, 1);
  if (pattern == "{1,3}") return WordScanner(Family::kCl100k, 3);
  if (pattern == "+") return WordScanner(Family::kCl100k, kNoLimit);
  return std::nullopt;
}

std::size_t WordScanner::word_end(std::string_view text, std::size_t begin) const {
  return family_ == Family::kGpt2 ? gpt2_end(text, begin) : cl100k_end(text, begin);
}

std::size_t WordScanner::gpt2_end(std::string_view bytes, std::size_t begin) const {
  const Reader text(bytes);
  if (bytes[begin] == '\'') {
    const std::size_t end = contraction_end(text, begin, Case::kMatters);
    if (end != begin) return end;
  }
  const bool has_space = bytes[begin] == ' ' && begin + 1 < bytes.size();
  const std::size_t first = has_space ? begin + 1 : begin;
  const Kind kind = text.at(first).kind;
  if (kind != Kind::kSpace) return text.run_end(first, kind);
  return space_end(text, begin);
}

std::size_t WordScanner::cl100k_end(std::string_view bytes, std::size_t begin) const {
  const Reader text(bytes);
  if (bytes[begin] == '\'') {
    const std::size_t end = contraction_end(text, begin, Case::kIgnored);
    if (end != begin) return end;
  }
  const Character first = text.at(begin);
  if (first.kind == Kind::kLetter) return text.run_end(begin, Kind::kLetter);
  if (first.kind == Kind::kNumber) return text.run_end(begin, Kind::kNumber, digits_max_);
  const std::size_t second = begin + first.num_bytes;
  if (!is_newline(bytes[begin]) && text.is(second, Kind::kLetter)) {
    return text.run_end(second, Kind::kLetter);
  }
  const std::size_t symbols = bytes[begin] == ' ' ? second : begin;
  if (text.is(symbols, Kind::kOther)) {
    std::size_t end = text.run_end(symbols, Kind::kOther);
    while (is_newline(text.byte(end))) ++end;
    return end;
  }
  // White space up to its last line break.
  const std::size_t end = text.run_end(begin, Kind::kSpace);
  for (std::size_t at = end; at > begin; --at) {
    if (is_newline(bytes[at - 1])) return at;
  }
  return space_end(text, begin);
}

}  // namespace millrace
