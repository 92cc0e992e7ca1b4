// One matrix of a checkpoint that is stored as integers or FP8 with scales, whatever the scheme.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/quantization_config.h"
#include "formats/weight_source.h"
#include "tensor/quant_groups.h"

namespace millrace {

// Integers of a few bits in streams of 32-bit little-endian words, without gaps: value p of a
// stream is at bit p * bits. The words of one stream lie word_stride words apart.
//
//   GPTQ       a stream per output        | o0 o1 o2 … | o0 o1 o2 … |       word_stride = outputs
//   the rest   a stream per row           | r0 r0 r0 … | r1 r1 r1 … |       word_stride = 1
//
// AWQ's streams run along the outputs, and each eight of them lie in the order 0 2 4 6 1 3 5 7.
struct PackedIntegers {
  std::span<const std::byte> bytes;  // any alignment
  std::size_t stream_stride = 0;
  std::size_t word_stride = 0;
  std::uint32_t bits = 0;
  bool is_in_awq_order = false;

  std::uint32_t at(std::size_t stream, std::size_t position) const;
};

// One value for `num_rows` rows and a group of columns: of row r and group g at element
// r / num_rows * row_stride + g * group_stride.
struct ValueGrid {
  enum class Type : std::uint8_t { kF32, kF16, kBF16, kE8M0, kI8 };

  std::span<const std::byte> bytes;  // any alignment
  Type type = Type::kF32;
  std::size_t num_rows = 1;
  std::size_t row_stride = 0;
  std::size_t group_stride = 0;

  float at(std::size_t row, std::size_t group) const;
};

// w[row, col] = scale[row, group] * (q[row, col] - zero[row, group])    integers
// w[row, col] = scale[row, group] * e4m3[row, col]                      FP8
//
// Borrowed from its WeightSource. Const; any thread.
struct QuantizedLinear {
  enum class Quants : std::uint8_t { kPacked, kPackedAcross, kInt8, kE4M3 };
  enum class Zeros : std::uint8_t { kConstant, kPacked, kInt8 };

  std::string name;  // of the module
  std::size_t num_rows = 0;
  std::size_t num_cols = 0;
  Quants quants = Quants::kInt8;
  std::span<const std::byte> bytes;  // of the quants; rows, where they are bytes
  PackedIntegers packed;             // A stream is a row; where they are packed across, a column.
  ValueGrid scales;
  Zeros zeros = Zeros::kConstant;
  // kInt8's are added to it. Packed zeros that are all alike are constant.
  std::int32_t constant_zero = 0;
  PackedIntegers packed_zeros;  // A stream is a group, whose positions are rows.
  ValueGrid byte_zeros;
  // Added to a packed zero, modulo 2^bits.
  std::uint32_t zero_increment = 0;
  std::size_t group_size = 0;  // Columns of a group; the last one may be shorter.
  std::size_t num_groups = 0;
  // The group of each column, where they do not lie in order; else empty.
  std::vector<std::uint32_t> column_groups;

  std::size_t group_of(std::size_t col) const {
    return column_groups.empty() ? col / group_size : column_groups[col];
  }
  // Integers only.
  std::int32_t quant(std::size_t row, std::size_t col) const;
  std::int32_t zero(std::size_t row, std::size_t group) const;
};

// The linear `module` ("model.layers.0.mlp.up_proj") of [num_rows, num_cols]; nothing when the
// checkpoint holds no quantised tensors of it. Checks types and shapes; reads the groups of columns
// and the zeros, but no weights. kCorruptData naming tensor, found and expected.
Result<std::optional<QuantizedLinear>> find_quantized_linear(const WeightSource& source,
                                                             const QuantizationConfig& config,
                                                             const std::string& module,
                                                             std::size_t num_rows,
                                                             std::size_t num_cols);
// Every tensor of the source that belongs to the weights of `module`, quantised or not.
std::vector<const TensorInfo*> weight_tensors_of(const WeightSource& source,
                                                 const std::string& module);
// Whether the checkpoint holds quantised tensors of `module`.
bool has_quantized_linear(const WeightSource& source, const QuantizationConfig& config,
                          const std::string& module);

// Rows [begin, begin + count) as floats [count, num_cols]. The product is rounded to float once;
// exact wherever scales are f16, bf16 or powers of two.
void decode_quantized_rows(const QuantizedLinear& linear, std::size_t begin, std::size_t count,
                           std::span<float> values);

// How the weights come about from integers, scales and minima in groups of 32 or 16 columns,
// without loss: what is stored may have other groups. Nothing for FP8, for columns whose groups do
// not lie in order, for other groups, and where a minimum would have to be rounded.
std::optional<QuantKind> quant_kind(const QuantizedLinear& linear);
// Whether the weights come about from FP8 and scales in groups of 32 columns.
bool has_float8_groups(const QuantizedLinear& linear);
// Takes rows [begin, begin + count) apart into groups of quant_kind(), or of has_float8_groups():
// then the quants are FP8 as it is stored. One of them there must be.
void split_quantized_rows(const QuantizedLinear& linear, std::size_t begin, std::size_t count,
                          const QuantSpans& out);

}  // namespace millrace
