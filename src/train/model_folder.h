// A model under training as a Hugging Face folder.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/export.h"

namespace millrace {

// kUnsupported naming the tensor when the architecture keeps it transposed or in one tensor with
// others, which is read but not written.
Status check_trainable_folder(const ModelSpec& spec);

// `config` is the config.json, but for its type; matrices and vectors in f32. The folder appears
// whole or not at all; one that holds a checkpoint is replaced.
Status write_model_folder(const ExportModel& model, const std::vector<NamedText>& files,
                          const std::string& destination);

}  // namespace millrace
