// The 8-bit float half of packing: groups of 32 weights with a scale. Used by pack.cpp only.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.h"

namespace millrace {

// As pack_rows, for a matrix of e4m3-g32.
void pack_float8_groups(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix);
// As pack_float8_rows.
void pack_float8_groups(const Float8Rows& source, std::size_t first_row, PackedMatrix& matrix);

// As unpack_row, for a row that lies in `lane` of `panel`.
void unpack_float8_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                       float* values);

}  // namespace millrace
