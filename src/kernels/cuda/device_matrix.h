// How a weight matrix lies in a device's memory: row after row, so that both a product of whole
// tiles and one of few rows read it in order.
//
//   | values: row 0 | row 1 | … | row N-1 |   each row P weights, padded with zeros to 16 bytes
//   | scales [N, P / group] |                 f16 or f32, as the format says; begins at 256
//   | minima [N, P / group] |                 likewise, where there are any
//
//   f32, f16, bf16, e4m3   as they are
//   8 bits                 q, signed
//   4 bits                 byte j: low nibble k = 2j, high nibble k = 2j + 1; q + 8, q or an index,
//                          as in pack.h
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed_matrix.h"

namespace millrace::cuda {

struct DeviceMatrixLayout {
  std::size_t row_bytes = 0;  // of values
  std::size_t scale_offset = 0;
  std::size_t scale_row_bytes = 0;  // 0: no scales
  std::size_t minimum_offset = 0;
  bool has_minimum = false;
  std::size_t num_bytes = 0;
};
// The sizes have passed packed_bytes.
DeviceMatrixLayout device_matrix_layout(WeightFormat format, std::size_t num_rows,
                                        std::size_t num_cols);

inline constexpr std::size_t kDeviceMatrixAlignment = 256;

// Rows [row_begin, row_end) of a matrix that is packed for the CPU, for the device: their values to
// `values`, their scales and minima to `scales` and `minima`, each from its beginning.
struct DeviceRows {
  std::byte* values = nullptr;
  std::byte* scales = nullptr;
  std::byte* minima = nullptr;
};
void write_device_rows(const PackedMatrix& packed, std::size_t row_begin, std::size_t row_end,
                       const DeviceRows& out);

// What a kernel takes.
struct MatrixView {
  WeightFormat format = WeightFormat::kF32;
  unsigned num_rows = 0;
  unsigned num_cols = 0;
  std::size_t row_bytes = 0;
  std::size_t scale_row_bytes = 0;
  const std::byte* values = nullptr;
  const std::byte* scales = nullptr;
  const std::byte* minima = nullptr;
};
// Of a matrix whose data lies as above.
MatrixView matrix_view(const PackedMatrix& matrix);

}  // namespace millrace::cuda
