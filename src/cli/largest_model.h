// How many whole layers of a model fit a budget, by how its memory is given out.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/public_shapes.h"

namespace millrace {

// When a step's intermediate tensors go back, and how a sequence's keys and values grow.
enum class TensorLife : std::uint8_t {
  kPlanned,  // one arena for the largest step and a pool of KV blocks, both sized beforehand
  kLastUse,  // malloc per tensor, freed after its last reader
  kStep,     // malloc per tensor, all freed at the end of the step
};
enum class KvGrowth : std::uint8_t {
  kBlocks,       // of the pool
  kExact,        // one malloc per sequence, layer and side, of the final length known beforehand
  kDoubling,     // the same, twice as large whenever it is full, copied
  kConcatenate,  // a new one for each step, with the old one copied in front
};

struct ServingLoad {
  std::size_t num_sequences = 8;
  std::size_t num_tokens = 2048;  // of each, prompt and output
  std::size_t step_tokens = 512;  // prompts are computed in chunks of so many
  std::size_t weight_bytes = 2;   // of a parameter
  std::size_t kv_bytes = 2;       // of an element of the cache
  std::size_t block_tokens = 16;
};

struct LargestModel {
  TensorLife life = TensorLife::kPlanned;
  KvGrowth growth = KvGrowth::kBlocks;
  std::size_t num_layers = 0;
  std::uint64_t num_parameters = 0;
  std::uint64_t num_bytes = 0;  // that it takes
};

// Bytes that a model of `num_layers` layers of the shape takes under the load. Planned memory is
// the sum of its plan; malloc is replayed, tensor by tensor, through a best-fit allocator with
// 16 bytes of header, and counts to the highest end that it ever reached.
Result<std::uint64_t> serving_bytes(const PublicShape& shape, const ServingLoad& load,
                                    LargestModel& model);

// The most layers that fit `budget` for each way; none when not even one layer does.
Result<std::vector<LargestModel>> largest_models(const PublicShape& shape, const ServingLoad& load,
                                                 std::uint64_t budget);

}  // namespace millrace
