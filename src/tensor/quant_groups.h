// Weights as small integers with scales: what every quantised file comes down to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

// What the quants of a type can be.
enum class QuantValues : std::uint8_t {
  kRange,  // every integer from quant_min to quant_max
  kE2m1,   // the 16 values of kE2m1Values
  kIq4,    // the 16 values of kIq4Values
};

// The 4-bit floats of the OCP Microscaling Formats specification 1.0, 5.3.3, doubled.
inline constexpr std::array<std::int8_t, 16> kE2m1Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                                            0, -1, -2, -3, -4, -6, -8, -12};
// GGUF's IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl).
inline constexpr std::array<std::int8_t, 16> kIq4Values = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// w = scale * quant, or scale * quant + minimum, where scale (and minimum) are shared by group_size
// weights in a row. The products of finite scales are exact in f32.
struct QuantKind {
  std::uint32_t group_size = 32;
  int quant_min = -128;
  int quant_max = 127;
  bool has_minimum = false;
  bool has_half_scales = false;  // Every scale and minimum is an f16 value.
  QuantValues values = QuantValues::kRange;
};

// Somebody else's room for rows of such weights, or some of them.
//
//   quants  [n, P]                 scales, minima  [n, P / group_size]; minima empty if there are
//                                                  none
struct QuantSpans {
  std::span<std::int8_t> quants;
  std::span<float> scales;
  std::span<float> minima;
};

}  // namespace millrace
