// Packs the rows of float matrices into panels, and reads packed rows back.
#include "kernels/pack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "kernels/pack_float8.h"
#include "kernels/pack_groups.h"

namespace millrace {
namespace {

// Columns that are turned at once: 16 rows x 64 columns of f32 are 4 KB, well inside L1.
constexpr std::size_t kBlockCols = 64;

template <class From, class To>
To convert(From value) {
  if constexpr (std::is_same_v<From, To>) {
    return value;
  } else {
    float wide = 0;
    if constexpr (std::is_same_v<From, float>) {
      wide = value;
    } else {
      wide = to_float(value);
    }
    if constexpr (std::is_same_v<To, float>) {
      return wide;
    } else if constexpr (std::is_same_v<To, Float16>) {
      return to_float16(wide);
    } else {
      return to_bfloat16(wide);
    }
  }
}

template <class Element>
constexpr WeightFormat kFormatOf = std::is_same_v<Element, float>     ? WeightFormat::kF32
                                   : std::is_same_v<Element, Float16> ? WeightFormat::kF16
                                                                      : WeightFormat::kBF16;

// One panel: rows [0, num_rows) of the source, at most 16, every column.
template <class From, class To>
void pack_float_panel(ConstTensorView source, std::size_t first, std::size_t num_rows, To* panel) {
  const std::size_t num_cols = source.row_elements();
  for (std::size_t col = 0; col < num_cols; col += kBlockCols) {
    const std::size_t count = std::min(kBlockCols, num_cols - col);
    for (std::size_t r = 0; r < num_rows; ++r) {
      const From* from = source.row<From>(first + r) + col;
      To* to = panel + col * kPanelRows + float_slot(kFormatOf<To>, r);
      for (std::size_t c = 0; c < count; ++c) to[c * kPanelRows] = convert<From, To>(from[c]);
    }
  }
}

template <class From, class To>
void pack_float_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  for (std::size_t r = 0; r < source.num_rows(); r += kPanelRows) {
    std::byte* panel = matrix.data + (first_row + r) / kPanelRows * layout.panel_bytes;
    pack_float_panel<From, To>(source, r, std::min(kPanelRows, source.num_rows() - r),
                               reinterpret_cast<To*>(panel));
  }
}

template <class From>
void pack_any(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  switch (matrix.format) {
    case WeightFormat::kF32:
      return pack_float_rows<From, float>(source, first_row, matrix);
    case WeightFormat::kF16:
      return pack_float_rows<From, Float16>(source, first_row, matrix);
    case WeightFormat::kBF16:
      return pack_float_rows<From, BFloat16>(source, first_row, matrix);
    case WeightFormat::kE4m3G32:
      return pack_float8_groups(source, first_row, matrix);
    default:
      return pack_group_rows(source, first_row, matrix);
  }
}

template <class Element>
void unpack_float_row(const std::byte* panel, std::size_t lane, std::size_t num_cols,
                      float* values) {
  const auto* elements =
      reinterpret_cast<const Element*>(panel) + float_slot(kFormatOf<Element>, lane);
  for (std::size_t c = 0; c < num_cols; ++c) {
    values[c] = convert<Element, float>(elements[c * kPanelRows]);
  }
}

void check_rows(std::size_t num_rows, std::size_t num_cols, std::size_t first_row,
                const PackedMatrix& matrix) {
  CHECK(num_cols == matrix.num_cols);
  CHECK(first_row % kPanelRows == 0);
  CHECK(first_row + num_rows <= matrix.num_rows);
  CHECK(matrix.num_cols % weight_depth_multiple(matrix.format) == 0);
}

}  // namespace

void pack_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  CHECK(source.shape.rank() == 2);
  check_rows(source.num_rows(), source.shape[1], first_row, matrix);
  switch (source.dtype) {
    case DType::kF32:
      return pack_any<float>(source, first_row, matrix);
    case DType::kF16:
      return pack_any<Float16>(source, first_row, matrix);
    case DType::kBF16:
      return pack_any<BFloat16>(source, first_row, matrix);
    default:
      CHECK(source.dtype == DType::kF32);
  }
}

void pack_quant_rows(const QuantRows& source, std::size_t first_row, PackedMatrix& matrix) {
  check_rows(source.num_rows, source.num_cols, first_row, matrix);
  CHECK(needs_quantized_rows(matrix.format));
  const IntFormat ints = int_format(matrix.format);
  CHECK(source.group_size % ints.group_size == 0);
  CHECK(source.num_cols % source.group_size == 0);
  CHECK((source.minima != nullptr) == ints.has_minimum);
  pack_group_rows(source, first_row, matrix);
}

void pack_float8_rows(const Float8Rows& source, std::size_t first_row, PackedMatrix& matrix) {
  check_rows(source.num_rows, source.num_cols, first_row, matrix);
  CHECK(matrix.format == WeightFormat::kE4m3G32);
  CHECK(source.group_size % kWeightGroup == 0);
  CHECK(source.num_cols % source.group_size == 0);
  pack_float8_groups(source, first_row, matrix);
}

void unpack_row(const PackedMatrix& matrix, std::size_t row, float* values) {
  CHECK(row < matrix.num_rows);
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const std::byte* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
  const std::size_t lane = row % kPanelRows;
  switch (matrix.format) {
    case WeightFormat::kF32:
      return unpack_float_row<float>(panel, lane, matrix.num_cols, values);
    case WeightFormat::kF16:
      return unpack_float_row<Float16>(panel, lane, matrix.num_cols, values);
    case WeightFormat::kBF16:
      return unpack_float_row<BFloat16>(panel, lane, matrix.num_cols, values);
    case WeightFormat::kE4m3G32:
      return unpack_float8_row(matrix, panel, lane, values);
    default:
      return unpack_group_row(matrix, panel, lane, values);
  }
}

}  // namespace millrace
