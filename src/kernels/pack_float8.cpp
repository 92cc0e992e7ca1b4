// Rounds weights to groups of 8-bit floats, takes over floats and scales as they are, and lays them
// out.
#include "kernels/pack_float8.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/pack.h"

namespace millrace {
namespace {

constexpr float kFloat8Max = 448.0f;

struct Group {
  float scale = 0;
  std::array<Float8, kWeightGroup> values{};
};

// Byte offsets of one output's group inside its panel.
struct Place {
  std::size_t scale = 0;
  std::size_t values = 0;
};
Place place_of(const PanelLayout& layout, std::size_t group, std::size_t lane) {
  return {.scale = group * layout.group_scale_bytes + lane * sizeof(float),
          .values = layout.scale_bytes + group * kWeightGroup * layout.group_bytes + lane};
}

float source_value(ConstTensorView source, std::size_t row, std::size_t col) {
  if (source.dtype == DType::kF16) return to_float(source.row<Float16>(row)[col]);
  if (source.dtype == DType::kBF16) return to_float(source.row<BFloat16>(row)[col]);
  return source.row<float>(row)[col];
}

// The value of largest magnitude becomes 448. One that is NaN or infinite becomes NaN.
Group round_group(ConstTensorView source, std::size_t row, std::size_t col) {
  float largest = 0;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    const float magnitude = std::abs(source_value(source, row, col + i));
    if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
  }
  Group group;
  group.scale = largest / kFloat8Max;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    const float value = source_value(source, row, col + i);
    const float scaled = group.scale > 0 ? value / group.scale : value * 0.0f;
    group.values[i] = to_float8(std::isfinite(value) ? std::clamp(scaled, -kFloat8Max, kFloat8Max)
                                                     : scaled * 0.0f);
  }
  return group;
}

// Puts what make(row, col) makes of every group of rows [0, num_rows) of a source.
template <class Make>
void put_groups(std::size_t num_rows, std::size_t first_row, PackedMatrix& matrix,
                const Make& make) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  for (std::size_t r = 0; r < num_rows; ++r) {
    const std::size_t row = first_row + r;
    std::byte* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
    for (std::size_t g = 0; g < matrix.num_cols / kWeightGroup; ++g) {
      const Group group = make(r, g * kWeightGroup);
      const Place place = place_of(layout, g, row % kPanelRows);
      float scale = group.scale / kFloat8Share;
      for (std::size_t i = 0; i < kWeightGroup; ++i) {
        Float8 value = group.values[i];
        if ((value.bits & 0x7Fu) == 0x7Fu) {  // NaN: the scale says it for the whole group.
          value = {};
          scale = std::numeric_limits<float>::quiet_NaN();
        }
        panel[place.values + i * layout.group_bytes] = std::byte{value.bits};
      }
      std::memcpy(panel + place.scale, &scale, sizeof scale);
    }
  }
}

}  // namespace

void pack_float8_groups(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  put_groups(source.num_rows(), first_row, matrix,
             [&](std::size_t row, std::size_t col) { return round_group(source, row, col); });
}

void pack_float8_groups(const Float8Rows& source, std::size_t first_row, PackedMatrix& matrix) {
  put_groups(source.num_rows, first_row, matrix, [&](std::size_t row, std::size_t col) {
    const std::size_t at = row * source.num_cols + col;
    Group group;
    group.scale = source.scales[at / source.group_size];
    std::copy_n(source.values + at, kWeightGroup, group.values.begin());
    return group;
  });
}

void unpack_float8_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                       float* values) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  for (std::size_t c = 0; c < matrix.num_cols; ++c) {
    const Place place = place_of(layout, c / kWeightGroup, lane);
    float scale = 0;
    std::memcpy(&scale, panel + place.scale, sizeof scale);
    const std::byte bits = panel[place.values + c % kWeightGroup * layout.group_bytes];
    const float value = to_float(Float8{std::to_integer<std::uint8_t>(bits)});
    values[c] = scale * (value * kFloat8Share);  // One rounding: the share is exact.
  }
}

}  // namespace millrace
