// A ModelSpec as the config.json and generation_config.json that transformers read.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "model/export_facts.h"
#include "model/model_spec.h"
#include "tensor/dtype.h"

namespace millrace {

// The architecture whose config can say what the spec is: GGUF's "llama" with a sliding window is
// Mistral's. kUnsupported when that cannot say it either, naming what, and for families that are
// read but not written: in some, several matrices share a tensor, or numbers depend on its type.
Result<std::string> hugging_face_architecture(const ModelSpec& spec);

// All keys, those of the architecture included; spec.architecture is hugging_face_architecture().
// `dtype` is the weights'.
Result<OrderedJson> config_json_of(const ModelSpec& spec, const ExportFacts& facts, DType dtype);

// The ids that begin and end texts.
OrderedJson generation_config_json_of(const ModelSpec& spec, const ExportFacts& facts);

// "float32", "float16", "bfloat16", as torch_dtype has it.
std::string torch_dtype_name(DType dtype);

}  // namespace millrace
