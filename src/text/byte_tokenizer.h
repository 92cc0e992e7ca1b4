// The smallest vocabulary that can say everything: one token for each byte.
#pragma once

#include "text/tokenizer_spec.h"

namespace millrace {

// Ids 0 to 255 are the bytes, 256 is "<s>" (bos), 257 is "</s>" (eos). Byte-level BPE without
// merges, so every program that reads tokenizer.json or GGUF can use it. Nothing goes around a
// text.
inline constexpr TokenId kByteTokenizerBos = 256;
inline constexpr TokenId kByteTokenizerEos = 257;
inline constexpr std::size_t kByteTokenizerTokens = 258;

TokenizerSpec byte_tokenizer_spec();

}  // namespace millrace
