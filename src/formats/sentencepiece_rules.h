// What SentencePiece does around its model, in the words of TokenizerSpec.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer_spec.h"

namespace millrace {

struct SentencePieceRules {
  std::string chars_map = {};    // precompiled_charsmap; empty for the identity.
  bool add_space_prefix = true;  // A space before the text, taken off again when decoding.
  bool squeeze_spaces = false;   // remove_extra_whitespaces
};

// Fills normalizers, decoders, byte_fallback and fuse_unk.
void apply_sentencepiece_rules(const SentencePieceRules& rules, TokenizerSpec& spec);

// Where user-defined pieces are looked for: in the raw text (Hugging Face, llama.cpp), or as they
// are written in the normalised one (SentencePiece itself).
enum class UserDefinedPlace : std::uint8_t { kRawText, kNormalizedText };

// Makes added tokens of the pieces that are matched whole: control and unknown ones as special,
// user-defined ones as plain.
void add_tokens_by_type(UserDefinedPlace place, TokenizerSpec& spec);

}  // namespace millrace
