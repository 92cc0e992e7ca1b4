// Values of a tensor as floats, whatever the type of its bytes.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "formats/weight_source.h"
#include "tensor/dtype.h"

namespace millrace {

// f32, f16, bf16, f64, f8_e4m3 and the block types. The integer types hold indices and flags, not
// weights.
bool can_decode(DType dtype);

// Exactly what the bytes stand for (a block's minimum is added with one rounding, as in ggml's C),
// except f64, which is rounded to nearest even. `bytes` may lie
// at any address and hold values.size() elements, a whole number of groups; can_decode(dtype).
void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> values);

// Rows [row_begin, row_begin + num_rows) of dimension 0; values.size() is num_rows times the row's
// elements. A tensor of rank 0 is one row; each element of a tensor of rank 1 is one. kUnsupported
// naming tensor and type, also where rows of rank 1 part a group; rows outside the tensor are the
// caller's bug. Thread-safe.
Status decode_rows(const SourceTensor& tensor, std::size_t row_begin, std::size_t num_rows,
                   std::span<float> values);

}  // namespace millrace
