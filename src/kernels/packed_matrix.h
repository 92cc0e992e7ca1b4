// A weight matrix in the layout that its kernel streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/half.h"
#include "tensor/quant_groups.h"
#include "tensor/view.h"

namespace millrace {

// How the weights of a packed matrix are stored. Groups run along the depth (the summed dimension);
// w = scale * q, with minima w = scale * q + minimum.
enum class WeightFormat : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kE4m3G32,     // floats of 8 bits times an f32 scale for each 32; activations stay f32
  kInt8,        // groups of 32: f16 scale, int8 in -127..127 (-128 is accepted from files)
  kInt4,        // groups of 32: f16 scale, 4 bits, q in -8..7
  kInt4Min,     // groups of 32: f16 scale and minimum, 4 bits, q in 0..15
  kInt8G32,     // The same with f32 scales (and minima), which hold whatever files hold:
  kInt8G32Min,  // groups of 32, 8 bits, q in -128..127
  kInt8G16,     // groups of 16
  kInt4G32,     // 4 bits, q in -8..7
  kInt4G32Min,  // q in 0..15
  kInt4G16,
  kInt4G16Min,
  kE2m1G32,  // groups of 32: f32 scale, 4 bits, q in kE2m1Values
  kIq4G32,   // groups of 32: f32 scale, 4 bits, q in kIq4Values
};
inline constexpr std::size_t kNumWeightFormats = 16;
inline constexpr std::size_t kWeightGroup = 32;  // Of activations, and of most formats.

// "f32", "f16", "bf16", "e4m3-g32", "int8", "int4", "int4-min", "int8-g32", "int8-g32-min",
// "int8-g16", "int4-g32", "int4-g32-min", "int4-g16", "int4-g16-min", "e2m1-g32", "iq4-g32".
std::string_view weight_format_name(WeightFormat format);
std::optional<WeightFormat> weight_format_from_name(std::string_view name);
std::string weight_format_names();  // all of them, with commas
constexpr bool needs_quantized_rows(WeightFormat format) {
  return format >= WeightFormat::kInt8;
}
// What the depth must be a multiple of.
inline std::size_t weight_depth_multiple(WeightFormat format) {
  return format >= WeightFormat::kE4m3G32 ? kWeightGroup : 1;
}
// Mean bits per weight, scales included.
double weight_format_bits(WeightFormat format);

// Outputs that lie side by side in a panel; the lanes of the kernel. The same in every row so far,
// so that packed bytes can be shared and mapped back whatever row a process picks.
inline constexpr std::size_t kPanelRows = 16;

// A borrowed [N, P] matrix; y = x W^T. The bytes are somebody else's (WeightStore's), aligned
// to 64.
//
//   floats:  panel of 16 outputs:   for each k:            16 elements               [N/16][P][16]
//   ints:    panel, group of 32 k:  for each 4 k:          16 x 4 quants [N/16][P/32][8][16][4] (+
//   scales)
//
// N is padded to whole panels with zeros. The exact int layouts are drawn in pack.h.
struct PackedMatrix {
  WeightFormat format = WeightFormat::kF32;
  std::size_t num_rows = 0;  // N, outputs
  std::size_t num_cols = 0;  // P, depth; a multiple of weight_depth_multiple(format)
  std::byte* data = nullptr;
  // On another device than the CPU the bytes lie in that device's layout (cuda/device_matrix.h).
  Device device = Device::kCpu;
};

// Bytes of a packed [num_rows, num_cols]; kInvalidArgument naming both when the format cannot hold
// it (depth no multiple of the group) or when the size overflows.
Result<std::uint64_t> packed_bytes(WeightFormat format, std::uint64_t num_rows,
                                   std::uint64_t num_cols);

// Packs source rows [n, P] of f32, f16 or bf16 as rows [first_row, first_row + n) of `matrix`,
// whose bytes begin as zeros. first_row is a multiple of kPanelRows; distinct row ranges may be
// packed by distinct threads at once. Rounding to int formats is to the nearest, scale = max|w| /
// 127 (int8), the GGUF conventions for int4.
void pack_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix);

// Borrowed rows [n, P] of integers and scales, as files hold them: GGUF's blocks taken apart, GPTQ
// and AWQ with minimum = -scale * zero, int8 by channel with group_size = P.
struct QuantRows {
  const std::int8_t* quants = nullptr;  // [n, P]
  const float* scales = nullptr;        // [n, P / group_size]
  const float* minima = nullptr;        // [n, P / group_size], or null: none
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
  std::size_t group_size = kWeightGroup;  // 16, or a multiple of 32, that divides P
};

// Whether every weight of that kind comes out of pack_quant_rows and unpack_row as the f32 value
// of scale * quant (+ minimum).
bool can_hold(WeightFormat format, const QuantKind& kind);
// The smallest int format that can; nothing for group sizes that are neither 16 nor a multiple of
// 32, and for groups of 16 with minima that need 8 bits.
std::optional<WeightFormat> lossless_format(const QuantKind& kind);

// As pack_rows, without rounding. The format can_hold the kind of the weights; its group size
// divides theirs, whose scales are repeated.
void pack_quant_rows(const QuantRows& source, std::size_t first_row, PackedMatrix& matrix);

// Borrowed rows [n, P] of 8-bit floats and scales, as FP8 checkpoints hold them. A weight is the
// product, rounded to f32 once (the reference's own f32 value; a float of 4 bits times an f32 scale
// fits neither bf16 nor an integer). Finite scales are below 2^119; a NaN is one of its group.
struct Float8Rows {
  const Float8* values = nullptr;  // [n, P]
  const float* scales = nullptr;   // [n, P / group_size]
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
  std::size_t group_size = kWeightGroup;  // a multiple of 32 that divides P
};

// As pack_quant_rows, into e4m3-g32: nothing is lost.
void pack_float8_rows(const Float8Rows& source, std::size_t first_row, PackedMatrix& matrix);

// The f32 values of one packed row, as the kernels see them: for embeddings and tests.
void unpack_row(const PackedMatrix& matrix, std::size_t row, float* values);

// Activations quantised for the int formats: per row and group of 32 along the depth, symmetric,
// scale = max|x| / 127, dynamic. A row's bytes depend on that row alone.
struct QuantizedRows {
  std::int8_t* values = nullptr;  // [M, P]
  float* scales = nullptr;        // [M, P/32]
  std::int32_t* sums = nullptr;   // [M, P/16]  sum of the values of each half of a group
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
};

inline constexpr std::size_t kSumGroup = 16;

// Bytes that QuantizedRows of [num_rows, num_cols] needs, and its view over such bytes (aligned to
// 64).
std::size_t quantized_rows_bytes(std::size_t num_rows, std::size_t num_cols);
QuantizedRows quantized_rows_in(std::byte* bytes, std::size_t num_rows, std::size_t num_cols);

}  // namespace millrace
