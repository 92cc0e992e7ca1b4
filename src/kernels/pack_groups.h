// The integer half of packing: groups of weights with a scale. Used by pack.cpp and by devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/packed_matrix.h"

namespace millrace {

// As pack_rows, for a matrix of an int format.
void pack_group_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix);
// As pack_quant_rows.
void pack_group_rows(const QuantRows& source, std::size_t first_row, PackedMatrix& matrix);

// As unpack_row, for a row that lies in `lane` of `panel`.
void unpack_group_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                      float* values);

// One row of an int format taken apart: codes [P] as the panel holds them (q + 128 in 8 bits; q +
// 8, q or an index in 4), scales and minima [P / group_size]; minima empty where there are none.
struct GroupRow {
  std::span<std::uint8_t> codes;
  std::span<float> scales;
  std::span<float> minima;
};
void read_group_row(const PackedMatrix& matrix, std::size_t row, const GroupRow& out);

}  // namespace millrace
