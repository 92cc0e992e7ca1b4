// A weight matrix in the layout that its kernel streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "tensor/view.h"

namespace millrace {

// How the weights of a packed matrix are stored. Groups run along the depth (the summed dimension).
enum class WeightFormat : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kInt8,  // groups of 32: f16 scale, int8 in -127..127 (-128 is accepted from files).  w = s * q
  kInt4,  // groups of 32: f16 scale, 4 bits.                                           w = s * (q -
          // 8)
  kInt4Min,  // groups of 32: f16 scale and f16 minimum, 4 bits.                           w = s * q
             // + m
};
inline constexpr std::size_t kNumWeightFormats = 6;
inline constexpr std::size_t kWeightGroup = 32;

// "f32", "f16", "bf16", "int8", "int4", "int4-min".
std::string_view weight_format_name(WeightFormat format);
std::optional<WeightFormat> weight_format_from_name(std::string_view name);
inline bool needs_quantized_rows(WeightFormat format) {
  return format >= WeightFormat::kInt8;
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
  std::size_t num_cols = 0;  // P, depth; a multiple of 32 for the int formats
  std::byte* data = nullptr;
};

// Bytes of a packed [num_rows, num_cols]; kInvalidArgument naming both when the format cannot hold
// it (depth no multiple of the group) or when the size overflows.
Result<std::uint64_t> packed_bytes(WeightFormat format, std::uint64_t num_rows,
                                   std::uint64_t num_cols);

// Whether rows of `source` can be packed as `format` by pack_rows without a detour over f32:
// f32, f16, bf16 into anything; q8_0 into int8, q4_0 into int4, q4_1 into int4-min without loss.
bool can_pack(DType source, WeightFormat format);

// Packs source rows [n, P] as rows [first_row, first_row + n) of `matrix`, whose bytes begin as
// zeros. first_row is a multiple of kPanelRows; distinct row ranges may be packed by distinct
// threads at once. Rounding to int formats is to the nearest, scale = max|w| / 127 (int8), the GGUF
// conventions for int4.
void pack_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix);

// The f32 values of one packed row, as the kernels see them: for embeddings and tests.
void unpack_row(const PackedMatrix& matrix, std::size_t row, float* values);

// Activations quantised for the int formats: per row and group of 32 along the depth, symmetric,
// scale = max|x| / 127, dynamic. A row's bytes depend on that row alone.
struct QuantizedRows {
  std::int8_t* values = nullptr;  // [M, P]
  float* scales = nullptr;        // [M, P/32]
  std::int32_t* sums = nullptr;   // [M, P/32]  sum of the group's values
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
};

// Bytes that QuantizedRows of [num_rows, num_cols] needs, and its view over such bytes (aligned to
// 64).
std::size_t quantized_rows_bytes(std::size_t num_rows, std::size_t num_cols);
QuantizedRows quantized_rows_in(std::byte* bytes, std::size_t num_rows, std::size_t num_cols);

}  // namespace millrace
