// The precompiled character map of SentencePiece models: longest match in a double-array trie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"

namespace millrace {

// What is looked up in the map: see CharsMapNormalizer.
enum class CharsMapMatch : std::uint8_t { kLongest, kGrapheme };

// Immutable. The bytes come from a file, so every unit index and string offset is checked in use.
//
//   +----------------+-------------------------+--------------------------------+
//   | trie bytes u32 | trie: units of u32      | replacements, ended by NUL     |
//   +----------------+-------------------------+--------------------------------+
//
// A unit is, from the high bit: a leaf's value (31 bits), or an offset (22 bits from bit 10, times
// 256 when bit 9 is set), has-leaf (bit 8), label (8 bits).
// Source: SentencePiece's normalizer.cc and Darts-clone's unit layout (Yata 2011).
class CharsMap {
 public:
  static Result<CharsMap> create(std::string_view bytes,
                                 CharsMapMatch match = CharsMapMatch::kLongest);

  // Leaves `text` as it is from now on.
  Status keep(std::string_view text);

  // Every match replaced, character by character where nothing matches.
  std::string apply(std::string_view text) const;

 private:
  struct Match {
    std::size_t num_bytes = 0;  // 0: nothing matched.
    std::string_view replacement;
  };
  enum class Length : std::uint8_t { kShortest, kLongest };
  Match find_match(std::string_view text, Length length) const;
  void apply_longest(std::string_view text, std::string& out) const;
  void apply_by_grapheme(std::string_view text, std::string& out) const;
  bool append_whole(std::string_view part, std::string& out) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
  AddedTokenFinder kept_;
  CharsMapMatch match_ = CharsMapMatch::kLongest;
};

}  // namespace millrace
