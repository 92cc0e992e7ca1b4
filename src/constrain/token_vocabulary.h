// The bytes of every token of a tokeniser, sorted into a trie: what grammars are matched against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "constrain/text_tokens.h"
#include "constrain/token_trie.h"
#include "text/tokenizer.h"

namespace millrace {

// One token, as a test or another source of vocabularies gives it.
struct VocabularyToken {
  std::string bytes;        // what it adds to the text; empty: never allowed
  bool is_special = false;  // not text; `bytes` is then its name
};

// Immutable after construction; any thread. Built once for each model.
//
// A special token hangs below byte 0xFF, which no UTF-8 text has, followed by its id in four
// bytes: so only a grammar that names it can reach it. Tokens with that byte are left out.
class TokenVocabulary {
 public:
  static constexpr std::uint8_t kSpecialByte = 0xFF;

  // `num_logits` is the width of a mask: models pad their vocabularies. Ids from num_tokens() on
  // are never allowed. kUnsupported without a token that ends a text. Shared because constraints
  // outlive a model swap.
  // `stop_ids` end a text beside those that the tokeniser knows.
  static Result<std::shared_ptr<const TokenVocabulary>> create(
      const Tokenizer& tokenizer, std::size_t num_logits, std::span<const TokenId> stop_ids = {});
  static Result<std::shared_ptr<const TokenVocabulary>> create(
      std::span<const VocabularyToken> tokens, std::span<const TokenId> stop_ids,
      std::size_t num_logits);

  std::size_t num_tokens() const { return bytes_of_.size(); }
  std::size_t num_logits() const { return num_logits_; }
  std::size_t mask_words() const { return (num_logits_ + 31) / 32; }
  // What a token adds to the text, or its encoding as a special one; empty: never allowed.
  std::string_view bytes(TokenId id) const { return bytes_of_[id]; }
  std::size_t token_bytes_max() const { return token_bytes_max_; }
  std::span<const TokenId> stop_ids() const { return stop_ids_; }
  // The encoding of the special token with this content; empty where there is none.
  std::string special_bytes(std::string_view content) const;
  // Whether this byte is a token by itself.
  bool has_byte(std::uint8_t byte) const { return has_byte_[byte]; }

  // All tokens, special ones by their encoding.
  const TokenTrie& trie() const { return trie_; }
  const TextTokens& text_tokens() const { return text_tokens_; }
  std::uint64_t memory_bytes() const;

 private:
  struct Special {
    std::string content;
    TokenId id = 0;
  };

  TokenVocabulary() = default;
  void add_tokens(std::span<const VocabularyToken> tokens);

  std::size_t num_logits_ = 0;
  std::size_t token_bytes_max_ = 1;
  std::string storage_;  // all bytes, one token after the other
  std::vector<std::string_view> bytes_of_;
  std::vector<Special> specials_;  // sorted by content
  std::vector<TokenId> stop_ids_;
  std::array<bool, 256> has_byte_{};
  TokenTrie trie_;
  TextTokens text_tokens_;
};

}  // namespace millrace
