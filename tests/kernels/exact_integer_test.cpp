// The int formats on the worst inputs: every weight and activation at its limit, sums exact.
#include <gtest/gtest.h>

#include <cstring>

#include "every_isa.h"
#include "kernel_case.h"
#include "packed_weights.h"

namespace millrace::kernel_cases {
namespace {

class ExactIntegerTest : public ::testing::TestWithParam<const CpuKernels*> {};

INSTANTIATE_TEST_SUITE_P(EveryRunnableIsa, ExactIntegerTest, every_isa(), isa_name);

constexpr std::size_t kOutputs = 33;
constexpr std::size_t kGroups = 5;
constexpr std::size_t kDepth = kGroups * kWeightGroup;
constexpr std::uint16_t kOneHalf = 0x3C00;       // 1.0 as f16
constexpr std::uint16_t kMinusTwoHalf = 0xC000;  // -2.0

// GGUF blocks with scale 1 (and minimum -2) whose quants `draw` gives: 0..255 for q8_0 (as two's
// complement), 0..15 otherwise.
template <class Draw>
std::vector<std::byte> make_blocks(DType dtype, const Draw& draw) {
  const std::size_t header = dtype == DType::kQ4_1 ? 4 : 2;
  const std::size_t block_bytes = quant_format(dtype).group_bytes;
  std::vector<std::byte> bytes(kOutputs * kGroups * block_bytes);
  for (std::size_t b = 0; b < kOutputs * kGroups; ++b) {
    std::byte* block = bytes.data() + b * block_bytes;
    const std::uint16_t halves[] = {kOneHalf, kMinusTwoHalf};
    std::memcpy(block, halves, header);
    for (std::size_t i = header; i < block_bytes; ++i) {
      const auto quant = [&draw] { return static_cast<unsigned>(draw()); };
      block[i] = dtype == DType::kQ8_0 ? static_cast<std::byte>(quant())
                                       : static_cast<std::byte>(quant() | quant() << 4);
    }
  }
  return bytes;
}

// Rows of a matrix in blocks, as pack_rows takes it.
ConstTensorView blocks_view(const std::vector<std::byte>& bytes, DType dtype) {
  return {bytes.data(), dtype, {kOutputs, kDepth}};
}

struct Worst {
  DType dtype;
  WeightFormat format;
  unsigned low;
  unsigned high;
};

TEST_P(ExactIntegerTest, SumsOfExtremesAreExact) {
  for (const Worst worst : {Worst{DType::kQ8_0, WeightFormat::kInt8, 0x80, 0x7F},
                            Worst{DType::kQ8_0, WeightFormat::kInt8, 0x81, 0x81},
                            Worst{DType::kQ8_0, WeightFormat::kInt8, 0x7F, 0x7F},
                            Worst{DType::kQ4_0, WeightFormat::kInt4, 0, 15},
                            Worst{DType::kQ4_0, WeightFormat::kInt4, 15, 15},
                            Worst{DType::kQ4_1, WeightFormat::kInt4Min, 0, 15},
                            Worst{DType::kQ4_1, WeightFormat::kInt4Min, 15, 15}}) {
    Random random(31);
    const auto blocks =
        make_blocks(worst.dtype, [&] { return random.chance(0.75) ? worst.high : worst.low; });
    PackedWeights weights(worst.format, kOutputs, kDepth, std::vector<float>(kOutputs * kDepth));
    pack_rows(blocks_view(blocks, worst.dtype), 0, weights.matrix());

    for (const std::size_t num_rows : {1u, 3u, 4u, 9u}) {
      QuantizedBuffer x(num_rows, kDepth);
      const QuantizedRows& q = x.rows();
      for (std::size_t i = 0; i < num_rows * kDepth; ++i) {
        q.values[i] = static_cast<std::int8_t>(random.chance(0.75) ? 127 : -127);
        q.sums[i / kWeightGroup] =
            (i % kWeightGroup == 0 ? 0 : q.sums[i / kWeightGroup]) + q.values[i];
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
