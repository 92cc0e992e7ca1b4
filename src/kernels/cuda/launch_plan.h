// Which kernel runs a piece of work, and how it is cut: pure functions of sizes, tested without a
// device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/packed_matrix.h"

namespace millrace::cuda {

// kOn: one algorithm whatever the number of rows, and attention in one part, so that a token's
// bits depend on its own prefix alone, as on the CPU.
enum class BatchInvariance : std::uint8_t { kOff, kOn };

enum class MatmulPath : std::uint8_t {
  kPlain,    // a thread for each output: f32 weights without a library
  kFew,      // weights streamed once
  kTiled,    // our tiles on tensor cores
  kLibrary,  // cuBLASLt
};
struct MatmulChoice {
  WeightFormat format = WeightFormat::kBF16;
  std::size_t num_rows = 0;
  bool has_library = false;  // that takes such weights
  BatchInvariance invariance = BatchInvariance::kOff;
};
MatmulPath matmul_path(const MatmulChoice& choice);

// How attention cuts the sequences of a step: a run of neighbours whose chunks are alike gets one
// launch, so that a prompt's many blocks are not asked of every sequence that decodes.
struct AttentionRun {
  unsigned sequence_begin = 0;
  unsigned num_sequences = 0;
  unsigned chunk_tokens_max = 0;
  unsigned split_tokens = 0;  // 0: one part
  unsigned num_splits = 1;
};
struct AttentionShape {
  unsigned group = 1;  // query heads of a kv head
  unsigned num_kv_heads = 1;
  unsigned num_multiprocessors = 132;
  BatchInvariance invariance = BatchInvariance::kOff;
  // Plans for caches of so many positions whatever the step's are, as a captured step must; 0: no.
  unsigned planned_end = 0;
  // Elements of the scratch for parts, and what one row of a part takes.
  std::size_t partial_elements = 0;
  std::size_t elements_per_part = 0;  // of one token, all heads
};
// Appends the runs of a step to `runs`, in the order of the sequences.
void plan_attention(const AttentionShape& shape, std::span<const std::uint32_t> chunk_begin,
                    std::span<const std::uint32_t> context_tokens, std::vector<AttentionRun>& runs);

// Parts are multiples of this many positions: 4 tiles, below which merging costs more than it
// saves.
inline constexpr unsigned kSplitTokens = 256;
// Rows that one warp of the tiled kernel takes.
inline constexpr unsigned kWarpQueryRows = 16;

// Sequences in a captured decode step: the step is run with the smallest bucket that holds it, the
// rest filled up with sequences of no tokens. 1, 2, 4, 8, then multiples of 8 to 64, of 16 to 256,
// of 32 beyond.
std::size_t decode_bucket(std::size_t num_sequences);
// All buckets up to the one that holds num_sequences_max, rising.
std::vector<std::size_t> decode_buckets(std::size_t num_sequences_max);

}  // namespace millrace::cuda
