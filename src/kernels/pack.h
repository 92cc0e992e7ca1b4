// Where each weight lies inside a packed matrix: the layouts that every row's kernels stream.
//
// A matrix [N, P] is cut into panels of kPanelRows = 16 outputs, one after the other; the last is
// padded with zeros. Inside a panel the 16 outputs lie side by side, so that one vector load feeds
// 16 sums and no sum ever crosses lanes.
//
//   f32, f16, bf16     one k after the other, 16 elements each:
//
//     k = 0              k = 1                   k = P - 1
//     | w0 w1 … w15 |    | w0 w1 … w15 |    …    | w0 w1 … w15 |            f32, f16
//     | w0 w8 w1 w9 … w7 w15 | …                                            bf16
//
//   bf16's halves are interleaved because then a shift and a mask of the same 32 bytes give the f32
//   of outputs 0-7 and 8-15, where widening in order takes a shuffle per vector.
//
//   e4m3-g32           scales first, padded to 64 bytes, then as f32:
//
//     | g0: s0 … s15 | g1: … | pad |  f32, 64 bytes per group of 32 k, each scale * 256: the bits
//     of | k = 0: w0 w1 … w15 | k = 1: …  an e4m3 moved into an f16 give value / 256. 16 bytes per
//     k
//
//   int8, int8-…       scales first, padded to 64 bytes, then groups of 32 k:
//
//     | g0: s0 … s15 (m0 … m15) | g1: … | pad |  f16, or f32 (-g32, -g16: groups of 32 or 16 k)
//     | group 0: quad 0 … quad 7 | group 1 | …   512 bytes per group
//       quad i:  | w0: k=4i..4i+3 | w1: k=4i..4i+3 | … | w15 |     64 bytes, each q + 128
//       (unsigned)
//
//   int4, int4-…, e2m1, iq4     the same with half the quants:
//
//     | group 0: chunk 0 … chunk 3 | group 1 | … 256 bytes per group
//       chunk i: | w0: 4 bytes | w1: 4 bytes | … | w15 |           64 bytes
//                byte j of a weight row: low nibble k = 8i + j, high nibble k = 8i + 4 + j
//
// Four consecutive k of one output fill a 32-bit lane because that is what x86's and ARM's 8-bit
// dot products take. int8 is stored with an offset of 128: with unsigned weights vpdpbusd and
// vpmaddubsw take the signed activations as they are, and 128 times the group's activation sum,
// which every row of QuantizedRows carries, takes the offset out again, exactly. int4's q - 8 works
// the same way.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.h"

namespace millrace {

inline constexpr std::size_t kPackedAlignment = 64;

struct PanelLayout {
  std::size_t scale_bytes = 0;  // All scales and minima of a panel, padded; 0 for plain floats.
  std::size_t group_scale_bytes = 0;  // Scales and minima of one group of the format.
  std::size_t group_bytes = 0;        // Quants of one group of 32 k; elements of one k for floats.
  std::size_t panel_bytes = 0;        // Distance between panels.
};

// How the int formats differ.
struct IntFormat {
  std::size_t num_bits = 8;
  std::size_t group_size = kWeightGroup;
  bool has_minimum = false;
  bool has_wide_scales = false;  // f32, else f16
  QuantValues values = QuantValues::kRange;
  int quant_min = -128;
  int quant_max = 127;
};

constexpr IntFormat int_format(WeightFormat format) {
  IntFormat ints;
  ints.has_wide_scales = format >= WeightFormat::kInt8G32;
  ints.has_minimum = format == WeightFormat::kInt4Min || format == WeightFormat::kInt8G32Min ||
                     format == WeightFormat::kInt4G32Min || format == WeightFormat::kInt4G16Min;
  if (format == WeightFormat::kInt8G16 || format == WeightFormat::kInt4G16 ||
      format == WeightFormat::kInt4G16Min) {
    ints.group_size = 16;
  }
  if (format == WeightFormat::kE2m1G32) ints.values = QuantValues::kE2m1;
  if (format == WeightFormat::kIq4G32) ints.values = QuantValues::kIq4;
  const bool has_8_bits = format == WeightFormat::kInt8 || format == WeightFormat::kInt8G32 ||
                          format == WeightFormat::kInt8G32Min || format == WeightFormat::kInt8G16;
  ints.num_bits = has_8_bits ? 8 : 4;
  if (!has_8_bits && ints.values == QuantValues::kRange) {
    ints.quant_min = ints.has_minimum ? 0 : -8;
    ints.quant_max = ints.has_minimum ? 15 : 7;
  }
  return ints;
}

constexpr std::size_t weight_element_bytes(WeightFormat format) {
  if (format == WeightFormat::kE4m3G32) return 1;
  return format == WeightFormat::kF32 ? 4 : 2;
}

inline PanelLayout panel_layout(WeightFormat format, std::size_t num_cols) {
  if (!needs_quantized_rows(format)) {
    const std::size_t bytes = kPanelRows * weight_element_bytes(format);
    const std::size_t group_scale_bytes =
        format == WeightFormat::kE4m3G32 ? kPanelRows * sizeof(float) : 0;
    const std::size_t scale_bytes = num_cols / kWeightGroup * group_scale_bytes;
    return {.scale_bytes = scale_bytes,
            .group_scale_bytes = group_scale_bytes,
            .group_bytes = bytes,
            .panel_bytes = scale_bytes + bytes * num_cols};
  }
  const IntFormat ints = int_format(format);
  PanelLayout layout;
  layout.group_scale_bytes =
      kPanelRows * (ints.has_wide_scales ? 4 : 2) * (ints.has_minimum ? 2 : 1);
  layout.scale_bytes =
      (num_cols / ints.group_size * layout.group_scale_bytes + kPackedAlignment - 1) /
      kPackedAlignment * kPackedAlignment;
  layout.group_bytes = kPanelRows * kWeightGroup * ints.num_bits / 8;
  layout.panel_bytes = layout.scale_bytes + num_cols / kWeightGroup * layout.group_bytes;
  return layout;
}

// Where output `lane` of a panel lies among the 16 elements of one k; floats only.
inline std::size_t float_slot(WeightFormat format, std::size_t lane) {
  constexpr std::size_t kHalf = kPanelRows / 2;
  if (format != WeightFormat::kBF16) return lane;
  return lane < kHalf ? 2 * lane : 2 * (lane - kHalf) + 1;
}

inline std::size_t num_panels(const PackedMatrix& matrix) {
  return (matrix.num_rows + kPanelRows - 1) / kPanelRows;
}

}  // namespace millrace
