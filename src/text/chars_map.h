// The precompiled character map of SentencePiece models: longest match in a double-array trie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

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
  static Result<CharsMap> create(std::string_view bytes);

  // Every longest match replaced, character by character where nothing matches.
  std::string apply(std::string_view text) const;

 private:
  struct Match {
    std::size_t num_bytes = 0;  // 0: nothing matched.
    std::string_view replacement;
  };
  Match longest_match(std::string_view text) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace millrace
