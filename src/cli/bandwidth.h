// The roof of decoding: how fast this machine reads memory, and how many bytes a step must read.
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "model/loaded_model.h"

namespace millrace {

// Bytes per second of a plain sum over 256 MiB on the whole team: the best of several passes.
double read_bandwidth(KernelContext& context);

// Packed bytes that one token passes through: of experts only those that it selects, of the
// embedding table one row, unless it is the output matrix too.
std::uint64_t active_weight_bytes(const LoadedModel& model);

}  // namespace millrace
