// The int formats on the worst inputs: every weight and activation at its limit, sums exact.
#include <gtest/gtest.h>

#include <vector>

#include "every_isa.h"
#include "kernel_case.h"
#include "kernels/pack.h"
#include "packed_weights.h"

namespace millrace::kernel_cases {
namespace {

class ExactIntegerTest : public ::testing::TestWithParam<const CpuKernels*> {};

INSTANTIATE_TEST_SUITE_P(EveryRunnableIsa, ExactIntegerTest, every_isa(), isa_name);

constexpr std::size_t kOutputs = 33;
constexpr std::size_t kGroups = 5;
constexpr std::size_t kDepth = kGroups * kWeightGroup;

struct Worst {
  WeightFormat format;
  int low;
  int high;
};

// Every format with its extreme quants, and with the highest alone.
std::vector<Worst> worst_cases() {
  std::vector<Worst> all = {{WeightFormat::kInt8, -127, -127}};
  for (std::size_t i = 0; i < kNumWeightFormats; ++i) {
    const auto format = static_cast<WeightFormat>(i);
    if (!needs_quantized_rows(format)) continue;
    const IntFormat ints = int_format(format);
    if (ints.values == QuantValues::kE2m1) {
      all.insert(all.end(), {{format, -12, 12}, {format, 12, 12}});
    } else if (ints.values == QuantValues::kIq4) {
      all.insert(all.end(), {{format, -127, 113}, {format, -127, -127}});
    } else {
      all.insert(all.end(), {{format, ints.quant_min, ints.quant_max},
                             {format, ints.quant_max, ints.quant_max},
                             {format, ints.quant_min, ints.quant_min}});
    }
  }
  return all;
}

// Quants that `draw` gives, of scale 1 and minimum -2.
template <class Draw>
PackedWeights pack_drawn(WeightFormat format, const Draw& draw) {
  PackedWeights weights(format, kOutputs, kDepth, std::vector<float>(kOutputs * kDepth));
  std::vector<std::int8_t> quants(kOutputs * kDepth);
  for (std::int8_t& quant : quants) quant = static_cast<std::int8_t>(draw());
  const std::vector<float> scales(kOutputs * kDepth / kSumGroup, 1.0f);
  const std::vector<float> minima(scales.size(), -2.0f);
  const IntFormat ints = int_format(format);
  pack_quant_rows({.quants = quants.data(),
                   .scales = scales.data(),
                   .minima = ints.has_minimum ? minima.data() : nullptr,
                   .num_rows = kOutputs,
                   .num_cols = kDepth,
                   .group_size = ints.group_size},
                  0, weights.matrix());
  return weights;
}

TEST_P(ExactIntegerTest, SumsOfExtremesAreExact) {
  for (const Worst& worst : worst_cases()) {
    Random random(31);
    const PackedWeights weights =
        pack_drawn(worst.format, [&] { return random.chance(0.75) ? worst.high : worst.low; });

    for (const std::size_t num_rows : {1u, 3u, 4u, 9u}) {
      QuantizedBuffer x(num_rows, kDepth);
      const QuantizedRows& q = x.rows();
      for (std::size_t i = 0; i < num_rows * kDepth; ++i) {
        q.values[i] = static_cast<std::int8_t>(random.chance(0.75) ? 127 : -127);
        q.sums[i / kSumGroup] = (i % kSumGroup == 0 ? 0 : q.sums[i / kSumGroup]) + q.values[i];
      }
      for (std::size_t g = 0; g < num_rows * kGroups; ++g) q.scales[g] = 1.0f;
      GuardedRows x_floats(num_rows, kDepth);
      GuardedRows y(num_rows, kOutputs);
      ThreadTeam team(1);
      KernelContext context(*GetParam(), team);
      matmul(context, {.x = x_floats.view(), .quantized = &q}, weights.matrix(), {}, y.view());

      std::vector<float> row(kDepth);
      for (std::size_t n = 0; n < kOutputs; ++n) {
        unpack_row(weights.matrix(), n, row.data());
        for (std::size_t m = 0; m < num_rows; ++m) {
          std::int64_t total = 0;  // Below 2^24: exact in f32 too.
          for (std::size_t p = 0; p < kDepth; ++p) {
            total += static_cast<std::int64_t>(row[p]) * q.values[m * kDepth + p];
          }
          ASSERT_EQ(y.row(m)[n], static_cast<float>(total))
              << weight_format_name(worst.format) << " [" << m << ", " << n << "]";
        }
      }
    }
  }
}

}  // namespace
}  // namespace millrace::kernel_cases
