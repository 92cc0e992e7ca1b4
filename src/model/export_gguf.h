// A ModelSpec as GGUF metadata, in llama.cpp's keys and conventions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf_writer.h"
#include "model/export_facts.h"
#include "model/model_spec.h"

namespace millrace {

struct GgufExport {
  GgufMetadataBuilder metadata;  // all but the tokenizer
  // Sentences about what other programs will not honour.
  std::vector<std::string> warnings;
};

// general.* and the architecture's keys. `main_dtype` is the type of most weights. kUnsupported
// naming what llama.cpp's layout of the architecture cannot say.
Result<GgufExport> gguf_metadata_of(const ModelSpec& spec, const ExportFacts& facts,
                                    DType main_dtype);

// Whether the rows of q and k are written as rope pairs: llama, mistral and mixtral.
bool has_paired_rows(const ModelSpec& spec);

// What rope_freqs.weight [rotary_dim / 2] holds: each frequency's divisor. Empty when the model has
// none.
std::vector<float> gguf_rope_factors(const ModelSpec& spec);

}  // namespace millrace
