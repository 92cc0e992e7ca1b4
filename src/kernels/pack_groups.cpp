// Rounds weights to groups of 8 or 4 bits, takes over integers and scales as they are, and lays
// them out.
#include "kernels/pack_groups.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "base/check.h"
#include "kernels/pack.h"

namespace millrace {
namespace {

// One group of one output, before it goes into its panel: as much of `codes` as the format's group
// is long. A code is what is stored of a quant: q + 128 in 8 bits, q + 8 or q in 4, or an index.
struct Group {
  float scale = 0;
  float minimum = 0;
  std::array<std::uint8_t, kWeightGroup> codes{};
};
using GroupValues = std::span<const float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Both directions between the quants of a format and its codes.
class Codec {
 public:
  explicit Codec(const IntFormat& ints) : offset_(-ints.quant_min) {
    if (ints.values != QuantValues::kRange) {
      values_ = ints.values == QuantValues::kE2m1 ? kE2m1Values : kIq4Values;
      has_table_ = true;
    }
    for (int q = ints.quant_min; q <= ints.quant_max; ++q) {
      codes_[static_cast<std::uint8_t>(q)] = nearest(static_cast<float>(q));
    }
  }
  bool has_table() const { return has_table_; }
  int quant(std::uint8_t code) const { return has_table_ ? values_[code] : code - offset_; }
  std::uint8_t code(std::int8_t quant) const { return codes_[static_cast<std::uint8_t>(quant)]; }
  // The code whose quant is nearest; where two are, the first.
  std::uint8_t nearest(float value) const {
    if (!has_table_) return static_cast<std::uint8_t>(value + static_cast<float>(offset_) + 0.5f);
    std::size_t best = 0;
    for (std::size_t i = 1; i < values_.size(); ++i) {
      if (std::abs(value - values_[i]) < std::abs(value - values_[best])) best = i;
    }
    return static_cast<std::uint8_t>(best);
  }

 private:
  int offset_;
  bool has_table_ = false;
  std::array<std::int8_t, 16> values_{};
  std::array<std::uint8_t, 256> codes_{};  // By quant, as two's complement.
};

// Zero, or NaN when a value is infinite or NaN: such a group gets the scale NaN, so that it shows
// in every output instead of passing for a number.
float poison(GroupValues values) {
  float sum = 0;
  for (const float value : values) sum += value * 0.0f;
  return sum;
}

float stored(float value, const IntFormat& ints) {
  return ints.has_wide_scales ? value : to_float(to_float16(value));
}

// The scale and minimum under which a group is rounded, and the quants that it may take.
struct Rounding {
  float scale = 0;
  float minimum = 0;
  float lowest = 0;
  float highest = 0;
};

// With minima: 0 … 15 from the least value on, or -127 … 127 around the middle.
Rounding rounding_with_minimum(GroupValues values, const IntFormat& ints) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (ints.num_bits == 4) {
    return {.scale = (*high - *low) / 15.0f, .minimum = *low, .lowest = 0, .highest = 15};
  }
  return {.scale = (*high - *low) / 254.0f,
          .minimum = *low / 2 + *high / 2,
          .lowest = -127,
          .highest = 127};
}

// 8 bits: -127 … 127. 4 bits: the value of largest magnitude becomes the quant of largest magnitude
// exactly, for which the scale bears the sign that it needs.
Rounding rounding_of(GroupValues values, const IntFormat& ints) {
  if (ints.has_minimum) return rounding_with_minimum(values, ints);
  float extreme = 0;
  for (const float value : values) {
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  }
  if (ints.num_bits == 8) {
    return {.scale = std::abs(extreme) / 127.0f, .lowest = -127, .highest = 127};
  }
  if (ints.values == QuantValues::kE2m1) {
    return {.scale = extreme / 12.0f, .lowest = -12, .highest = 12};
  }
  if (ints.values == QuantValues::kIq4) {
    return {.scale = extreme / -127.0f, .lowest = -127, .highest = 113};
  }
  return {.scale = extreme / -8.0f, .lowest = -8, .highest = 7};
}

// The nearest multiples of the scale as it is stored (GGUF rounds with the scale before its own
// rounding to f16; these are nearer).
Group round_group(GroupValues values, const IntFormat& ints, const Codec& codec) {
  const Rounding rounding = rounding_of(values, ints);
  Group group;
  group.scale = stored(rounding.scale, ints);
  group.minimum = stored(rounding.minimum, ints);
  const float inverse = group.scale != 0 ? 1.0f / group.scale : 0.0f;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float q = (values[i] - group.minimum) * inverse;
    const float above = q > rounding.lowest ? q : rounding.lowest;  // NaN becomes the lowest.
    group.codes[i] = codec.nearest(above < rounding.highest ? above : rounding.highest);
  }
  if (poison(values) != 0.0f) group.scale = kNan;
  return group;
}

void read_values(ConstTensorView source, std::size_t row, std::size_t col,
                 std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
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
}

// Weights of `row` from `col` on. The quants of a table format may be any: the nearest code is
// taken, which is an exact one where the source keeps its promise.
Group take_group(const QuantRows& source, std::size_t row, std::size_t col, const IntFormat& ints,
                 const Codec& codec) {
  const std::size_t at = (row * source.num_cols + col) / source.group_size;
  Group group;
  group.scale = source.scales[at];
  if (source.minima != nullptr) group.minimum = source.minima[at];
  const std::int8_t* quants = source.quants + row * source.num_cols + col;
  for (std::size_t i = 0; i < ints.group_size; ++i) {
    DCHECK(quants[i] >= ints.quant_min && quants[i] <= ints.quant_max);
    group.codes[i] = codec.code(quants[i]);
  }
  return group;
}

// Byte offsets of one output's group inside its panel. 4-bit codes of a group of 16 begin at a
// whole chunk, so that either kind of group is a run of chunks.
struct Place {
  std::size_t scale = 0;
  std::size_t minimum = 0;
  std::size_t codes = 0;
};
Place place_of(const PanelLayout& layout, const IntFormat& ints, std::size_t group,
               std::size_t lane) {
  const std::size_t scale_bytes = ints.has_wide_scales ? sizeof(float) : sizeof(Float16);
  const std::size_t scale = group * layout.group_scale_bytes + lane * scale_bytes;
  const std::size_t code_bytes = kPanelRows * ints.group_size * ints.num_bits / 8;
  return {.scale = scale,
          .minimum = scale + kPanelRows * scale_bytes,
          .codes = layout.scale_bytes + group * code_bytes + lane * 4};
}

constexpr std::size_t kQuadBytes = kPanelRows * 4;  // From one quad or chunk to the next.

void put_scale(float scale, const IntFormat& ints, std::byte* at) {
  const Float16 half = to_float16(scale);
  const void* bytes = ints.has_wide_scales ? static_cast<const void*>(&scale) : &half;
  std::memcpy(at, bytes, ints.has_wide_scales ? sizeof scale : sizeof half);
}

float get_scale(const IntFormat& ints, const std::byte* at) {
  float scale = 0;
  Float16 half;
  if (!ints.has_wide_scales) {
    std::memcpy(&half, at, sizeof half);
    return to_float(half);
  }
  std::memcpy(&scale, at, sizeof scale);
  return scale;
}

void put_group(const Group& group, const IntFormat& ints, const Place& place, std::byte* panel) {
  put_scale(group.scale, ints, panel + place.scale);
  if (ints.has_minimum) put_scale(group.minimum, ints, panel + place.minimum);
  if (ints.num_bits == 8) {
    for (std::size_t quad = 0; quad < ints.group_size / 4; ++quad) {
      std::memcpy(panel + place.codes + quad * kQuadBytes, &group.codes[quad * 4], 4);
    }
    return;
  }
  for (std::size_t chunk = 0; chunk < ints.group_size / 8; ++chunk) {
    std::array<std::uint8_t, 4> bytes{};
    for (std::size_t j = 0; j < 4; ++j) {
      bytes[j] = static_cast<std::uint8_t>(group.codes[chunk * 8 + j] |
                                           group.codes[chunk * 8 + 4 + j] << 4);
    }
    std::memcpy(panel + place.codes + chunk * kQuadBytes, bytes.data(), bytes.size());
  }
}

Group get_group(const std::byte* panel, const IntFormat& ints, const Place& place) {
  Group group;
  group.scale = get_scale(ints, panel + place.scale);
  if (ints.has_minimum) group.minimum = get_scale(ints, panel + place.minimum);
  for (std::size_t i = 0; i < ints.group_size; ++i) {
    if (ints.num_bits == 8) {
      group.codes[i] =
          std::to_integer<std::uint8_t>(panel[place.codes + i / 4 * kQuadBytes + i % 4]);
    } else {
      const std::byte both = panel[place.codes + i / 8 * kQuadBytes + i % 4];
      group.codes[i] = std::to_integer<std::uint8_t>(i % 8 < 4 ? both & std::byte{15} : both >> 4);
    }
  }
  return group;
}

// Puts what make(row, col) makes of every group of rows [0, num_rows) of a source.
template <class Make>
void put_groups(std::size_t num_rows, std::size_t first_row, PackedMatrix& matrix,
                const Make& make) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const IntFormat ints = int_format(matrix.format);
  for (std::size_t r = 0; r < num_rows; ++r) {
    const std::size_t row = first_row + r;
    std::byte* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
    for (std::size_t g = 0; g < matrix.num_cols / ints.group_size; ++g) {
      put_group(make(r, g * ints.group_size), ints, place_of(layout, ints, g, row % kPanelRows),
                panel);
    }
  }
}

}  // namespace

void pack_group_rows(ConstTensorView source, std::size_t first_row, PackedMatrix& matrix) {
  const IntFormat ints = int_format(matrix.format);
  const Codec codec(ints);
  std::array<float, kWeightGroup> room{};
  const std::span values = std::span(room).first(ints.group_size);
  put_groups(source.num_rows(), first_row, matrix, [&](std::size_t row, std::size_t col) {
    read_values(source, row, col, values);
    return round_group(values, ints, codec);
  });
}

void pack_group_rows(const QuantRows& source, std::size_t first_row, PackedMatrix& matrix) {
  const IntFormat ints = int_format(matrix.format);
  const Codec codec(ints);
  put_groups(source.num_rows, first_row, matrix, [&](std::size_t row, std::size_t col) {
    return take_group(source, row, col, ints, codec);
  });
}

void unpack_group_row(const PackedMatrix& matrix, const std::byte* panel, std::size_t lane,
                      float* values) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const IntFormat ints = int_format(matrix.format);
  const Codec codec(ints);
  for (std::size_t g = 0; g < matrix.num_cols / ints.group_size; ++g) {
    const Group group = get_group(panel, ints, place_of(layout, ints, g, lane));
    float* of_group = values + g * ints.group_size;
    for (std::size_t i = 0; i < ints.group_size; ++i) {
      // The product is exact, as QuantKind promises. So the sum is rounded once.
      of_group[i] = group.scale * static_cast<float>(codec.quant(group.codes[i]));
      if (ints.has_minimum) of_group[i] += group.minimum;
    }
  }
}

void read_group_row(const PackedMatrix& matrix, std::size_t row, const GroupRow& out) {
  const PanelLayout layout = panel_layout(matrix.format, matrix.num_cols);
  const IntFormat ints = int_format(matrix.format);
  const std::byte* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
  for (std::size_t g = 0; g < matrix.num_cols / ints.group_size; ++g) {
    const Group group = get_group(panel, ints, place_of(layout, ints, g, row % kPanelRows));
    std::copy_n(group.codes.begin(), ints.group_size,
                out.codes.begin() + static_cast<std::ptrdiff_t>(g * ints.group_size));
    out.scales[g] = group.scale;
    if (ints.has_minimum) out.minima[g] = group.minimum;
  }
}

}  // namespace millrace
