// Which kernel runs what, how attention is cut and which steps are recorded: sizes in, choices out.
#include "kernels/cuda/launch_plan.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "kernels/cuda/device_matrix.h"
#include "packed_weights.h"

namespace millrace::cuda {
namespace {

TEST(MatmulPath, FewRowsStreamTheWeights) {
  EXPECT_EQ(matmul_path({.format = WeightFormat::kInt4, .num_rows = 1}), MatmulPath::kFew);
  EXPECT_EQ(matmul_path({.format = WeightFormat::kBF16, .num_rows = 4, .has_library = true}),
            MatmulPath::kFew);
}

TEST(MatmulPath, ManyRowsGoToTheLibraryWhereItCan) {
  EXPECT_EQ(matmul_path({.format = WeightFormat::kBF16, .num_rows = 5, .has_library = true}),
            MatmulPath::kLibrary);
  EXPECT_EQ(matmul_path({.format = WeightFormat::kInt4, .num_rows = 5}), MatmulPath::kTiled);
  EXPECT_EQ(matmul_path({.format = WeightFormat::kF32, .num_rows = 5}), MatmulPath::kPlain);
}

TEST(MatmulPath, DoesNotDependOnTheRowsWhenInvariant) {
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    MatmulChoice choice = {.format = static_cast<WeightFormat>(f),
                           .num_rows = 1,
                           .has_library = true,
                           .invariance = BatchInvariance::kOn};
    const MatmulPath alone = matmul_path(choice);
    for (const std::size_t rows : {2u, 4u, 5u, 64u, 4096u}) {
      choice.num_rows = rows;
      EXPECT_EQ(matmul_path(choice), alone);
    }
  }
}

AttentionShape llama_shape() {
  return {.group = 4,
          .num_kv_heads = 8,
          .num_multiprocessors = 132,
          .partial_elements = 1u << 24,
          .elements_per_part = 32 * 130};
}

std::vector<AttentionRun> plan(const AttentionShape& shape, std::vector<std::uint32_t> context,
                               const std::vector<std::uint32_t>& chunks) {
  std::vector<std::uint32_t> begin = {0};
  for (const std::uint32_t chunk : chunks) begin.push_back(begin.back() + chunk);
  std::vector<AttentionRun> runs;
  plan_attention(shape, begin, context, runs);
  return runs;
}

TEST(AttentionPlan, OneLongSequenceIsCutUntilTheDeviceIsFull) {
  const auto runs = plan(llama_shape(), {16383}, {1});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].split_tokens % kSplitTokens, 0u);
  EXPECT_GE(runs[0].num_splits * 8, 132u);
  EXPECT_GE(runs[0].split_tokens * runs[0].num_splits, 16384u);
  EXPECT_LT(runs[0].split_tokens * (runs[0].num_splits - 1), 16384u);
}

TEST(AttentionPlan, ManySequencesAreNotCut) {
  const std::vector<std::uint32_t> context(128, 1024);
  const auto runs = plan(llama_shape(), context, std::vector<std::uint32_t>(128, 1));
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].num_splits, 1u);
  EXPECT_EQ(runs[0].split_tokens, 0u);
}

TEST(AttentionPlan, NothingIsCutWhenInvariant) {
  AttentionShape shape = llama_shape();
  shape.invariance = BatchInvariance::kOn;
  EXPECT_EQ(plan(shape, {100000}, {1})[0].num_splits, 1u);
}

TEST(AttentionPlan, PartsFitTheScratch) {
  AttentionShape shape = llama_shape();
  shape.partial_elements = 3 * shape.elements_per_part;
  EXPECT_LE(plan(shape, {100000}, {1})[0].num_splits, 3u);
  shape.partial_elements = 0;
  EXPECT_EQ(plan(shape, {100000}, {1})[0].num_splits, 1u);
}

TEST(AttentionPlan, PromptsGetLaunchesOfTheirOwn) {
  const auto runs = plan(llama_shape(), {10, 20, 0, 0, 30}, {1, 1, 512, 100, 1});
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].num_sequences, 2u);
  EXPECT_EQ(runs[1].chunk_tokens_max, 512u);
  EXPECT_EQ(runs[2].chunk_tokens_max, 100u);
  EXPECT_EQ(runs[3].sequence_begin, 4u);
}

// Every sequence with tokens is in exactly one run, with room for its chunk.
TEST(AttentionPlan, CoversEverySequenceOnce) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint32_t> context, chunks;
    for (std::uint64_t b = random.between(1, 40); b > 0; --b) {
      context.push_back(static_cast<std::uint32_t>(random.below(20000)));
      chunks.push_back(static_cast<std::uint32_t>(random.chance(0.6) ? 1 : random.below(600)));
    }
    AttentionShape shape = llama_shape();
    shape.partial_elements = random.below(1u << 22);
    std::vector<int> met(context.size(), 0);
    for (const AttentionRun& run : plan(shape, context, chunks)) {
      std::size_t tokens = 0;
      for (std::size_t b = run.sequence_begin; b < run.sequence_begin + run.num_sequences; ++b) {
        ++met[b];
        tokens += chunks[b];
        EXPECT_LE(chunks[b], run.chunk_tokens_max);
        if (run.num_splits > 1) {
          EXPECT_GE(std::uint64_t{run.split_tokens} * run.num_splits, context[b] + chunks[b]);
        }
      }
      if (run.num_splits > 1) {
        EXPECT_LE(tokens * run.num_splits * shape.elements_per_part, shape.partial_elements);
      }
    }
    for (std::size_t b = 0; b < met.size(); ++b) {
      EXPECT_LE(met[b], 1) << b;
      if (chunks[b] > 0) {
        EXPECT_EQ(met[b], 1) << b;
      }
    }
  }
}

TEST(DecodeBucket, HoldsAndWastesLittle) {
  for (std::size_t count = 1; count <= 1024; ++count) {
    const std::size_t bucket = decode_bucket(count);
    EXPECT_GE(bucket, count);
    EXPECT_EQ(decode_bucket(bucket), bucket);
    EXPECT_LE(bucket, count + (count + 7) / 8 * 7);
  }
  EXPECT_EQ(decode_buckets(20), (std::vector<std::size_t>{1, 2, 4, 8, 16, 24}));
  EXPECT_EQ(decode_buckets(256).back(), 256u);
}

// What the device's layout holds is what the CPU's does: taken apart here as drawn there.
TEST(DeviceMatrix, HoldsTheQuantsOfThePanels) {
  const kernel_cases::PackedWeights weights(WeightFormat::kInt4G32, 19, 64);
  const DeviceMatrixLayout layout = device_matrix_layout(WeightFormat::kInt4G32, 19, 64);
  EXPECT_EQ(layout.row_bytes, 32u);
  EXPECT_EQ(layout.scale_row_bytes, 2 * sizeof(float));
  EXPECT_EQ(layout.scale_offset % kDeviceMatrixAlignment, 0u);
  std::vector<std::byte> values(19 * layout.row_bytes);
  std::vector<std::byte> scales(19 * layout.scale_row_bytes);
  write_device_rows(weights.matrix(), 0, 19, {values.data(), scales.data(), nullptr});
  std::vector<float> want(64);
  for (std::size_t row = 0; row < 19; ++row) {
    unpack_row(weights.matrix(), row, want.data());
    for (std::size_t k = 0; k < 64; ++k) {
      const auto both = std::to_integer<unsigned>(values[row * layout.row_bytes + k / 2]);
      const int q = static_cast<int>(k % 2 == 0 ? both & 15u : both >> 4) - 8;
      float scale = 0;
      std::memcpy(&scale, &scales[row * layout.scale_row_bytes + k / 32 * sizeof scale],
                  sizeof scale);
      EXPECT_EQ(scale * static_cast<float>(q), want[k]);
    }
  }
}

}  // namespace
}  // namespace millrace::cuda
