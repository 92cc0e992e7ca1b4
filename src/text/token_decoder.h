// The compiled form of TokenizerSpec::decoders: for every token, the bytes it stands for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/flat_table.h"
#include "text/normalizer.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Immutable. Decoding is the concatenation of token_bytes, of first_token_bytes for the first
// token, less what strip_start() says, read as UTF-8. That every decoder of a vocabulary fits this
// form is what makes streams exact; one that does not is refused.
class TokenDecoder {
 public:
  // Takes up to `count` of `character` off the start of a text.
  struct StripStart {
    std::string character;
    std::uint32_t count = 0;
  };

  // Empty; for assignment only.
  TokenDecoder() = default;
  // `normalizer` is the vocabulary's: tokens that are looked for in normalised text stand for that.
  static Result<TokenDecoder> create(const TokenizerSpec& spec, const Normalizer& normalizer);

  std::size_t num_tokens() const { return bytes_.size(); }
  std::string_view token_bytes(TokenId id) const { return bytes_[id]; }
  std::string_view first_token_bytes(TokenId id) const {
    return has_first_ ? first_bytes_[id] : bytes_[id];
  }
  const StripStart& strip_start() const { return strip_start_; }

 private:
  StringArena bytes_;
  StringArena first_bytes_;  // Only where the first token is decoded differently.
  bool has_first_ = false;
  StripStart strip_start_;
};

}  // namespace millrace
