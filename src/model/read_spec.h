// A checkpoint's own description turned into a ModelSpec; what is not understood is refused by
// name.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "formats/checkpoint.h"
#include "model/model_spec.h"

namespace millrace {

// From whatever the checkpoint is. kUnsupported names the architecture or option that is not
// implemented, with the list of those that are; kCorruptData names the field, what was found and
// what was expected.
Result<ModelSpec> read_spec(const Checkpoint& checkpoint);

// From a Hugging Face config.json and, where there is one, generation_config.json (else null).
// `name` is for messages.
Result<ModelSpec> spec_from_config(const Json& config, const Json& generation_config,
                                   const std::string& name);

// From GGUF metadata; `weights` tells what metadata do not: biases, tied embeddings, rope factors.
Result<ModelSpec> spec_from_gguf(const GgufMetadata& metadata, const WeightSource& weights);

ModelSpec spec_from_llama2c(const Llama2cConfig& config);

// Hugging Face's class names of the architectures that spec_from_config takes.
std::vector<std::string> supported_architectures();
// What general.architecture may be in GGUF.
std::vector<std::string> supported_gguf_architectures();

}  // namespace millrace
