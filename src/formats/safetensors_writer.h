// Writes safetensors: one file, or shards with an index.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/weight_writer.h"

namespace millrace {

struct SafetensorsOptions {
  // A tensor that is larger has a shard of its own.
  std::uint64_t shard_bytes_max = 5'000'000'000;
  // "pt" is what loaders of PyTorch models ask for.
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
};

// model.safetensors in an existing folder; or, when the tensors need more than one shard,
// model-00001-of-00002.safetensors … and model.safetensors.index.json. Within a shard, tensors of
// wide types come first, so that each is aligned to its elements. kInvalidArgument when a tensor
// cannot be declared so (block types), or when the folder holds a checkpoint of the other kind,
// which readers would take for this one.
Result<std::unique_ptr<WeightWriter>> create_safetensors(const std::string& folder,
                                                         std::vector<TensorDeclaration> tensors,
                                                         const SafetensorsOptions& options = {});

}  // namespace millrace
