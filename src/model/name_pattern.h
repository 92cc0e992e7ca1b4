// A regular expression over names of modules, as adapter configs hold them: the part of Python's
// syntax that is about letters, matched in time linear in the name.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

// Const after parsing. Literals, `.`, `[a-z]`, `\d \w \s` (and their complements), escapes, groups
// with and without `?:`, `|`, `* + ?` (lazy or not: what matches is the same), `^` and `$`. Counted
// repetition, look-around, back-references and flags are kUnsupported, by name.
class NamePattern {
 public:
  static constexpr std::size_t kBytesMax = 4096;
  static constexpr std::size_t kDepthMax = 32;  // of groups

  static Result<NamePattern> parse(std::string_view pattern);

  // The whole text, like Python's re.fullmatch. O(pattern * text): Thompson 1968, Regular
  // Expression Search Algorithm.
  bool matches(std::string_view text) const { return matches_from(text, 0); }
  // The whole text, or all of it that follows one of its dots: "q_proj" matches "a.b.q_proj".
  bool matches_end(std::string_view text) const;

 private:
  friend class PatternParser;

  enum class Kind : std::uint8_t { kBytes, kSplit, kBegin, kEnd, kAccept };
  struct State {
    Kind kind = Kind::kAccept;
    std::bitset<256> bytes;
    std::uint32_t next = 0;
    std::uint32_t other = 0;  // kSplit
  };

  bool matches_from(std::string_view text, std::size_t first) const;
  void enter(std::uint32_t state, std::size_t at, std::size_t end,
             std::vector<std::uint32_t>& found, std::vector<bool>& seen) const;

  std::vector<State> states_;
  std::uint32_t start_ = 0;
};

}  // namespace millrace
