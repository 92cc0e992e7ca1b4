// Names, sizes and views of packed matrices and quantised rows.
#include "kernels/packed_matrix.h"

#include <array>
#include <string>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/pack.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, kNumWeightFormats> kNames = {
    "f32",      "f16",          "bf16",         "e4m3-g32", "int8",     "int4",
    "int4-min", "int8-g32",     "int8-g32-min", "int8-g16", "int4-g32", "int4-g32-min",
    "int4-g16", "int4-g16-min", "e2m1-g32",     "iq4-g32"};
constexpr std::uint64_t kPackedBytesMax = std::uint64_t{1} << 46;

}  // namespace

std::string_view weight_format_name(WeightFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

std::optional<WeightFormat> weight_format_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<WeightFormat>(i);
  }
  return std::nullopt;
}

std::string weight_format_names() {
  std::string names;
  for (const std::string_view name : kNames) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

double weight_format_bits(WeightFormat format) {
  const PanelLayout layout = panel_layout(format, 2 * kWeightGroup);  // Two groups: no padding.
  return 8.0 * static_cast<double>(layout.panel_bytes) /
         static_cast<double>(kPanelRows * 2 * kWeightGroup);
}

Result<std::uint64_t> packed_bytes(WeightFormat format, std::uint64_t num_rows,
                                   std::uint64_t num_cols) {
  const std::string what = std::string(weight_format_name(format)) + " matrix of [" +
                           std::to_string(num_rows) + ", " + std::to_string(num_cols) + "]";
  if (num_cols % weight_depth_multiple(format) != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 what + " has a depth that is no multiple of " + std::to_string(kWeightGroup)};
  }
  // 256 bytes per k and panel cover every format's layout, so that nothing below can overflow.
  const std::optional<std::uint64_t> cells = checked_mul(ceil_div(num_rows, kPanelRows), num_cols);
  const std::optional<std::uint64_t> bound = cells ? checked_mul(*cells, 256) : std::nullopt;
  if (!bound || *bound > kPackedBytesMax || num_cols > kPackedBytesMax / 256) {
    return Error{ErrorCode::kInvalidArgument, what + " exceeds what can be addressed"};
  }
  const PanelLayout layout = panel_layout(format, static_cast<std::size_t>(num_cols));
  return ceil_div(num_rows, kPanelRows) * layout.panel_bytes;
}

bool can_hold(WeightFormat format, const QuantKind& kind) {
  if (!needs_quantized_rows(format)) return false;
  const IntFormat ints = int_format(format);
  if (kind.group_size != ints.group_size && kind.group_size % kWeightGroup != 0) return false;
  if (kind.has_minimum != ints.has_minimum) return false;
  if (!ints.has_wide_scales && !kind.has_half_scales) return false;
  if (ints.values != QuantValues::kRange) return ints.values == kind.values;
  return kind.quant_min >= ints.quant_min && kind.quant_max <= ints.quant_max;
}

std::optional<WeightFormat> lossless_format(const QuantKind& kind) {
  std::optional<WeightFormat> best;
  for (std::size_t i = 0; i < kNumWeightFormats; ++i) {
    const auto format = static_cast<WeightFormat>(i);
    if (!can_hold(format, kind)) continue;
    if (!best || weight_format_bits(format) < weight_format_bits(*best)) best = format;
  }
  return best;
}

std::size_t quantized_rows_bytes(std::size_t num_rows, std::size_t num_cols) {
  CHECK(num_cols % kWeightGroup == 0);
  const std::size_t num_groups = num_rows * (num_cols / kWeightGroup);
  const auto padded = [](std::size_t bytes) {
    return static_cast<std::size_t>(round_up(bytes, kPackedAlignment));
  };
  return padded(num_rows * num_cols) + padded(num_groups * sizeof(float)) +
         padded(num_rows * (num_cols / kSumGroup) * sizeof(std::int32_t));
}

QuantizedRows quantized_rows_in(std::byte* bytes, std::size_t num_rows, std::size_t num_cols) {
  CHECK(num_cols % kWeightGroup == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(bytes) % kPackedAlignment == 0);
  const std::size_t num_groups = num_rows * (num_cols / kWeightGroup);
  const auto padded = [](std::size_t count) {
    return static_cast<std::size_t>(round_up(count, kPackedAlignment));
  };
  std::byte* scales = bytes + padded(num_rows * num_cols);
  std::byte* sums = scales + padded(num_groups * sizeof(float));
  return {.values = reinterpret_cast<std::int8_t*>(bytes),
          .scales = reinterpret_cast<float*>(scales),
          .sums = reinterpret_cast<std::int32_t*>(sums),
          .num_rows = num_rows,
          .num_cols = num_cols};
}

}  // namespace millrace
