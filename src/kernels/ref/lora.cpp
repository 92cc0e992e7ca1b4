// Reference of the low-rank adapters.
#include <vector>

#include "base/check.h"
#include "kernels/ref/ref.h"

namespace millrace::ref {
namespace {

double dot(const PackedMatrix& matrix, std::size_t row, const float* x,
           std::vector<float>& weights) {
  weights.resize(matrix.num_cols);
  unpack_row(matrix, row, weights.data());
  double sum = 0;
  for (std::size_t p = 0; p < matrix.num_cols; ++p) sum += double{weights[p]} * double{x[p]};
  return sum;
}

}  // namespace

void lora_down(ConstTensorView x, std::span<const LoraSegment> segments, std::size_t pair,
               TensorView inner) {
  std::vector<float> weights;
  for (const LoraSegment& segment : segments) {
    const LoraPair& of_segment = segment.pairs[pair];
    for (std::size_t t = segment.row_begin; t < segment.row_end; ++t) {
      for (std::size_t i = 0; i < of_segment.down.num_rows; ++i) {
        const double sum = dot(of_segment.down, i, x.row<float>(t), weights);
        inner.row<float>(t)[i] = static_cast<float>(double{of_segment.scale} * sum);
      }
    }
  }
}

void lora_up(ConstTensorView inner, std::span<const LoraSegment> segments, std::size_t pair,
             TensorView y) {
  std::vector<float> weights;
  for (const LoraSegment& segment : segments) {
    const LoraPair& of_segment = segment.pairs[pair];
    if (of_segment.down.num_rows == 0) continue;
    for (std::size_t t = segment.row_begin; t < segment.row_end; ++t) {
      for (std::size_t n = 0; n < of_segment.up.num_rows; ++n) {
        float& value = y.row<float>(t)[n];
        value =
            static_cast<float>(double{value} + dot(of_segment.up, n, inner.row<float>(t), weights));
      }
    }
  }
}

}  // namespace millrace::ref
