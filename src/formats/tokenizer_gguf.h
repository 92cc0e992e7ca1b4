// The vocabulary in a GGUF file's metadata (keys tokenizer.ggml.*).
#pragma once

#include "base/result.h"
#include "formats/gguf.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Byte-level BPE ("gpt2") and SentencePiece BPE ("llama"); other models, and pre-tokenisers that
// are not in pre_tokenizer_names.h, are refused by name.
Result<TokenizerSpec> load_tokenizer_spec(const GgufMetadata& metadata);

}  // namespace millrace
