// Conversions between float and narrower float formats, exact and rounding to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace millrace {

// Bits of the upper half of a float: 1 sign, 8 exponent, 7 mantissa.
struct BFloat16 {
  std::uint16_t bits = 0;
};

// IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa.
struct Float16 {
  std::uint16_t bits = 0;
};

// E4M3: 1 sign, 4 exponent (bias 7), 3 mantissa; 0x7F and 0xFF are NaN, nothing is infinite, the
// largest is 448. Micikevicius et al. 2022, FP8 Formats for Deep Learning, arXiv:2209.05433.
struct Float8 {
  std::uint8_t bits = 0;
};
// Kernels that move the bits of an e4m3 into an f16 get this share of its value (biases 7 and 15).
inline constexpr float kFloat8Share = 0x1.0p-8f;

constexpr float to_float(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

// A NaN stays a NaN: its quiet bit is set so that dropping the low half cannot make it infinite.
constexpr BFloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  const std::uint32_t rounding = 0x7FFFu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>((bits + rounding) >> 16)};
}

constexpr float to_float(Float16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1Fu;
  const std::uint32_t mantissa = value.bits & 0x3FFu;
  if (exponent == 0x1Fu) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  // Zero and subnormals: mantissa * 2^-24 is exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

constexpr Float16 to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {static_cast<std::uint16_t>(sign | 0x7E00u)};
  if (magnitude >= 0x477FF000u)
    return {static_cast<std::uint16_t>(sign | 0x7C00u)};  // >= 65520: inf
  if (magnitude <
      0x38800000u) {  // Below 2^-14: adding 0.5 aligns the mantissa to 2^-24 and rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {
        static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u))};
  }
  const std::uint32_t rounding = 0xFFFu + ((magnitude >> 13) & 1u);
  return {static_cast<std::uint16_t>(sign | ((magnitude + rounding - 0x38000000u) >> 13))};
}

constexpr float to_float(Float8 value) {
  const std::uint32_t sign = (value.bits & 0x80u) << 24;
  const std::uint32_t magnitude = value.bits & 0x7Fu;
  if (magnitude == 0x7Fu) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (magnitude >= 8u) return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
  const float small = static_cast<float>(magnitude) * 0x1.0p-9f;
  return sign != 0 ? -small : small;
}

// Beyond 464 there is nothing but NaN.
constexpr Float8 to_float8(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 24 & 0x80u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x43E80000u) return {static_cast<std::uint8_t>(sign | 0x7Fu)};
  if (magnitude < 0x3C800000u) {  // Below 2^-6: adding 2^14 aligns the mantissa to 2^-9 and rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1.0p14f;
    return {
        static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x46800000u))};
  }
  const std::uint32_t rounding = 0x7FFFFu + (magnitude >> 20 & 1u);
  return {static_cast<std::uint8_t>(sign | (magnitude + rounding - (120u << 23)) >> 20)};
}

}  // namespace millrace
