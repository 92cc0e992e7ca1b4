// The floats that quantised rows stand for.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "formats/byte_reader.h"
#include "formats/quantized_linear.h"
#include "tensor/half.h"

namespace millrace {
namespace {

constexpr std::array<float, 256> e4m3_table() {
  std::array<float, 256> table = {};
  for (std::uint32_t code = 0; code < table.size(); ++code)
    table[code] = to_float(Float8{static_cast<std::uint8_t>(code)});
  return table;
}
constexpr std::array<float, 256> kE4M3 = e4m3_table();

// Scales and zeros of one row, a group each.
struct RowGroups {
  std::vector<float> scales;
  std::vector<std::int32_t> zeros;

  RowGroups(const QuantizedLinear& linear, std::size_t row)
      : scales(linear.num_groups), zeros(linear.num_groups) {
    for (std::size_t group = 0; group < linear.num_groups; ++group) {
      scales[group] = linear.scales.at(row, group);
      zeros[group] = linear.zero(row, group);
    }
  }
};

// Words that hold whole values: one load for 32 / bits columns.
void read_words(const PackedIntegers& packed, std::size_t stream, std::span<std::int32_t> quants) {
  const std::size_t per_word = 32 / packed.bits;
  const std::uint32_t mask = (1u << packed.bits) - 1;
  const std::byte* at = packed.bytes.data() + stream * packed.stream_stride * sizeof(mask);
  for (std::size_t col = 0; col < quants.size(); col += per_word) {
    auto word = load<std::uint32_t>(at);
    at += packed.word_stride * sizeof(word);
    const std::size_t end = std::min(col + per_word, quants.size());
    for (std::size_t i = col; i < end; ++i, word >>= packed.bits)
      quants[i] = static_cast<std::int32_t>(word & mask);
  }
}

// The integers of one row; FP8 as it is stored.
void read_quants(const QuantizedLinear& linear, std::size_t row, std::span<std::int32_t> quants) {
  const PackedIntegers& packed = linear.packed;
  if (linear.quants == QuantizedLinear::Quants::kPacked && 32 % packed.bits == 0)
    return read_words(packed, row, quants);
  if (linear.quants == QuantizedLinear::Quants::kPacked ||
      linear.quants == QuantizedLinear::Quants::kPackedAcross) {
    for (std::size_t col = 0; col < quants.size(); ++col) quants[col] = linear.quant(row, col);
    return;
  }
  const std::byte* bytes = linear.bytes.data() + row * linear.num_cols;
  for (std::size_t col = 0; col < quants.size(); ++col)
    quants[col] = load<std::int8_t>(bytes + col);
}

void decode_row(const QuantizedLinear& linear, std::size_t row, std::span<std::int32_t> quants,
                float* values) {
  const RowGroups groups(linear, row);
  read_quants(linear, row, quants);
  const bool is_float = linear.quants == QuantizedLinear::Quants::kE4M3;
  const auto value = [&](std::size_t col, float scale, std::int32_t zero) {
    const std::int32_t quant = quants[col];
    return scale *
           (is_float ? kE4M3[static_cast<std::uint8_t>(quant)] : static_cast<float>(quant - zero));
  };
  if (!linear.column_groups.empty()) {
    for (std::size_t col = 0; col < linear.num_cols; ++col) {
      const std::size_t group = linear.column_groups[col];
      values[col] = value(col, groups.scales[group], groups.zeros[group]);
    }
    return;
  }
  for (std::size_t group = 0; group < linear.num_groups; ++group) {
    const float scale = groups.scales[group];
    const std::int32_t zero = groups.zeros[group];
    const std::size_t end = std::min((group + 1) * linear.group_size, linear.num_cols);
    for (std::size_t col = group * linear.group_size; col < end; ++col)
      values[col] = value(col, scale, zero);
  }
}

bool is_packed(const QuantizedLinear& linear) {
  return linear.quants == QuantizedLinear::Quants::kPacked ||
         linear.quants == QuantizedLinear::Quants::kPackedAcross;
}

bool is_packed_byte(const QuantizedLinear& linear) {
  return is_packed(linear) && linear.packed.bits == 8;
}

// What is taken from every quant, so that it fits a signed byte.
std::int32_t quant_offset(const QuantizedLinear& linear) {
  if (linear.zeros == QuantizedLinear::Zeros::kConstant) return linear.constant_zero;
  return is_packed_byte(linear) ? 128 : 0;
}

// Columns that are taken apart together; 0: they cannot be.
std::uint32_t split_group(const QuantizedLinear& linear) {
  constexpr std::uint32_t kWide = 32;
  constexpr std::uint32_t kNarrow = 16;
  if (linear.num_cols % kWide != 0 || !linear.column_groups.empty()) return 0;
  if (linear.num_groups == 1 || linear.group_size % kWide == 0) return kWide;
  return linear.group_size % kNarrow == 0 ? kNarrow : 0;
}

}  // namespace

std::uint32_t PackedIntegers::at(std::size_t stream, std::size_t position) const {
  if (is_in_awq_order) position = position / 8 * 8 + position % 2 * 4 + position % 8 / 2;
  const std::size_t bit = position * bits;
  const std::size_t word = stream * stream_stride + bit / 32 * word_stride;
  const std::size_t shift = bit % 32;
  std::uint64_t pair = load<std::uint32_t>(bytes.data() + word * sizeof(std::uint32_t));
  if (shift + bits > 32) {
    const std::byte* next = bytes.data() + (word + word_stride) * sizeof(std::uint32_t);
    pair |= std::uint64_t{load<std::uint32_t>(next)} << 32;
  }
  return static_cast<std::uint32_t>(pair >> shift) & ((1u << bits) - 1);
}

float ValueGrid::at(std::size_t row, std::size_t group) const {
  const std::size_t index = row / num_rows * row_stride + group * group_stride;
  switch (type) {
    case Type::kF32:
      return load<float>(bytes.data() + index * sizeof(float));
    case Type::kF16:
      return to_float(load<Float16>(bytes.data() + index * sizeof(Float16)));
    case Type::kBF16:
      return to_float(load<BFloat16>(bytes.data() + index * sizeof(BFloat16)));
    case Type::kE8M0: {
      // 2^(code - 127); all ones is NaN. Source: OCP Microscaling Formats v1.0, section 5.4.1.
      const auto code = load<std::uint8_t>(bytes.data() + index);
      return code == 0xFF ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, code - 127);
    }
    case Type::kI8:
      return static_cast<float>(load<std::int8_t>(bytes.data() + index));
  }
  return 0.0f;
}

std::int32_t QuantizedLinear::quant(std::size_t row, std::size_t col) const {
  switch (quants) {
    case Quants::kPacked:
      return static_cast<std::int32_t>(packed.at(row, col));
    case Quants::kPackedAcross:
      return static_cast<std::int32_t>(packed.at(col, row));
    default:
      return load<std::int8_t>(bytes.data() + row * num_cols + col);
  }
}

std::int32_t QuantizedLinear::zero(std::size_t row, std::size_t group) const {
  switch (zeros) {
    case Zeros::kConstant:
      return constant_zero;
    case Zeros::kPacked: {
      const std::uint32_t mask = (1u << packed_zeros.bits) - 1;
      return static_cast<std::int32_t>((packed_zeros.at(group, row) + zero_increment) & mask);
    }
    case Zeros::kInt8:
      return constant_zero + static_cast<std::int32_t>(byte_zeros.at(row, group));
  }
  return 0;
}

std::optional<QuantKind> quant_kind(const QuantizedLinear& linear) {
  const std::uint32_t group_size = split_group(linear);
  if (group_size == 0 || linear.quants == QuantizedLinear::Quants::kE4M3) return std::nullopt;
  QuantKind kind;
  kind.group_size = group_size;
  kind.has_minimum = linear.zeros != QuantizedLinear::Zeros::kConstant;
  // scale * zero has at most 11 + 9 bits; of an f32 scale it would have to be rounded.
  if (kind.has_minimum && linear.scales.type == ValueGrid::Type::kF32) return std::nullopt;
  kind.has_half_scales = !kind.has_minimum && linear.scales.type == ValueGrid::Type::kF16;
  if (!is_packed(linear)) return kind;
  const std::int32_t offset = quant_offset(linear);
  kind.quant_min = -offset;
  kind.quant_max = (1 << linear.packed.bits) - 1 - offset;
  return kind;
}

bool has_float8_groups(const QuantizedLinear& linear) {
  return linear.quants == QuantizedLinear::Quants::kE4M3 && split_group(linear) == 32;
}

void split_quantized_rows(const QuantizedLinear& linear, std::size_t begin, std::size_t count,
                          const QuantSpans& out) {
  const std::size_t group_size = split_group(linear);
  CHECK(group_size != 0);
  CHECK(begin + count <= linear.num_rows);
  CHECK(out.quants.size() == count * linear.num_cols);
  const std::int32_t offset = quant_offset(linear);
  const std::size_t num_groups = linear.num_cols / group_size;
  std::vector<std::int32_t> row_quants(linear.num_cols);
  for (std::size_t i = 0; i < count; ++i) {
    read_quants(linear, begin + i, row_quants);
    std::int8_t* quants = out.quants.data() + i * linear.num_cols;
    for (std::size_t col = 0; col < linear.num_cols; ++col)
      quants[col] = static_cast<std::int8_t>(row_quants[col] - offset);
    for (std::size_t g = 0; g < num_groups; ++g) {
      const std::size_t group = linear.group_of(g * group_size);
      const float scale = linear.scales.at(begin + i, group);
      out.scales[i * num_groups + g] = scale;
      if (out.minima.empty()) continue;
      out.minima[i * num_groups + g] =
          scale * static_cast<float>(offset - linear.zero(begin + i, group));
    }
  }
}

// Rows are decoded one by one: those of a panel share cache lines, which stay in L1 meanwhile.
void decode_quantized_rows(const QuantizedLinear& linear, std::size_t begin, std::size_t count,
                           std::span<float> values) {
  CHECK(begin + count <= linear.num_rows);
  CHECK(values.size() == count * linear.num_cols);
  std::vector<std::int32_t> quants(linear.num_cols);
  for (std::size_t i = 0; i < count; ++i)
    decode_row(linear, begin + i, quants, values.data() + i * linear.num_cols);
}

}  // namespace millrace
