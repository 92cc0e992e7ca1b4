// A TokenizerSpec as the tokenizer.ggml.* keys of a GGUF file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf_writer.h"
#include "text/tokenizer_spec.h"

namespace millrace {

struct GgufTokenizerOptions {
  // Rows of the embedding: the list of tokens is filled up to them with unused ones, as llama.cpp
  // expects.
  std::size_t num_rows = 0;
  // What the model's own files say, which may be more than the tokenizer's do.
  std::optional<TokenId> bos_id;
  std::vector<TokenId> eos_ids;
};

// Byte-level BPE becomes "gpt2" with the name of its pre-tokeniser; BPE over ▁ becomes "llama" with
// scores. Returns sentences about what the keys cannot say and that changes little; kUnsupported
// names what they cannot say and that changes ids.
Result<std::vector<std::string>> add_tokenizer_metadata(const TokenizerSpec& spec,
                                                        const GgufTokenizerOptions& options,
                                                        GgufMetadataBuilder& metadata);

}  // namespace millrace
