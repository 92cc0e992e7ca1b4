// Writes a model the way its kernels stream it: what `millrace pack` does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/context.h"
#include "model/model_spec.h"
#include "model/weight_plan.h"

namespace millrace {

struct PackReport {
  std::uint64_t weight_bytes = 0;
  std::size_t num_kept = 0;  // matrices that kept their checkpoint's format
};

// Packs on the whole team, for its kernels, and writes `path` whole or not at all. `tokenizer` is
// what tokenizer_archive.h writes, or nothing. kInvalidArgument when the checkpoint is packed
// already.
Result<PackReport> write_packed_checkpoint(
    const Checkpoint& checkpoint, const ModelSpec& spec, const WeightOptions& options,
    std::span<const std::byte> tokenizer, KernelContext& context, const std::string& path,
    FunctionRef<void(std::uint64_t, std::uint64_t)> progress);

}  // namespace millrace
