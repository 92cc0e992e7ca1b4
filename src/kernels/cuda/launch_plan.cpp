// Choices by size.
#include "kernels/cuda/launch_plan.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

// From here on a product is bound by arithmetic more than by its weights; measured on no device
// yet, so the library gets everything that it can take beyond the few rows.
bool is_few(std::size_t num_rows) {
  return num_rows <= kFewRows;
}

struct ChunkShape {
  unsigned num_tokens = 0;
  unsigned end = 0;  // of its positions
};

ChunkShape chunk_of(std::span<const std::uint32_t> chunk_begin,
                    std::span<const std::uint32_t> context_tokens, std::size_t b) {
  const unsigned num_tokens = chunk_begin[b + 1] - chunk_begin[b];
  return {num_tokens, context_tokens[b] + num_tokens};
}

// Parts enough for two blocks on every multiprocessor, none shorter than kSplitTokens, as many as
// the scratch holds.
void split(const AttentionShape& shape, std::size_t num_tokens, unsigned longest,
           AttentionRun& run) {
  if (shape.invariance == BatchInvariance::kOn) return;
  const std::size_t blocks = std::size_t{run.num_sequences} * shape.num_kv_heads;
  const std::size_t wanted = ceil_div(2 * std::size_t{shape.num_multiprocessors}, blocks);
  const std::size_t possible = ceil_div(longest, kSplitTokens);
  const std::size_t per_part = num_tokens * shape.elements_per_part;
  const std::size_t held = per_part == 0 ? 1 : shape.partial_elements / per_part;
  const std::size_t num_splits = std::min({wanted, possible, held});
  if (num_splits < 2) return;
  run.split_tokens = static_cast<unsigned>(round_up(ceil_div(longest, num_splits), kSplitTokens));
  run.num_splits = static_cast<unsigned>(ceil_div(longest, run.split_tokens));
}

}  // namespace

MatmulPath matmul_path(const MatmulChoice& choice) {
  const bool is_f32 = choice.format == WeightFormat::kF32;
  if (choice.invariance == BatchInvariance::kOn) {
    return is_f32 ? MatmulPath::kPlain : MatmulPath::kTiled;
  }
  if (is_few(choice.num_rows)) return MatmulPath::kFew;
  if (choice.has_library) return MatmulPath::kLibrary;
  return is_f32 ? MatmulPath::kPlain : MatmulPath::kTiled;
}

void plan_attention(const AttentionShape& shape, std::span<const std::uint32_t> chunk_begin,
                    std::span<const std::uint32_t> context_tokens,
                    std::vector<AttentionRun>& runs) {
  const std::size_t num_sequences = context_tokens.size();
  for (std::size_t b = 0; b < num_sequences;) {
    AttentionRun run;
    run.sequence_begin = static_cast<unsigned>(b);
    const bool is_short =
        chunk_of(chunk_begin, context_tokens, b).num_tokens * shape.group <= kWarpQueryRows;
    unsigned longest = shape.planned_end;
    const std::size_t first_token = chunk_begin[b];
    for (; b < num_sequences; ++b) {
      const ChunkShape chunk = chunk_of(chunk_begin, context_tokens, b);
      const bool fits = chunk.num_tokens * shape.group <= kWarpQueryRows;
      // A chunk of a prompt has a launch of its own: its blocks are many.
      if (fits != is_short || (!is_short && run.num_sequences == 1)) break;
      ++run.num_sequences;
      run.chunk_tokens_max = std::max(run.chunk_tokens_max, chunk.num_tokens);
      longest = std::max(longest, chunk.end);
    }
    if (is_short) split(shape, chunk_begin[b] - first_token, longest, run);
    if (run.chunk_tokens_max > 0) runs.push_back(run);
  }
}

std::size_t decode_bucket(std::size_t num_sequences) {
  CHECK(num_sequences > 0);
  for (const std::size_t bucket : {1u, 2u, 4u}) {
    if (num_sequences <= bucket) return bucket;
  }
  if (num_sequences <= 64) return round_up(num_sequences, 8);
  if (num_sequences <= 256) return round_up(num_sequences, 16);
  return round_up(num_sequences, 32);
}

std::vector<std::size_t> decode_buckets(std::size_t num_sequences_max) {
  std::vector<std::size_t> buckets;
  for (std::size_t count = 1; count <= num_sequences_max; count = buckets.back() + 1) {
    buckets.push_back(decode_bucket(count));
  }
  return buckets;
}

}  // namespace millrace::cuda
