// The integer half of packing: groups of weights with a scale. Used by pack.cpp only.
#pragma once

#include <cstddef>

#include "kernels/packed_matrix.h"

namespace millrace {

// As pack_rows, for a matrix of an int format.
void pack_group_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix);
// As pack_quant_rows.
void pack_group_rows(const QuantRows& source, std::size_t first_row, PackedMatrix& matrix);

// As unpack_row, for a row that lies in `lane` of `panel`.
void unpack_group_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                      float* values);

}  // namespace millrace
