// The compiled form of TokenizerSpec::decoders: for every token, the bytes it stands for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/flat_table.h"
#include "text/normalizer.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Where a token is in a text: some decoders treat the ends differently.
enum class TokenPlace : std::uint8_t { kMiddle = 0, kFirst = 1, kLast = 2, kOnly = 3 };

// Immutable. Decoding is the concatenation of token_bytes, each for its place, less what
// strip_start() says, read as UTF-8. That every decoder of a vocabulary fits this form is what
// makes streams exact; one that does not is refused.
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

  std::size_t num_tokens() const { return bytes_[0].size(); }
  std::string_view token_bytes(TokenId id, TokenPlace place = TokenPlace::kMiddle) const {
    return bytes_[static_cast<std::size_t>(place) & place_mask_][id];
  }
  // Whether the last token of a text may differ from the same token in the middle.
  bool last_differs() const { return (place_mask_ & kLastBit) != 0; }
  // Whether a token that follows itself is dropped.
  bool drops_repeats() const { return drops_repeats_; }
  const StripStart& strip_start() const { return strip_start_; }

 private:
  static constexpr std::size_t kFirstBit = 1;
  static constexpr std::size_t kLastBit = 2;

  std::array<StringArena, 4> bytes_;  // By place; empty for places that do not differ.
  std::size_t place_mask_ = 0;        // Of the bits of a place that matter.
  bool drops_repeats_ = false;
  StripStart strip_start_;
};

}  // namespace millrace
