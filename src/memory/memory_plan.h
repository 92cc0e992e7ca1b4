// How many KV blocks fit beside the weights: a sum written out term by term.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace millrace {

// What a model needs of the machine, in bytes, and what it may have.
struct MemoryDemand {
  std::uint64_t limit_bytes = 0;     // for all of it: an option, or what the machine offers
  std::uint64_t weight_bytes = 0;    // packed weights, once
  std::uint64_t arena_bytes = 0;     // activations, logits, sampler scratch
  std::uint64_t process_bytes = 0;   // the program itself: tokeniser, streams, stacks
  std::uint64_t block_bytes = 0;     // one KV block over all layers
  std::uint64_t num_blocks_min = 1;  // so that one sequence of the wanted context fits
  std::uint64_t num_blocks_max = 1;  // more would never be used
};

struct MemoryPlan {
  std::uint32_t num_blocks = 0;
  std::uint64_t kv_bytes = 0;
  std::uint64_t total_bytes = 0;
};

// As many blocks as fit, between the two bounds; kResourceExhausted with both numbers when not even
// num_blocks_min do.
Result<MemoryPlan> plan_memory(const MemoryDemand& demand);

}  // namespace millrace
