// How the decoder sees its workspace: views of buffers by rows, heads and columns. Private to
// decoder*.cpp.
#pragma once

#include "base/check.h"
#include "kernels/ops.h"
#include "model/model_spec.h"
#include "model/model_weights.h"
#include "tensor/view.h"

namespace millrace {

// The first rows of a workspace buffer, seen with the width that this layer has.
inline TensorView shaped(const TensorView& buffer, std::size_t num_rows, std::size_t width) {
  CHECK(num_rows * width <= buffer.shape.num_elements());
  return TensorView(buffer.data, buffer.dtype, {num_rows, width}, buffer.device);
}

inline TensorView by_heads(const TensorView& rows, std::size_t num_heads) {
  return rows.reshaped({rows.num_rows(), num_heads, rows.row_elements() / num_heads});
}

// Columns [first, first + count) of every row.
inline TensorView columns(const TensorView& rows, std::size_t first, std::size_t count) {
  CHECK(first + count <= rows.row_elements());
  TensorView part(rows.data + first * sizeof(float), rows.dtype, {rows.num_rows(), count},
                  rows.device);
  part.row_stride = rows.row_stride;
  return part;
}

inline ConstTensorView vector_view(const float* values, std::size_t count) {
  return view_of(values, {count});
}

inline void norm_rows(KernelContext& context, const TensorView& x, const NormWeights& weights,
                      const NormSpec& norm, const TensorView& y) {
  if (norm.kind == NormKind::kRms) {
    rms_norm(context, x, vector_view(weights.weight, x.row_elements()), norm.eps, y);
  } else {
    layer_norm(context, x, {.weight = weights.weight, .bias = weights.bias}, norm.eps, y);
  }
}

}  // namespace millrace
