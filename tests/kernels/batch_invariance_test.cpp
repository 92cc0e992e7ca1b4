// A row's result is the same, bit for bit, alone and in any company: rows, order, chunks, blocks.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "every_isa.h"
#include "kernel_case.h"
#include "kernels/ref/ref.h"
#include "packed_weights.h"
#include "paged_cache.h"

namespace millrace::kernel_cases {
namespace {

class BatchInvarianceTest : public ::testing::TestWithParam<const CpuKernels*> {};

INSTANTIATE_TEST_SUITE_P(EveryRunnableIsa, BatchInvarianceTest, every_isa(), isa_name);

bool same_bits(const float* a, const float* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

// Rows [begin, end) of x through quantisation and product, as one batch.
GuardedRows product_of(const CpuKernels& kernels, const PackedWeights& weights, GuardedRows& x,
                       const std::vector<std::size_t>& order, std::size_t num_threads) {
  const std::size_t depth = weights.matrix().num_cols;
  GuardedRows rows(order.size(), depth);
  for (std::size_t i = 0; i < order.size(); ++i) std::copy_n(x.row(order[i]), depth, rows.row(i));
  GuardedRows y(order.size(), weights.matrix().num_rows);
  QuantizedBuffer quantized(order.size(), depth);
  ThreadTeam team(num_threads);
  KernelContext context(kernels, team);
  run_step(context, [&](KernelContext& of_rank) {
    quantize_rows(of_rank, rows.view(), quantized.rows());
    matmul(of_rank, {.x = rows.view(), .quantized = &quantized.rows()}, weights.matrix(), {},
           y.view());
  });
  return y;
}

TEST_P(BatchInvarianceTest, MatmulRowsDoNotSeeEachOther) {
  constexpr std::size_t kRows = 101;
  constexpr std::size_t kOutputs = 83;
  constexpr std::size_t kDepth = 800;
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    const PackedWeights weights(static_cast<WeightFormat>(f), kOutputs, kDepth);
    GuardedRows x(kRows, kDepth);
    Random random(21);
    x.fill_with([&] { return random.normal(); });
    std::vector<std::size_t> backwards(kRows);
    std::iota(backwards.rbegin(), backwards.rend(), std::size_t{0});
    const GuardedRows all = product_of(*GetParam(), weights, x, backwards, 3);
    // Groups of every height up to beyond a tile, so that each row meets most tile heights.
    for (const std::size_t height : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 13u, 25u, 50u, 97u}) {
      for (std::size_t first = 0; first < kRows; first += height) {
        std::vector<std::size_t> part(std::min(height, kRows - first));
        std::iota(part.begin(), part.end(), first);
        const GuardedRows y = product_of(*GetParam(), weights, x, part, 1);
        for (std::size_t i = 0; i < part.size(); ++i) {
          ASSERT_TRUE(same_bits(y.row(i), all.row(kRows - 1 - part[i]), kOutputs))
              << weight_format_name(static_cast<WeightFormat>(f)) << ", row " << part[i] << " of "
              << height;
        }
      }
    }
  }
}

TEST_P(BatchInvarianceTest, ElementwiseOpsDoNotSeeTheirPlace) {
  constexpr std::size_t kCount = 67;
  std::vector<float> x(kCount);
  Random random(22);
  for (float& value : x) value = static_cast<float>(random.normal() * 4);
  const CpuKernels& kernels = *GetParam();
  for (const Activation activation :
       {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh}) {
    std::vector<float> together(kCount);
    kernels.activate(activation, x.data(), kCount, together.data());
    for (std::size_t i = 0; i < kCount; ++i) {
      float alone = 0;
      kernels.activate(activation, &x[i], 1, &alone);
      EXPECT_TRUE(same_bits(&alone, &together[i], 1)) << i;
      kernels.gated_activation(activation, &x[i], &x[0], 1, &alone);
      const float product = together[i] * x[0];
      EXPECT_TRUE(same_bits(&alone, &product, 1)) << i;
    }
  }
}

struct AttentionRun {
  CacheShape cache;
  AttentionOptions options;
  std::size_t group = 3;
  std::size_t num_threads = 1;
};

// Query rows of positions [first, first + count), drawn from the position alone.
void draw_queries(GuardedRows& q, std::size_t row, std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    Random random(500 + first + i);
    for (std::size_t d = 0; d < q.num_cols(); ++d) {
      q.row(row + i)[d] = static_cast<float>(random.normal());
    }
  }
}

// Sequence 1 of three, brought from position 0 to `num_tokens` in steps of `chunks` (repeated);
// the other two are there to be in the way. Returns its rows.
GuardedRows attend_in_chunks(const CpuKernels& kernels, const AttentionRun& run,
                             std::uint32_t num_tokens, const std::vector<std::uint32_t>& chunks) {
  const std::size_t heads = run.group * run.cache.num_kv_heads;
  GuardedRows result(num_tokens, heads * run.cache.value_head_dim);
  ThreadTeam team(run.num_threads);
  KernelContext context(kernels, team);
  std::uint32_t done = 0;
  for (std::size_t i = 0; done < num_tokens; ++i) {
    const std::uint32_t count = std::min(chunks[i % chunks.size()], num_tokens - done);
    const std::vector<SequenceShape> sequences = {{done / 2, 3}, {done, count}, {77, 1}};
    PagedCache cache(run.cache, sequences);
    cache.fill_by(PagedCache::Upto::kContext,
                  [&](const auto&... arguments) { kv_store(context, arguments...); });
    GuardedRows keys(cache.num_tokens(), std::size_t{run.cache.num_kv_heads} * run.cache.head_dim);
    GuardedRows values(cache.num_tokens(),
                       std::size_t{run.cache.num_kv_heads} * run.cache.value_head_dim);
    GuardedRows q(cache.num_tokens(), heads * run.cache.head_dim);
    GuardedRows y(cache.num_tokens(), heads * run.cache.value_head_dim);
    std::size_t row = 0;
    for (std::uint32_t b = 0; b < sequences.size(); ++b) {
      const SequenceShape& s = sequences[b];
      const GuardedRows k = cache.drawn_rows(b, s.context, s.chunk, run.cache.head_dim, 11);
      const GuardedRows v = cache.drawn_rows(b, s.context, s.chunk, run.cache.value_head_dim, 12);
      for (std::uint32_t t = 0; t < s.chunk; ++t) {
        std::copy_n(k.row(t), k.num_cols(), keys.row(row + t));
        std::copy_n(v.row(t), v.num_cols(), values.row(row + t));
      }
      draw_queries(q, row, s.context, s.chunk);
      row += s.chunk;
    }
    run_step(context, [&](KernelContext& of_rank) {
      kv_store(of_rank, cache.heads(keys, run.cache.head_dim),
               cache.heads(values, run.cache.value_head_dim), cache.batch(), cache.cache());
      attention(of_rank, q.shaped({q.num_rows(), heads, run.cache.head_dim}), cache.batch(),
                cache.cache(), run.options,
                y.shaped({y.num_rows(), heads, run.cache.value_head_dim}));
    });
    for (std::uint32_t t = 0; t < count; ++t) {
      std::copy_n(y.row(3 + t), y.num_cols(), result.row(done + t));
    }
    done += count;
  }
  return result;
}

TEST_P(BatchInvarianceTest, AttentionDoesNotSeeChunksBlocksOrThreads) {
  constexpr std::uint32_t kTokens = 210;  // Beyond three tiles.
  std::vector<AttentionOptions> all_options(3);
  for (AttentionOptions& options : all_options) options.scale = 0.3f;
  all_options[1].window = 50;
  all_options[2].softcap = 2.0f;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    for (const AttentionOptions& options : all_options) {
      AttentionRun run = {.cache = {dtype, 2, 20, 12, 16}, .options = options};
      const GuardedRows whole = attend_in_chunks(*GetParam(), run, kTokens, {kTokens});
      run.num_threads = 2;
      for (const std::vector<std::uint32_t>& chunks :
           {std::vector<std::uint32_t>{64}, {1, 2, 3, 31}, {7}, {65, 1}}) {
        const GuardedRows y = attend_in_chunks(*GetParam(), run, kTokens, chunks);
        run.cache.block_tokens = 5;
        run.num_threads = 3;
        for (std::size_t t = 0; t < kTokens; ++t) {
          ASSERT_TRUE(same_bits(y.row(t), whole.row(t), y.num_cols()))
              << dtype_name(dtype) << ", chunks of " << chunks[0] << ", token " << t;
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernel_cases
