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

std::vector<WeightFormat> all_formats() {
  std::vector<WeightFormat> formats;
  for (std::size_t i = 0; i < kNumWeightFormats; ++i) {
    formats.push_back(static_cast<WeightFormat>(i));
  }
  return formats;
}
const std::vector<WeightFormat> kAllFormats = all_formats();

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
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt8G32), 9);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt8G32Min), 10);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt8G16), 10);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4G32), 5);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4G32Min), 6);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4G16), 6);
  EXPECT_EQ(weight_format_bits(WeightFormat::kInt4G16Min), 8);
  EXPECT_EQ(weight_format_bits(WeightFormat::kE2m1G32), 5);
  EXPECT_EQ(weight_format_bits(WeightFormat::kIq4G32), 5);
}

TEST(Pack, SizesThatCannotBeAreRefused) {
  for (const WeightFormat format : kAllFormats) {
    EXPECT_TRUE(packed_bytes(format, 1, 64).ok());
    EXPECT_EQ(packed_bytes(format, 0, 64).value(), 0u);
    EXPECT_FALSE(packed_bytes(format, std::uint64_t{1} << 40, std::uint64_t{1} << 40).ok());
    EXPECT_FALSE(packed_bytes(format, ~std::uint64_t{0}, 32).ok());
    EXPECT_FALSE(packed_bytes(format, 0, ~std::uint64_t{31}).ok());
    EXPECT_EQ(packed_bytes(format, 1, 65).ok(), weight_depth_multiple(format) == 1);
  }
  const auto odd = packed_bytes(WeightFormat::kInt8, 7, 65);
  EXPECT_EQ(odd.error().message, "int8 matrix of [7, 65] has a depth that is no multiple of 32");
}

// Largest error of a value in a group with these extremes.
double error_bound(WeightFormat format, double low, double high) {
  const double largest = std::max(std::abs(low), std::abs(high));
  if (format == WeightFormat::kF32) return 0;
  if (format == WeightFormat::kF16) return largest * 0x1.0p-11;
  if (format == WeightFormat::kBF16) return largest * 0x1.0p-8;
  if (format == WeightFormat::kE4m3G32) return largest * 0x1.0p-4 * 1.0001;
  const IntFormat ints = int_format(format);
  // Of the scale and the minimum, as they are stored.
  const double rounding = ints.has_wide_scales ? 0x1.0p-22 : 0x1.0p-11;
  if (ints.has_minimum) {
    const double num_steps = ints.num_bits == 8 ? 254 : 15;
    return (high - low) / num_steps * 0.5 + ((high - low) + largest) * rounding * 1.01;
  }
  // Half the widest gap between values, of a scale of 1/12 and 1/127 of the largest value; at the
  // end of the other sign iq4 clips by 14/127.
  if (ints.values == QuantValues::kE2m1) return largest * (2.0 / 12 + rounding);
  if (ints.values == QuantValues::kIq4) return largest * (14.0 / 127 + rounding);
  // Half a step; the largest value may clip by the scale's rounding.
  if (ints.num_bits == 8) return largest / 127 * 0.5 + largest * rounding;
  return largest / 8 + largest * rounding;  // The far end, at +7 of 8 steps, clips by a whole step.
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

// A quant that the format can hold.
std::int8_t drawn_quant(const IntFormat& ints, Random& random) {
  if (ints.values == QuantValues::kE2m1) return kE2m1Values[random.below(16)];
  if (ints.values == QuantValues::kIq4) return kIq4Values[random.below(16)];
  const auto span = static_cast<std::uint64_t>(ints.quant_max - ints.quant_min + 1);
  return static_cast<std::int8_t>(ints.quant_min + static_cast<int>(random.below(span)));
}

TEST(Pack, QuantsAreTakenOverWithoutLoss) {
  constexpr std::size_t kRows = 18;
  constexpr std::size_t kCols = 96;
  for (const WeightFormat format : kAllFormats) {
    if (!needs_quantized_rows(format)) continue;
    const IntFormat ints = int_format(format);
    for (const std::size_t group_size : {ints.group_size, std::size_t{32}, std::size_t{96}}) {
      Random random(2);
      std::vector<std::int8_t> quants(kRows * kCols);
      std::vector<float> scales(quants.size() / group_size);
      std::vector<float> minima(scales.size());
      for (std::int8_t& quant : quants) quant = drawn_quant(ints, random);
      const auto scale = [&] {
        const auto value = static_cast<float>(random.normal());
        return ints.has_wide_scales ? value : to_float(to_float16(value));
      };
      for (float& value : scales) value = scale();
      for (float& value : minima) value = scale();
      Packed packed(format, kRows, kCols);
      const QuantRows rows = {.quants = quants.data(),
                              .scales = scales.data(),
                              .minima = ints.has_minimum ? minima.data() : nullptr,
                              .num_rows = kRows,
                              .num_cols = kCols,
                              .group_size = group_size};
      pack_quant_rows(rows, 0, packed.matrix);
      for (std::size_t r = 0; r < kRows; ++r) {
        const std::vector<float> row = packed.row(r);
        for (std::size_t c = 0; c < kCols; ++c) {
          const std::size_t at = (r * kCols + c) / group_size;
          const float product = scales[at] * static_cast<float>(quants[r * kCols + c]);
          ASSERT_EQ(row[c], ints.has_minimum ? product + minima[at] : product)
              << weight_format_name(format) << " [" << r << ", " << c << "]";
        }
      }
    }
  }
}

TEST(Pack, Float8RowsAreTakenOverWithoutLoss) {
  constexpr std::size_t kRows = 18;
  constexpr std::size_t kCols = 128;
  for (const std::size_t group_size : {32u, 64u, 128u}) {
    Random random(3);
    std::vector<Float8> values(kRows * kCols);
    std::vector<float> scales(values.size() / group_size);
    for (Float8& value : values) value.bits = static_cast<std::uint8_t>(random.below(127) * 2);
    for (float& scale : scales) scale = static_cast<float>(random.normal());
    Packed packed(WeightFormat::kE4m3G32, kRows, kCols);
    pack_float8_rows({.values = values.data(),
                      .scales = scales.data(),
                      .num_rows = kRows,
                      .num_cols = kCols,
                      .group_size = group_size},
                     0, packed.matrix);
    for (std::size_t r = 0; r < kRows; ++r) {
      const std::vector<float> row = packed.row(r);
      for (std::size_t c = 0; c < kCols; ++c) {
        const std::size_t at = r * kCols + c;
        ASSERT_EQ(row[c], scales[at / group_size] * to_float(values[at])) << r << ", " << c;
      }
    }
  }
}

TEST(Pack, SmallestLosslessFormat) {
  const auto format = [](const QuantKind& kind) { return lossless_format(kind); };
  EXPECT_EQ(format({.has_half_scales = true}), WeightFormat::kInt8);
  EXPECT_EQ(format({.quant_min = -8, .quant_max = 7, .has_half_scales = true}),
            WeightFormat::kInt4);
  EXPECT_EQ(format({.group_size = 128, .quant_min = 0, .quant_max = 15, .has_minimum = true}),
            WeightFormat::kInt4G32Min);
  EXPECT_EQ(format({.group_size = 16, .quant_min = -32, .quant_max = 31}), WeightFormat::kInt8G16);
  EXPECT_EQ(format({.group_size = 16, .quant_min = -4, .quant_max = 3}), WeightFormat::kInt4G16);
  EXPECT_EQ(format({.quant_min = -12, .quant_max = 12, .values = QuantValues::kE2m1}),
            WeightFormat::kE2m1G32);
  EXPECT_EQ(format({.group_size = 48}), std::nullopt);
  EXPECT_EQ(format({.group_size = 16, .has_minimum = true}), std::nullopt);
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
    EXPECT_LE(reinterpret_cast<std::byte*>(q.sums + num_rows * 6),
              buffer.bytes().data() + num_bytes);
  }
}

}  // namespace
}  // namespace millrace
