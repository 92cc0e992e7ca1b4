// Rounds weights to groups of 8 or 4 bits, takes over GGUF's blocks as they are, and lays them out.
#include "kernels/pack_groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/pack.h"

namespace millrace {
namespace {

// One group of one output, before it goes into its panel. Quants are unsigned: q + 128 for int8.
struct Group {
  Float16 scale;
  Float16 minimum;  // int4-min only
  std::array<std::uint8_t, kWeightGroup> quants{};
};
using GroupValues = std::array<float, kWeightGroup>;

constexpr Float16 kNanHalf{0x7E00};

// Zero, or NaN when a value is infinite or NaN: such a group gets the scale NaN, so that it shows
// in every output instead of passing for a number.
float poison(const GroupValues& values) {
  float sum = 0;
  for (const float value : values) sum += value * 0.0f;
  return sum;
}

std::uint8_t quant(float value, float low, float high) {
  const float above = value > low ? value : low;  // NaN becomes low.
  return static_cast<std::uint8_t>((above < high ? above : high) + 0.5f);
}

// The nearest multiples of the scale as it is stored (GGUF rounds with the scale before its own
// rounding to f16; these are nearer).
Group round_int8(const GroupValues& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  Group group;
  group.scale = to_float16(largest / 127.0f);
  const float scale = to_float(group.scale);
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    group.quants[i] = quant(values[i] * inverse + 128.0f, 1.0f, 255.0f);
  }
  if (poison(values) != 0.0f) group.scale = kNanHalf;
  return group;
}

// The value of largest magnitude becomes -8 exactly: the scale bears the opposite sign.
Group round_int4(const GroupValues& values) {
  float extreme = 0;
  for (const float value : values) {
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  }
  Group group;
  group.scale = to_float16(extreme / -8.0f);
  const float scale = to_float(group.scale);
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    group.quants[i] = quant(values[i] * inverse + 8.0f, 0.0f, 15.0f);
  }
  if (poison(values) != 0.0f) group.scale = kNanHalf;
  return group;
}

Group round_int4_min(const GroupValues& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  Group group;
  group.minimum = to_float16(*low);
  group.scale = to_float16((*high - *low) / 15.0f);
  const float scale = to_float(group.scale);
  const float minimum = to_float(group.minimum);
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    group.quants[i] = quant((values[i] - minimum) * inverse, 0.0f, 15.0f);
  }
  if (poison(values) != 0.0f) group.scale = kNanHalf;
  return group;
}

Float16 read_half(const std::byte* bytes) {
  return {static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[0]) |
                                     std::to_integer<unsigned>(bytes[1]) << 8)};
}

// 16 bytes: element j in the low nibble of byte j, element j + 16 in its high nibble.
void read_nibbles(const std::byte* bytes, Group& group) {
  for (std::size_t j = 0; j < kWeightGroup / 2; ++j) {
    group.quants[j] = std::to_integer<std::uint8_t>(bytes[j] & std::byte{15});
    group.quants[j + kWeightGroup / 2] = std::to_integer<std::uint8_t>(bytes[j] >> 4);
  }
}

Group read_q8_0(const std::byte* block) {
  Group group{.scale = read_half(block), .minimum = {}, .quants = {}};
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    group.quants[i] = std::to_integer<std::uint8_t>(block[2 + i] ^ std::byte{0x80});
  }
  return group;
}

Group read_q4_0(const std::byte* block) {
  Group group{.scale = read_half(block), .minimum = {}, .quants = {}};
  read_nibbles(block + 2, group);
  return group;
}

Group read_q4_1(const std::byte* block) {
  Group group{.scale = read_half(block), .minimum = read_half(block + 2), .quants = {}};
  read_nibbles(block + 4, group);
  return group;
}

GroupValues read_values(ConstTensorView source, std::size_t row, std::size_t col) {
  GroupValues values;
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    switch (source.dtype) {
      case DType::kF16:
        values[i] = to_float(source.row<Float16>(row)[col + i]);
        break;
      case DType::kBF16:
        values[i] = to_float(source.row<BFloat16>(row)[col + i]);
        break;
      default:
        values[i] = source.row<float>(row)[col + i];
        break;
    }
  }
  return values;
}

Group make_group(ConstTensorView source, std::size_t row, std::size_t group_index,
                 WeightFormat format) {
  if (is_block_type(source.dtype)) {
    const std::size_t block_bytes = quant_format(source.dtype).group_bytes;
    const std::byte* block =
        source.data + (row * (source.row_stride / kWeightGroup) + group_index) * block_bytes;
    if (source.dtype == DType::kQ8_0) return read_q8_0(block);
    return source.dtype == DType::kQ4_0 ? read_q4_0(block) : read_q4_1(block);
  }
  const GroupValues values = read_values(source, row, group_index * kWeightGroup);
  if (format == WeightFormat::kInt8) return round_int8(values);
  return format == WeightFormat::kInt4 ? round_int4(values) : round_int4_min(values);
}

// Byte offsets of one output's group inside its panel.
struct Place {
  std::size_t scale = 0;
  std::size_t minimum = 0;
  std::size_t quants = 0;
};
Place place_of(const PanelLayout& layout, std::size_t group, std::size_t lane) {
  const std::size_t scale = group * layout.group_scale_bytes + lane * sizeof(Float16);
  return {.scale = scale,
          .minimum = scale + kPanelRows * sizeof(Float16),
          .quants = layout.scale_bytes + group * layout.group_bytes + lane * 4};
}

constexpr std::size_t kQuadBytes = kPanelRows * 4;  // From one quad or chunk to the next.

void put_group(const Group& group, WeightFormat format, const Place& place, std::byte* panel) {
  std::memcpy(panel + place.scale, &group.scale, sizeof(Float16));
  if (format == WeightFormat::kInt4Min) {
    std::memcpy(panel + place.minimum, &group.minimum, sizeof(Float16));
  }
  if (format == WeightFormat::kInt8) {
    for (std::size_t quad = 0; quad < 8; ++quad) {
      std::memcpy(panel + place.quants + quad * kQuadBytes, &group.quants[quad * 4], 4);
    }
    return;
  }
  for (std::size_t chunk = 0; chunk < 4; ++chunk) {
    std::array<std::uint8_t, 4> bytes{};
    for (std::size_t j = 0; j < 4; ++j) {
      bytes[j] = static_cast<std::uint8_t>(group.quants[chunk * 8 + j] |
                                           group.quants[chunk * 8 + 4 + j] << 4);
    }
    std::memcpy(panel + place.quants + chunk * kQuadBytes, bytes.data(), bytes.size());
  }
}

Group get_group(const std::byte* panel, WeightFormat format, const Place& place) {
  Group group;
  std::memcpy(&group.scale, panel + place.scale, sizeof(Float16));
  if (format == WeightFormat::kInt4Min) {
    std::memcpy(&group.minimum, panel + place.minimum, sizeof(Float16));
  }
  for (std::size_t i = 0; i < kWeightGroup; ++i) {
    if (format == WeightFormat::kInt8) {
      group.quants[i] =
          std::to_integer<std::uint8_t>(panel[place.quants + i / 4 * kQuadBytes + i % 4]);
    } else {
      const std::byte both = panel[place.quants + i / 8 * kQuadBytes + i % 4];
      group.quants[i] = std::to_integer<std::uint8_t>(i % 8 < 4 ? both & std::byte{15} : both >> 4);
    }
  }
  return group;
}

}  // namespace

void pack_group_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const std::size_t num_groups = matrix.num_cols / kWeightGroup;
  CHECK(source.row_stride % kWeightGroup == 0 || !is_block_type(source.dtype));
  for (std::size_t r = 0; r < source.num_rows(); ++r) {
    const std::size_t row = first_row + r;
    std::byte* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
    for (std::size_t g = 0; g < num_groups; ++g) {
      put_group(make_group(source, r, g, matrix.format), matrix.format,
                place_of(layout, g, row % kPanelRows), panel);
    }
  }
}

void unpack_group_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                      float* values) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const bool is_int8 = matrix.format == WeightFormat::kInt8;
  const bool has_minimum = matrix.format == WeightFormat::kInt4Min;
  const int offset = is_int8 ? 128 : has_minimum ? 0 : 8;
  for (std::size_t g = 0; g < matrix.num_cols / kWeightGroup; ++g) {
    const Group group = get_group(panel, matrix.format, place_of(layout, g, lane));
    const float scale = to_float(group.scale);
    const float minimum = to_float(group.minimum);
    for (std::size_t i = 0; i < kWeightGroup; ++i) {
      // The product is exact: 11 bits times at most 8. So the sum is rounded once.
      const float product = scale * static_cast<float>(group.quants[i] - offset);
      values[g * kWeightGroup + i] = has_minimum ? product + minimum : product;
    }
  }
}

}  // namespace millrace
