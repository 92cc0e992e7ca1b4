// 16-bit floats: every half converts to float and back unchanged, and rounding is to nearest even.
#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tensor/dtype.h"

namespace millrace {
namespace {

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const Float16 half{static_cast<std::uint16_t>(bits)};
    const BFloat16 bfloat{static_cast<std::uint16_t>(bits)};
    if (std::isnan(to_float(half))) {
      EXPECT_TRUE(std::isnan(to_float(to_float16(to_float(half)))));
    } else {
      EXPECT_EQ(to_float16(to_float(half)).bits, half.bits);
    }
    if (std::isnan(to_float(bfloat))) {
      EXPECT_TRUE(std::isnan(to_float(to_bfloat16(to_float(bfloat)))));
    } else {
      EXPECT_EQ(to_bfloat16(to_float(bfloat)).bits, bfloat.bits);
    }
  }
}

// The nearest of the two neighbouring halves, ties to the even one, found by search rather than by
// bits.
TEST(Half, RoundsToNearestEven) {
  Random random(3);
  for (int i = 0; i < 200'000; ++i) {
    const float value =
        static_cast<float>(random.normal() * std::pow(10.0, random.uniform() * 12.0 - 8.0));
    if (std::fabs(value) >= 65504.0f) continue;
    const Float16 got = to_float16(value);
    const double error = std::fabs(double{to_float(got)} - double{value});
    for (const int step : {-1, 1}) {
      const Float16 other{static_cast<std::uint16_t>(got.bits + step)};
      if (!std::isfinite(to_float(other)) || (got.bits & 0x7FFFu) == 0) continue;
      const double other_error = std::fabs(double{to_float(other)} - double{value});
      ASSERT_LE(error, other_error) << value;
      if (error == other_error) {
        ASSERT_EQ(got.bits & 1u, 0u) << value;
      }
    }
  }
  EXPECT_EQ(to_float16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(to_float16(65519.0f).bits, 0x7BFF);
  EXPECT_EQ(to_float16(0x1.0p-25f).bits, 0);
  EXPECT_EQ(to_float16(0x1.8p-25f).bits, 1);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()).bits, 0x7F80);
}

// Every value by its definition; every other float goes to the nearest of them, ties to even.
TEST(Float8, HoldsWhatE4m3Defines) {
  for (int bits = 0; bits < 256; ++bits) {
    const Float8 value{static_cast<std::uint8_t>(bits)};
    const int exponent = bits >> 3 & 15;
    const int mantissa = bits & 7;
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(to_float(value)));
      EXPECT_EQ(to_float8(to_float(value)).bits & 0x7F, 0x7F);
      continue;
    }
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    EXPECT_EQ(double{to_float(value)}, bits >= 128 ? -magnitude : magnitude) << bits;
    EXPECT_EQ(std::signbit(to_float(value)), bits >= 128) << bits;
    EXPECT_EQ(to_float8(to_float(value)).bits, bits);
  }
}

TEST(Float8, RoundsToNearestEven) {
  for (int bits = 0; bits < 0x7E; ++bits) {
    const float low = to_float(Float8{static_cast<std::uint8_t>(bits)});
    const float high = to_float(Float8{static_cast<std::uint8_t>(bits + 1)});
    const float middle = low / 2 + high / 2;  // Exact.
    EXPECT_EQ(to_float8(middle).bits, bits + bits % 2);
    EXPECT_EQ(to_float8(std::nextafter(middle, 0.0f)).bits, bits);
    EXPECT_EQ(to_float8(std::nextafter(-middle, -1e9f)).bits, 0x80 | (bits + 1));
  }
  EXPECT_EQ(to_float8(464.0f).bits, 0x7E);
  EXPECT_EQ(to_float8(465.0f).bits, 0x7F);
  EXPECT_EQ(to_float8(-std::numeric_limits<float>::infinity()).bits, 0xFF);
}

TEST(DType, NamesAndSizesAgree) {
  for (std::size_t i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(storage_bytes(DType::kQ4_0, 64), 36u);
  EXPECT_EQ(storage_bytes(DType::kQ4_0, 33), std::nullopt);
  EXPECT_EQ(storage_bytes(DType::kF64, std::uint64_t{1} << 62), std::nullopt);
  EXPECT_FALSE(dtype_from_name("q9_9").has_value());
}

}  // namespace
}  // namespace millrace
