// NaN and infinity: they show in every output that they reach, and in no other.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "every_isa.h"
#include "kernel_case.h"
#include "packed_weights.h"
#include "paged_cache.h"

namespace millrace::kernel_cases {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class NonFiniteTest : public ::testing::TestWithParam<const CpuKernels*> {
 protected:
  ThreadTeam team_{1};
  KernelContext context_{*GetParam(), team_};
};

INSTANTIATE_TEST_SUITE_P(EveryRunnableIsa, NonFiniteTest, every_isa(), isa_name);

TEST_P(NonFiniteTest, MatmulKeepsThemInTheirRow) {
  constexpr std::size_t kRows = 8;
  constexpr std::size_t kOutputs = 19;
  constexpr std::size_t kDepth = 96;
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      const PackedWeights weights(static_cast<WeightFormat>(f), kOutputs, kDepth);
      GuardedRows x(kRows, kDepth);
      x.fill(1.0f);
      x.row(3)[40] = bad;
      GuardedRows y(kRows, kOutputs);
      QuantizedBuffer quantized(kRows, kDepth);
      quantize_rows(context_, x.view(), quantized.rows());
      matmul(context_, {.x = x.view(), .quantized = &quantized.rows()}, weights.matrix(), {},
             y.view());
      for (std::size_t m = 0; m < kRows; ++m) {
        for (std::size_t n = 0; n < kOutputs; ++n) {
          EXPECT_EQ(std::isfinite(y.row(m)[n]), m != 3)
              << weight_format_name(static_cast<WeightFormat>(f)) << " [" << m << ", " << n << "]";
        }
      }
    }
  }
}

TEST_P(NonFiniteTest, PackedWeightsShowThem) {
  constexpr std::size_t kDepth = 64;
  for (std::size_t f = 0; f < kNumWeightFormats; ++f) {
    std::vector<float> values(17 * kDepth, 0.5f);
    values[16 * kDepth + 33] = kInfinity;
    const PackedWeights weights(static_cast<WeightFormat>(f), 17, kDepth, values);
    std::vector<float> row(kDepth);
    unpack_row(weights.matrix(), 16, row.data());
    EXPECT_FALSE(std::isfinite(row[33])) << weight_format_name(static_cast<WeightFormat>(f));
    unpack_row(weights.matrix(), 15, row.data());
    for (const float value : row) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_P(NonFiniteTest, AttentionKeepsThemFromThoseWhoDoNotSee) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    PagedCache cache({dtype, 1, 8, 8, 4}, {{0, 70}});
    GuardedRows keys = cache.drawn_rows(0, 0, 70, 8, 1);
    GuardedRows values = cache.drawn_rows(0, 0, 70, 8, 2);
    keys.row(66)[3] = kNan;
    values.row(50)[0] = kInfinity;
    GuardedRows y(70, 8);
    kv_store(context_, cache.heads(keys, 8), cache.heads(values, 8), cache.batch(), cache.cache());
    GuardedRows q = cache.drawn_rows(0, 0, 70, 8, 3);
    attention(context_, cache.heads(q, 8), cache.batch(), cache.cache(), {.scale = 0.3f},
              cache.heads(y, 8));
    for (std::size_t t = 0; t < 70; ++t) {
      EXPECT_EQ(std::isfinite(y.row(t)[0]), t < 50) << dtype_name(dtype) << " " << t;
      EXPECT_EQ(std::isnan(y.row(t)[7]), t >= 66 || (dtype == DType::kI8 && t >= 50))
          << dtype_name(dtype) << " " << t;
    }
  }
}

TEST_P(NonFiniteTest, ActivationsPassNanOn) {
  for (const Activation activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                      Activation::kRelu, Activation::kRelu2}) {
    const float x[] = {1.0f, kNan, -2.0f};
    float y[3] = {};
    GetParam()->activate(activation, x, 3, y);
    EXPECT_TRUE(std::isfinite(y[0]));
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_TRUE(std::isfinite(y[2]));
  }
  float capped[] = {kNan, kInfinity, -kInfinity};
  GetParam()->softcap(2.0f, 3, capped);
  EXPECT_TRUE(std::isnan(capped[0]));
  EXPECT_EQ(capped[1], 2.0f);
  EXPECT_EQ(capped[2], -2.0f);
}

}  // namespace
}  // namespace millrace::kernel_cases
