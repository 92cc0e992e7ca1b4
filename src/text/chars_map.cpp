// A walk down the double array, with its indices checked against the file's size.
#include "text/chars_map.h"

#include "text/unicode.h"
#include "text/utf8.h"

namespace millrace {
namespace {

std::uint32_t read_u32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < sizeof(value); ++i) {
    value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i])) << (8 * i);
  }
  return value;
}

// The longest in published maps is 33 bytes (U+FDFA); longer ones would be a bomb.
constexpr std::size_t kReplacementBytesMax = 256;

constexpr std::uint32_t unit_offset(std::uint32_t unit) {
  return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}
constexpr bool unit_has_leaf(std::uint32_t unit) {
  return ((unit >> 8) & 1) != 0;
}
// A leaf's label has the high bit set, so that no byte equals it.
constexpr std::uint32_t unit_label(std::uint32_t unit) {
  return unit & ((1u << 31) | 0xFF);
}
constexpr std::uint32_t unit_value(std::uint32_t unit) {
  return unit & ((1u << 31) - 1);
}

}  // namespace

Result<CharsMap> CharsMap::create(std::string_view bytes, CharsMapMatch match) {
  constexpr std::size_t kUnitBytes = sizeof(std::uint32_t);
  if (bytes.size() < kUnitBytes) {
    return Error{ErrorCode::kCorruptData, "character map of " + std::to_string(bytes.size()) +
                                              " bytes has no length of its trie"};
  }
  const std::uint32_t trie_bytes = read_u32(bytes);
  bytes.remove_prefix(kUnitBytes);
  if (trie_bytes > bytes.size() || trie_bytes % kUnitBytes != 0 || trie_bytes == 0) {
    return Error{ErrorCode::kCorruptData, "character map: a trie of " + std::to_string(trie_bytes) +
                                              " bytes in " + std::to_string(bytes.size())};
  }
  CharsMap map;
  map.match_ = match;
  for (std::size_t i = 0; i < trie_bytes; i += kUnitBytes) {
    map.units_.push_back(read_u32(bytes.substr(i)));
  }
  map.replacements_ = bytes.substr(trie_bytes);
  if (!map.replacements_.empty() && map.replacements_.back() != '\0') {
    return Error{ErrorCode::kCorruptData, "character map: its last replacement has no end"};
  }
  if (find_invalid_utf8(map.replacements_)) {
    return Error{ErrorCode::kCorruptData, "character map: a replacement is not UTF-8"};
  }
  return map;
}

CharsMap::Match CharsMap::find_match(std::string_view text, Length length) const {
  Match match;
  std::size_t at = unit_offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || unit_label(units_[at]) != byte) break;
    const std::uint32_t unit = units_[at];
    at ^= unit_offset(unit);
    if (!unit_has_leaf(unit)) continue;
    if (at >= units_.size()) break;
    const std::uint32_t offset = unit_value(units_[at]);
    if (offset >= replacements_.size()) break;
    const std::string_view tail = std::string_view(replacements_).substr(offset);
    const std::string_view replacement = tail.substr(0, tail.find('\0'));
    if (replacement.size() <= kReplacementBytesMax) match = {i + 1, replacement};
    if (length == Length::kShortest) break;
  }
  return match;
}

Status CharsMap::keep(std::string_view text) {
  return kept_.add(AddedToken(), text);
}

std::string CharsMap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  std::vector<TextSection> sections;
  kept_.cut(text, ParseSpecial::kYes, sections);
  for (const TextSection& section : sections) {
    if (section.token) {
      out.append(section.text);
    } else if (match_ == CharsMapMatch::kLongest) {
      apply_longest(section.text, out);
    } else {
      apply_by_grapheme(section.text, out);
    }
  }
  return out;
}

void CharsMap::apply_longest(std::string_view text, std::string& out) const {
  while (!text.empty()) {
    Match match = find_match(text, Length::kLongest);
    // A match that ends inside a character, or a replacement that begins in one, is the file's
    // mistake; the character then stays.
    const bool whole = match.num_bytes > 0 && !find_invalid_utf8(text.substr(0, match.num_bytes)) &&
                       !find_invalid_utf8(match.replacement);
    if (!whole) {
      match.num_bytes = decode_utf8(text).num_bytes;
      match.replacement = text.substr(0, match.num_bytes);
    }
    out.append(match.replacement);
    text.remove_prefix(match.num_bytes);
  }
}

// Whether the map has the start of `part`; then appends what stands for all of it.
bool CharsMap::append_whole(std::string_view part, std::string& out) const {
  const Match match = find_match(part, Length::kShortest);
  if (match.num_bytes == 0 || find_invalid_utf8(match.replacement)) return false;
  out.append(match.replacement);
  return true;
}

void CharsMap::apply_by_grapheme(std::string_view text, std::string& out) const {
  constexpr std::size_t kGraphemeBytesEnd = 6;
  while (!text.empty()) {
    std::string_view grapheme = text.substr(0, grapheme_bytes(text));
    text.remove_prefix(grapheme.size());
    if (grapheme.size() < kGraphemeBytesEnd && append_whole(grapheme, out)) continue;
    while (!grapheme.empty()) {
      const std::string_view character = grapheme.substr(0, decode_utf8(grapheme).num_bytes);
      if (!append_whole(character, out)) out.append(character);
      grapheme.remove_prefix(character.size());
    }
  }
}

}  // namespace millrace
