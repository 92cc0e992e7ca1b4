// From panels to rows.
#include "kernels/cuda/device_matrix.h"

#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/pack.h"
#include "kernels/pack_groups.h"

namespace millrace::cuda {
namespace {

constexpr std::size_t kRowAlignment = 16;

std::size_t value_bits(WeightFormat format) {
  if (needs_quantized_rows(format)) return int_format(format).num_bits;
  return 8 * weight_element_bytes(format);
}
std::size_t group_size(WeightFormat format) {
  return needs_quantized_rows(format) ? int_format(format).group_size : kWeightGroup;
}
std::size_t scale_element_bytes(WeightFormat format) {
  if (format == WeightFormat::kE4m3G32) return sizeof(float);
  return int_format(format).has_wide_scales ? sizeof(float) : sizeof(Float16);
}

void write_scales(std::span<const float> scales, std::size_t element_bytes, std::byte* out) {
  for (std::size_t g = 0; g < scales.size(); ++g) {
    const Float16 half = to_float16(scales[g]);
    const void* bytes = element_bytes == sizeof half ? static_cast<const void*>(&half) : &scales[g];
    std::memcpy(out + g * element_bytes, bytes, element_bytes);
  }
}

void write_codes(std::span<const std::uint8_t> codes, std::size_t num_bits, std::byte* out) {
  if (num_bits == 8) {
    for (std::size_t k = 0; k < codes.size(); ++k) {
      out[k] = static_cast<std::byte>(static_cast<std::uint8_t>(codes[k] - 128));
    }
    return;
  }
  for (std::size_t k = 0; k < codes.size(); k += 2) {
    out[k / 2] = static_cast<std::byte>(codes[k] | codes[k + 1] << 4);
  }
}

void write_int_rows(const PackedMatrix& packed, std::size_t row_begin, std::size_t row_end,
                    const DeviceMatrixLayout& layout, const DeviceRows& out) {
  const IntFormat ints = int_format(packed.format);
  const std::size_t num_groups = packed.num_cols / ints.group_size;
  const std::size_t scale_bytes = scale_element_bytes(packed.format);
  std::vector<std::uint8_t> codes(packed.num_cols);
  std::vector<float> scales(num_groups);
  std::vector<float> minima(ints.has_minimum ? num_groups : 0);
  for (std::size_t row = row_begin; row < row_end; ++row) {
    const std::size_t i = row - row_begin;
    read_group_row(packed, row, {codes, scales, minima});
    write_codes(codes, ints.num_bits, out.values + i * layout.row_bytes);
    write_scales(scales, scale_bytes, out.scales + i * layout.scale_row_bytes);
    if (ints.has_minimum)
      write_scales(minima, scale_bytes, out.minima + i * layout.scale_row_bytes);
  }
}

// A panel's scale for 8-bit floats is the weights' own divided by kFloat8Share: exact both ways.
void write_float8_rows(const PackedMatrix& packed, std::size_t row_begin, std::size_t row_end,
                       const DeviceMatrixLayout& layout, const DeviceRows& out) {
  const PanelLayout panels = panel_layout(packed.format, packed.num_cols);
  for (std::size_t row = row_begin; row < row_end; ++row) {
    const std::byte* panel = packed.data + row / kPanelRows * panels.panel_bytes;
    const std::size_t lane = row % kPanelRows;
    const std::size_t i = row - row_begin;
    for (std::size_t k = 0; k < packed.num_cols; ++k) {
      out.values[i * layout.row_bytes + k] =
          panel[panels.scale_bytes + k * panels.group_bytes + lane];
    }
    for (std::size_t g = 0; g < packed.num_cols / kWeightGroup; ++g) {
      float scale = 0;
      std::memcpy(&scale, panel + g * panels.group_scale_bytes + lane * sizeof scale, sizeof scale);
      scale *= kFloat8Share;
      std::memcpy(out.scales + i * layout.scale_row_bytes + g * sizeof scale, &scale, sizeof scale);
    }
  }
}

void write_float_rows(const PackedMatrix& packed, std::size_t row_begin, std::size_t row_end,
                      const DeviceMatrixLayout& layout, const DeviceRows& out) {
  const PanelLayout panels = panel_layout(packed.format, packed.num_cols);
  const std::size_t element = weight_element_bytes(packed.format);
  for (std::size_t row = row_begin; row < row_end; ++row) {
    const std::byte* panel = packed.data + row / kPanelRows * panels.panel_bytes;
    const std::size_t slot = float_slot(packed.format, row % kPanelRows);
    std::byte* values = out.values + (row - row_begin) * layout.row_bytes;
    for (std::size_t k = 0; k < packed.num_cols; ++k) {
      std::memcpy(values + k * element, panel + k * panels.group_bytes + slot * element, element);
    }
    const std::size_t used = packed.num_cols * element;
    std::memset(values + used, 0, layout.row_bytes - used);
  }
}

}  // namespace

DeviceMatrixLayout device_matrix_layout(WeightFormat format, std::size_t num_rows,
                                        std::size_t num_cols) {
  DeviceMatrixLayout layout;
  layout.row_bytes = round_up(ceil_div(num_cols * value_bits(format), 8), kRowAlignment);
  layout.num_bytes = num_rows * layout.row_bytes;
  if (weight_depth_multiple(format) == 1) return layout;
  layout.scale_row_bytes = num_cols / group_size(format) * scale_element_bytes(format);
  layout.scale_offset = round_up(layout.num_bytes, kDeviceMatrixAlignment);
  layout.num_bytes = layout.scale_offset + num_rows * layout.scale_row_bytes;
  if (!needs_quantized_rows(format) || !int_format(format).has_minimum) return layout;
  layout.has_minimum = true;
  layout.minimum_offset = round_up(layout.num_bytes, kDeviceMatrixAlignment);
  layout.num_bytes = layout.minimum_offset + num_rows * layout.scale_row_bytes;
  return layout;
}

void write_device_rows(const PackedMatrix& packed, std::size_t row_begin, std::size_t row_end,
                       const DeviceRows& out) {
  CHECK(packed.device == Device::kCpu);
  CHECK(row_begin <= row_end);
  CHECK(row_end <= packed.num_rows);
  const DeviceMatrixLayout layout =
      device_matrix_layout(packed.format, packed.num_rows, packed.num_cols);
  if (needs_quantized_rows(packed.format)) {
    write_int_rows(packed, row_begin, row_end, layout, out);
  } else if (packed.format == WeightFormat::kE4m3G32) {
    write_float8_rows(packed, row_begin, row_end, layout, out);
  } else {
    write_float_rows(packed, row_begin, row_end, layout, out);
  }
}

MatrixView matrix_view(const PackedMatrix& matrix) {
  CHECK(matrix.num_rows <= std::numeric_limits<unsigned>::max());
  CHECK(matrix.num_cols <= std::numeric_limits<unsigned>::max());
  const DeviceMatrixLayout layout =
      device_matrix_layout(matrix.format, matrix.num_rows, matrix.num_cols);
  return {.format = matrix.format,
          .num_rows = static_cast<unsigned>(matrix.num_rows),
          .num_cols = static_cast<unsigned>(matrix.num_cols),
          .row_bytes = layout.row_bytes,
          .scale_row_bytes = layout.scale_row_bytes,
          .values = matrix.data,
          .scales = layout.scale_row_bytes > 0 ? matrix.data + layout.scale_offset : nullptr,
          .minima = layout.has_minimum ? matrix.data + layout.minimum_offset : nullptr};
}

}  // namespace millrace::cuda
