// Text to token ids and back, for any vocabulary that a TokenizerSpec can describe.
#pragma once

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
#include "text/encode_options.h"
#include "text/tokenizer_spec.h"

namespace millrace {

struct CompiledTokenizer;

// Immutable and cheap to copy (copies share one compiled vocabulary); any thread may call it.
//
// Invalid UTF-8 in a text is first replaced by U+FFFD, one for each maximal ill-formed part, as
// Python and Rust do it when they read text lossily.
// encode is O(n log n) in the bytes of the text at worst.
class Tokenizer {
 public:
  static constexpr std::size_t kTextBytesMax = std::size_t{1} << 26;

  // kCorruptData when the spec contradicts itself, kUnsupported when a part cannot be compiled.
  static Result<Tokenizer> create(TokenizerSpec spec);

  // kTooLarge over kTextBytesMax; kResourceExhausted when a pattern of the vocabulary needs more
  // steps than it may take.
  Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options = {}) const;

  // The text with `mark` before each place where a special token's text begins, for texts that go
  // into a prompt whose own special tokens are parsed: what is marked stays text there. `mark` is a
  // character that the text does not have.
  std::string mark_special(std::string_view text, std::string_view mark) const;
  bool has_special(std::string_view text) const;

  // What a Detokenizer that starts a text would emit for these ids. Ids >= num_tokens() are errors.
  Result<std::string> decode(std::span<const TokenId> ids, DecodeOptions options = {}) const;

  // One more than the largest id, holes included.
  std::size_t num_tokens() const;
  // The bytes that a token stands for in the middle of a text; not always whole characters. Empty
  // for an id that is out of range.
  std::string_view piece(TokenId id) const;
  // The id of an added token by its content, for instance "<|im_end|>"; else of a piece by the text
  // that the vocabulary's file gives it.
  std::optional<TokenId> find_token(std::string_view content) const;
  bool is_special(TokenId id) const;

  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;
  std::optional<TokenId> unk_id() const;
  std::span<const TokenId> end_of_generation_ids() const;
  bool is_end_of_generation(TokenId id) const;

 private:
  friend class Detokenizer;
  explicit Tokenizer(std::shared_ptr<const CompiledTokenizer> compiled);

  std::shared_ptr<const CompiledTokenizer>
      compiled_;  // Shared because requests outlive a model swap.
};

}  // namespace millrace
