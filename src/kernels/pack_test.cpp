// Packing: what goes in comes out, to the precision of the format; imported blocks without loss.
#include "kernels/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "tensor/buffer.h"

namespace millrace {
namespace {

constexpr WeightFormat kAllFormats[] = {WeightFormat::kF32,  WeightFormat::kF16,
                                        WeightFormat::kBF16, WeightFormat::kInt8,
                                        WeightFormat::kInt4, WeightFormat::kInt4Min};

struct Packed {
  Packed(WeightFormat format, std::size_t num_rows, std::size_t num_cols)
      : buffer(MUST(Buffer::allocate(MUST(packed_bytes(format, num_rows, num_cols))))),  // Small.
        matrix{format, num_rows, num_cols, buffer.bytes().data()} {}
  std::vector<float> row(std::size_t index) const {
    std::vector<float> values(matrix.num_cols);
    unpack_row(matrix, index, values.data());
    return values;
  }
  Buffer buffer;
  PackedMatrix matrix;
};

std::vector<float> normal_values(std::size_t count) {
  Random random(1);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

TEST(Pack, NamesComeBack) {
  for (const WeightFormat format : kAllFormats) {
    EXPECT_EQ(weight_format_from_name(weight_format_name(format)), format);
  }
  EXPECT_FALSE(weight_format_from_name("int3").has_value());
}

TEST(Pack, BitsPerWeightCountScales) {
  EXPECT_EQ(weight_format_bits(WeightFormat::kF32), 32);
  EXPECT_EQ(weight_format_bits(WeightFormat::kBF16), 16);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt8), 8.5);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4), 4.5);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4Min), 5);
}

TEST(Pack, SizesThatCannotBeAreRefused) {
  for (const WeightFormat format : kAllFormats) {
    EXPECT_TRUE(packed_bytes(format, 1, 64).ok());
    EXPECT_EQ(packed_bytes(format, 0, 64).value(), 0u);
    EXPECT_FALSE(packed_bytes(format, std::uint64_t{1} << 40, std::uint64_t{1} << 40).ok());
    EXPECT_FALSE(packed_bytes(format, ~std::uint64_t{0}, 32).ok());
    EXPECT_FALSE(packed_bytes(format, 0, ~std::uint64_t{31}).ok());
    EXPECT_EQ(packed_bytes(format, 1, 65).ok(), !needs_quantized_rows(format));
  }
  const auto odd = packed_bytes(WeightFormat::kInt8, 7, 65);
  EXPECT_EQ(odd.error().message, "int8 matrix of [7, 65] has a depth that is no multiple of 32");
}

// Largest error of a value in a group with these extremes.
double error_bound(WeightFormat format, double low, double high) {
  const double largest = std::max(std::abs(low), std::abs(high));
  constexpr double kHalfRounding = 0x1.0p-11;  // of the scale and the minimum to f16
  switch (format) {
    case WeightFormat::kF32:
      return 0;
    case WeightFormat::kF16:
      return largest * 0x1.0p-11;
    case WeightFormat::kBF16:
      return largest * 0x1.0p-8;
    case WeightFormat::kInt8:  // Half a step; the largest value may clip by the scale's rounding.
      return largest / 127 * 0.5 + largest * kHalfRounding;
    case WeightFormat::kInt4:  // The far end, at +7 of 8 steps, clips by up to a whole step.
      return largest / 8 + largest * kHalfRounding;
    case WeightFormat::kInt4Min:
      return (high - low) / 15 * 0.5 + ((high - low) + std::abs(low)) * kHalfRounding * 1.01;
  }
  return 0;
}

TEST(Pack, FloatsComeBackToThePrecisionOfTheFormat) {
  constexpr std::size_t kRows = 37;
  constexpr std::size_t kCols = 160;
  const std::vector<float> values = normal_values(kRows * kCols);
  for (const WeightFormat format : kAllFormats) {
    Packed packed(format, kRows, kCols);
    // In two parts, as two threads would.
    const ConstTensorView view = view_of(values.data(), {kRows, kCols});
    pack_rows(view.rows(16, kRows - 16), 16, packed.matrix);
    pack_rows(view.rows(0, 16), 0, packed.matrix);
    for (std::size_t r = 0; r < kRows; ++r) {
      const std::vector<float> row = packed.row(r);
      for (std::size_t c = 0; c < kCols; ++c) {
        const float* group = &values[r * kCols + c / 32 * 32];
        const auto [low, high] = std::minmax_element(group, group + 32);
        ASSERT_NEAR(row[c], values[r * kCols + c], error_bound(format, double{*low}, double{*high}))
            << weight_format_name(format) << " [" << r << ", " << c << "]";
      }
    }
  }
}

// The same values from f16 and bf16 sources as from f32.
TEST(Pack, SourceTypesAgree) {
  constexpr std::size_t kCols = 96;
  std::vector<float> values = normal_values(20 * kCols);
  std::vector<BFloat16> bfloats;
  std::vector<Float16> halves;
  for (float& value : values) {
    value = to_float(to_bfloat16(value));
    if (std::abs(value) < 1e-3f) value = 0;  // So that f16 holds it exactly too.
    bfloats.push_back(to_bfloat16(value));
    halves.push_back(to_float16(value));
  }
  for (const WeightFormat format : kAllFormats) {
    Packed from_f32(format, 20, kCols);
    Packed from_bf16(format, 20, kCols);
    Packed from_f16(format, 20, kCols);
    pack_rows(view_of(values.data(), {20, kCols}), 0, from_f32.matrix);
    pack_rows(view_of(bfloats.data(), {20, kCols}), 0, from_bf16.matrix);
    pack_rows(view_of(halves.data(), {20, kCols}), 0, from_f16.matrix);
    const std::size_t num_bytes = from_f32.buffer.bytes().size();
    EXPECT_EQ(std::memcmp(from_f32.matrix.data, from_bf16.matrix.data, num_bytes), 0);
    EXPECT_EQ(std::memcmp(from_f32.matrix.data, from_f16.matrix.data, num_bytes), 0);
  }
}

struct Import {
  DType dtype;
  WeightFormat format;
};

// What a block's element i means by the definition of its type, independently of packing.
double block_value(DType dtype, const std::uint8_t* block, std::size_t i) {
  const auto half = [block](std::size_t at) {
    return double{to_float(Float16{static_cast<std::uint16_t>(block[at] | block[at + 1] << 8)})};
  };
  if (dtype == DType::kQ8_0) return half(0) * static_cast<std::int8_t>(block[2 + i]);
  const std::size_t first = dtype == DType::kQ4_1 ? 4 : 2;
  const int nibble = i < 16 ? block[first + i] & 15 : block[first + i - 16] >> 4;
  return dtype == DType::kQ4_1 ? half(0) * nibble + half(2) : half(0) * (nibble - 8);
}

TEST(Pack, BlocksAreTakenOverWithoutLoss) {
  constexpr std::size_t kRows = 18;
  constexpr std::size_t kGroups = 3;
  for (const Import import :
       {Import{DType::kQ8_0, WeightFormat::kInt8}, Import{DType::kQ4_0, WeightFormat::kInt4},
        Import{DType::kQ4_1, WeightFormat::kInt4Min}}) {
    EXPECT_TRUE(can_pack(import.dtype, import.format));
    EXPECT_FALSE(can_pack(import.dtype, WeightFormat::kF32));
    const std::size_t block_bytes = quant_format(import.dtype).group_bytes;
    std::vector<std::uint8_t> blocks(kRows * kGroups * block_bytes);
    Random random(2);
    for (std::uint8_t& byte : blocks) byte = static_cast<std::uint8_t>(random.below(256));
    // Scales and minima with an exponent that keeps them finite.
    for (std::size_t b = 0; b < kRows * kGroups; ++b) {
      blocks[b * block_bytes + 1] &= 0xBF;
      if (import.dtype == DType::kQ4_1) blocks[b * block_bytes + 3] &= 0xBF;
    }
    Packed packed(import.format, kRows, kGroups * 32);
    const ConstTensorView view(reinterpret_cast<const std::byte*>(blocks.data()), import.dtype,
                               {kRows, kGroups * 32});
    pack_rows(view, 0, packed.matrix);
    for (std::size_t r = 0; r < kRows; ++r) {
      const std::vector<float> row = packed.row(r);
      for (std::size_t c = 0; c < row.size(); ++c) {
        const std::uint8_t* block = &blocks[(r * kGroups + c / 32) * block_bytes];
        ASSERT_EQ(row[c], static_cast<float>(block_value(import.dtype, block, c % 32)))
            << dtype_name(import.dtype) << " [" << r << ", " << c << "]";
      }
    }
  }
}

TEST(Pack, PaddingRowsAreZeros) {
  for (const WeightFormat format : kAllFormats) {
    Packed packed(format, 16, 64);
    Packed short_one(format, 3, 64);
    const std::vector<float> values = normal_values(3 * 64);
    std::vector<float> padded(16 * 64);
    std::copy(values.begin(), values.end(), padded.begin());
    pack_rows(view_of(values.data(), {3, 64}), 0, short_one.matrix);
    pack_rows(view_of(padded.data(), {16, 64}), 0, packed.matrix);
    for (std::size_t r = 0; r < 3; ++r) EXPECT_EQ(short_one.row(r), packed.row(r));
    for (std::size_t r = 3; r < 16; ++r) {
      for (const float value : packed.row(r)) EXPECT_EQ(value, 0.0f);
    }
  }
}

TEST(Pack, QuantizedRowsLieApart) {
  for (const std::size_t num_rows : {0u, 1u, 3u, 7u}) {
    const std::size_t num_bytes = quantized_rows_bytes(num_rows, 96);
    Buffer buffer = MUST(Buffer::allocate(num_bytes + 64));  // Small.
    const QuantizedRows q = quantized_rows_in(buffer.bytes().data(), num_rows, 96);
    EXPECT_GE(reinterpret_cast<std::byte*>(q.scales),
              reinterpret_cast<std::byte*>(q.values + num_rows * 96));
    EXPECT_GE(q.sums, reinterpret_cast<std::int32_t*>(q.scales + num_rows * 3));
    EXPECT_LE(reinterpret_cast<std::byte*>(q.sums + num_rows * 3),
              buffer.bytes().data() + num_bytes);
  }
}

}  // namespace
}  // namespace millrace
