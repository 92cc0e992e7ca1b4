// Which files of a repository a model needs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_cache.h"
#include "hub/hub_reference.h"

namespace millrace {

// The reference's file alone; else config, tokeniser, template and safetensors of the top folder;
// else its only .gguf. kNotFound when there is no such file; kInvalidArgument naming the .gguf
// files where there are several.
Result<std::vector<HubFile>> choose_files(const HubReference& reference,
                                          const std::vector<HubFile>& files);

}  // namespace millrace
