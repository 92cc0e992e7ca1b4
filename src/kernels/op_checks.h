// What every op checks once before its kernels run, and how elementwise work is cut. Private to
// kernels/*.cpp.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "kernels/context.h"
#include "tensor/view.h"

namespace millrace {

// A plain f32 view of `rank` dimensions on the CPU, the only device so far.
inline void check_f32(const ConstTensorView& view, std::size_t rank) {
  CHECK(view.dtype == DType::kF32);
  CHECK(view.device == Device::kCpu);
  CHECK(view.shape.rank() == rank);
  CHECK(view.num_rows() <= 1 || view.row_stride >= view.row_elements());
}

inline void check_f32_like(const ConstTensorView& view, const Shape& shape) {
  check_f32(view, shape.rank());
  CHECK(view.shape == shape);
}

// Elements that one call of an elementwise kernel takes: enough to forget the call, few enough that
// one row spreads over ranks. A multiple of a cache line, so that ranks do not share lines.
inline constexpr std::size_t kPieceElements = 512;

// Calls work(row, column, count) for this rank's pieces of a [num_rows, num_cols] range.
template <class Work>
void for_each_piece(const KernelContext& context, std::size_t num_rows, std::size_t num_cols,
                    const Work& work) {
  const std::size_t per_row = (num_cols + kPieceElements - 1) / kPieceElements;
  const WorkRange range = context.share(num_rows * per_row, 1);
  for (std::size_t piece = range.begin; piece < range.end; ++piece) {
    const std::size_t column = piece % per_row * kPieceElements;
    work(piece / per_row, column, std::min(kPieceElements, num_cols - column));
  }
}

}  // namespace millrace
