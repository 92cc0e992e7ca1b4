// A line is cut into chunks that stay whole, then chunks are laid into lines.
#include "text/jinja/word_wrap.h"

#include <algorithm>

#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

using Characters = std::vector<char32_t>;

struct Chunk {
  std::size_t start = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - start; }
};

bool is_wrap_space(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Where chunks end: the rules of the patterns wordsep_re and wordsep_simple_re of Python's
// textwrap.
class ChunkFinder {
 public:
  ChunkFinder(const Characters& line, Hyphens hyphens) : line_(line), hyphens_(hyphens) {}

  std::size_t end_from(std::size_t start) const {
    if (is_space_at(start)) {
      std::size_t end = start;
      while (end < line_.size() && is_space_at(end)) ++end;
      return end;
    }
    if (hyphens_ == Hyphens::kBroken && is_dash(start)) return dash_end(start);
    for (std::size_t end = start + 1;; ++end) {
      const bool breaks = hyphens_ == Hyphens::kBroken;
      if (breaks && is_hyphen(end)) return end + 1;
      if (end >= line_.size() || is_space_at(end)) return end;
      if (breaks && is_dash(end)) return end;
    }
  }

 private:
  bool is_space_at(std::size_t i) const { return is_wrap_space(line_[i]); }
  bool is(std::size_t i, char32_t c) const { return i < line_.size() && line_[i] == c; }
  bool is_word(std::size_t i) const {
    return i < line_.size() && (line_[i] == '_' || has_class(line_[i], CharacterClass::kAlnum));
  }
  bool is_letter(std::size_t i) const {
    return is_word(i) && !has_class(line_[i], CharacterClass::kDecimal);
  }
  bool is_word_or_mark(std::size_t i) const {
    constexpr std::u32string_view kMarks = U"!\"'&.,?";
    return is_word(i) || (i < line_.size() && kMarks.find(line_[i]) != std::u32string_view::npos);
  }

  std::size_t dash_end(std::size_t start) const {
    while (is(start, '-')) ++start;
    return start;
  }
  // Two or more hyphens between words.
  bool is_dash(std::size_t at) const {
    if (at == 0 || !is(at, '-') || !is(at + 1, '-') || !is_word_or_mark(at - 1)) return false;
    return is_word(dash_end(at));
  }
  // A hyphen in a word: after two letters, or after a letter, a hyphen and a character.
  bool is_hyphen(std::size_t at) const {
    if (!is(at, '-') || at < 2) return false;
    const bool after_letters = is_letter(at - 1) && is_letter(at - 2);
    const bool after_one =
        at >= 3 && is_word_or_mark(at - 1) && is(at - 2, '-') && is_letter(at - 3);
    if (!after_letters && !after_one) return false;
    return is_letter(at + 1) && (is_letter(at + 2) || (is(at + 2, '-') && is_letter(at + 3)));
  }

  const Characters& line_;
  Hyphens hyphens_;
};

class Wrapper {
 public:
  Wrapper(const Characters& line, const WrapStyle& style) : line_(line), style_(style) {}

  std::vector<std::string> run() {
    const ChunkFinder finder(line_, style_.hyphens);
    for (std::size_t at = 0; at < line_.size(); at = chunks_.back().end) {
      chunks_.push_back({at, finder.end_from(at)});
    }
    while (next_ < chunks_.size()) lay_line();
    return std::move(lines_);
  }

 private:
  bool is_blank(const Chunk& chunk) const {
    for (std::size_t i = chunk.start; i < chunk.end; ++i) {
      if (!is_space(line_[i])) return false;
    }
    return true;
  }

  void lay_line() {
    std::vector<Chunk> laid;
    std::size_t width = 0;
    if (!lines_.empty() && is_blank(chunks_[next_])) ++next_;
    for (; next_ < chunks_.size() && width + chunks_[next_].size() <= style_.width; ++next_) {
      laid.push_back(chunks_[next_]);
      width += chunks_[next_].size();
    }
    if (next_ < chunks_.size() && chunks_[next_].size() > style_.width) {
      lay_long_word(laid, style_.width - width);
    }
    if (!laid.empty() && is_blank(laid.back())) laid.pop_back();
    if (laid.empty()) return;
    std::string text;
    for (const Chunk& chunk : laid) {
      for (std::size_t i = chunk.start; i < chunk.end; ++i) append_utf8(line_[i], text);
    }
    lines_.push_back(std::move(text));
  }

  void lay_long_word(std::vector<Chunk>& laid, std::size_t space_left) {
    Chunk& word = chunks_[next_];
    if (style_.long_words == LongWords::kKept) {
      if (!laid.empty()) return;
      laid.push_back(word);
      ++next_;
      return;
    }
    const std::size_t end = word.start + space_left;
    const std::size_t cut = style_.hyphens == Hyphens::kBroken ? after_last_hyphen(word, end) : end;
    laid.push_back({word.start, cut});
    word.start = cut;
  }

  // After the last hyphen before `end` that follows something else than hyphens, or `end`.
  std::size_t after_last_hyphen(const Chunk& word, std::size_t end) const {
    std::size_t hyphen = end;
    while (hyphen > word.start && line_[hyphen - 1] != '-') --hyphen;
    if (hyphen <= word.start + 1) return end;
    for (std::size_t i = word.start; i + 1 < hyphen; ++i) {
      if (line_[i] != '-') return hyphen;
    }
    return end;
  }

  const Characters& line_;
  const WrapStyle& style_;
  std::vector<Chunk> chunks_;
  std::size_t next_ = 0;
  std::vector<std::string> lines_;
};

}  // namespace

Result<std::vector<std::string>> wrap_line(Sandbox& sandbox, std::string_view line,
                                           const WrapStyle& style) {
  TRY(require_unicode_tables(line));
  TRY(sandbox.spend_items(4 * line.size()));
  Characters characters;
  while (!line.empty()) {
    const Utf8Character character = decode_utf8(line);
    characters.push_back(character.code_point);
    line.remove_prefix(character.num_bytes);
  }
  return Wrapper(characters, style).run();
}

}  // namespace millrace::jinja
