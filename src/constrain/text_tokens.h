// A vocabulary as the inside of a JSON string sees it: how many plain characters a token is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "constrain/token_trie.h"

namespace millrace {

// Characters that a JSON string holds as they are: no quote, no backslash, no control character.
inline bool is_plain_text_start(std::uint8_t byte) {
  return byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x80 || byte >= 0xC2) &&
         byte <= 0xF4;
}

// Immutable; any thread. Most tokens are plain characters and nothing else: where an automaton
// reads any such character alike, all of one length are allowed or forbidden together, and only
// what the others have behind their plain characters has to be walked.
//
//   "ab"    2 characters, nothing behind     in whole(2), whole(3), …
//   "ab\""  2 characters, then "             in rest(2) and any_rest() as "
//   "{"     as any plain character           "\n" in rest(0)
class TextTokens {
 public:
  // Tokens of more plain characters than this have the others behind them.
  static constexpr std::size_t kCharsMax = 32;

  TextTokens() = default;
  // Tokens with a byte that is no token by itself are never plain: no grammar gets through them.
  TextTokens(std::span<const TokenTrie::Entry> tokens, const std::array<bool, 256>& has_byte,
             std::size_t mask_words);

  // The bits of tokens that are 1 to num_chars plain characters and nothing else.
  std::span<const std::uint32_t> whole(std::size_t num_chars) const {
    return std::span(whole_).subspan(num_chars * mask_words_, mask_words_);
  }
  // What tokens have behind exactly so many plain characters.
  const TokenTrie& rest(std::size_t num_chars) const { return rest_[num_chars]; }
  // The same of all tokens.
  const TokenTrie& any_rest() const { return any_rest_; }
  std::uint64_t memory_bytes() const;

 private:
  std::size_t mask_words_ = 0;
  std::vector<std::uint32_t> whole_;  // [kCharsMax + 1, mask_words_]
  std::array<TokenTrie, kCharsMax + 1> rest_;
  TokenTrie any_rest_;
};

}  // namespace millrace
