// Finds the tensors of a quantised linear and checks that they fit each other.
#include "formats/quantized_linear.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

// Names and shapes of one module's tensors while its linear is put together.
class Finder {
 public:
  Finder(const WeightSource& source, const QuantizationConfig& config, QuantizedLinear linear)
      : source_(&source), config_(&config), linear_(std::move(linear)) {}

  Result<QuantizedLinear> find_gptq();
  Result<QuantizedLinear> find_awq();
  Result<QuantizedLinear> find_packed_rows();
  Result<QuantizedLinear> find_byte_rows();

 private:
  const TensorInfo* find(const char* part) const {
    return source_->find(linear_.name + "." + part);
  }
  Result<const TensorInfo*> require(const char* part) const;
  Error wrong_type(const TensorInfo& info, const std::string& expected) const;
  Error wrong_shape(const TensorInfo& info, const std::string& expected) const;
  // The bytes of 32-bit words of this shape.
  Result<std::span<const std::byte>> words(const TensorInfo& info, const Shape& shape) const;
  Result<ValueGrid::Type> scale_type(const TensorInfo& info) const;

  Status take_grouped_scales();
  Status take_bits(const TensorInfo& info, std::size_t num_words);
  Status take_row_scales(const TensorInfo& info);
  Status take_row_zeros(const TensorInfo& scales);
  Status take_column_groups(const char* part, bool is_needed);
  Status check_stored_shape() const;
  void look_for_constant_zeros();

  const WeightSource* source_;
  const QuantizationConfig* config_;
  QuantizedLinear linear_;
};

std::size_t num_words(std::size_t num_values, std::uint32_t bits) {
  return static_cast<std::size_t>(ceil_div(std::uint64_t{num_values} * bits, 32));
}

Result<const TensorInfo*> Finder::require(const char* part) const {
  const TensorInfo* info = find(part);
  if (info != nullptr) return info;
  return Error{ErrorCode::kCorruptData, source_->path() + ": tensor " +
                                            in_quotes(linear_.name + "." + part) + " is missing"};
}

Error Finder::wrong_type(const TensorInfo& info, const std::string& expected) const {
  return Error{ErrorCode::kCorruptData, source_->path() + ": tensor " + in_quotes(info.name) +
                                            " is of type " + info.type_name + ", expected " +
                                            expected};
}

Error Finder::wrong_shape(const TensorInfo& info, const std::string& expected) const {
  return Error{ErrorCode::kCorruptData, source_->path() + ": tensor " + in_quotes(info.name) +
                                            " has shape " + to_string(info.shape) + ", expected " +
                                            expected};
}

Result<std::span<const std::byte>> Finder::words(const TensorInfo& info, const Shape& shape) const {
  if (info.dtype != DType::kI32) return wrong_type(info, "I32");
  if (info.shape != shape) return wrong_shape(info, to_string(shape));
  return info.bytes;
}

Result<ValueGrid::Type> Finder::scale_type(const TensorInfo& info) const {
  if (info.dtype == DType::kF32) return ValueGrid::Type::kF32;
  if (info.dtype == DType::kF16) return ValueGrid::Type::kF16;
  if (info.dtype == DType::kBF16) return ValueGrid::Type::kBF16;
  if (info.type_name == "F8_E8M0" || info.dtype == DType::kU8) return ValueGrid::Type::kE8M0;
  return wrong_type(info, "F32, F16, BF16, F8_E8M0 or U8 (as E8M0)");
}

// GPTQ's and AWQ's scales: [groups, rows].
Status Finder::take_grouped_scales() {
  const TensorInfo* info = TRY(require("scales"));
  linear_.scales.type = TRY(scale_type(*info));
  const std::size_t rows = linear_.num_rows;
  const std::size_t cols = linear_.num_cols;
  const std::size_t size = config_->group_size == 0 ? cols : config_->group_size;
  std::size_t groups = static_cast<std::size_t>(ceil_div(cols, size));
  linear_.group_size = size;
  const bool is_other = info->shape.rank() == 2 && info->shape[0] != groups;
  if (config_->has_overrides && is_other && info->shape[0] > 0 && cols % info->shape[0] == 0) {
    groups = info->shape[0];
    linear_.group_size = cols / groups;
  }
  if (info->shape != Shape{groups, rows}) return wrong_shape(*info, to_string(Shape{groups, rows}));
  linear_.num_groups = groups;
  linear_.scales.bytes = info->bytes;
  linear_.scales.row_stride = 1;
  linear_.scales.group_stride = rows;
  return Ok{};
}

// The number of bits with which a row's columns fill so many words.
Status Finder::take_bits(const TensorInfo& info, std::size_t found_words) {
  static constexpr std::array<std::uint32_t, 4> kOverrides = {2, 3, 4, 8};
  std::span<const std::uint32_t> candidates = config_->bits;
  if (config_->has_overrides) candidates = kOverrides;
  for (const std::uint32_t bits : candidates) {
    if (num_words(linear_.num_cols, bits) != found_words) continue;
    linear_.packed.bits = bits;
    return Ok{};
  }
  std::string expected;
  for (const std::uint32_t bits : candidates) {
    expected += (expected.empty() ? "" : ", ") + std::to_string(bits) + " bits in " +
                std::to_string(num_words(linear_.num_cols, bits)) + " words";
  }
  return wrong_shape(info, std::to_string(linear_.num_cols) + " columns of " +
                               (expected.empty() ? "no integers" : expected));
}

// Symmetric schemes store the middle of the range as every zero; then none has to be carried on.
void Finder::look_for_constant_zeros() {
  const std::uint32_t bits = linear_.packed_zeros.bits;
  if (32 % bits != 0) return;
  const std::uint32_t middle = 1u << (bits - 1);
  std::uint32_t word = 0;
  for (std::uint32_t shift = 0; shift < 32; shift += bits)
    word |= (middle - linear_.zero_increment) << shift;
  const std::span<const std::byte> bytes = linear_.packed_zeros.bytes;
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(word)) {
    if (load<std::uint32_t>(bytes.data() + i) != word) return;
  }
  linear_.zeros = QuantizedLinear::Zeros::kConstant;
  linear_.constant_zero = static_cast<std::int32_t>(middle);
}

// Which group each column belongs to; kept only where the groups do not lie in order.
Status Finder::take_column_groups(const char* part, bool is_needed) {
  const TensorInfo* info = is_needed ? TRY(require(part)) : find(part);
  if (info == nullptr) return Ok{};
  const auto bytes = TRY(words(*info, Shape{linear_.num_cols}));
  std::vector<std::uint32_t> groups(linear_.num_cols);
  bool is_in_order = true;
  for (std::size_t col = 0; col < groups.size(); ++col) {
    groups[col] = load<std::uint32_t>(bytes.data() + col * sizeof(std::uint32_t));
    if (groups[col] >= linear_.num_groups) {
      return Error{ErrorCode::kCorruptData,
                   source_->path() + ": tensor " + in_quotes(info->name) + " puts column " +
                       std::to_string(col) + " in group " +
                       std::to_string(static_cast<std::int32_t>(groups[col])) + ", expected 0 to " +
                       std::to_string(linear_.num_groups - 1)};
    }
    is_in_order = is_in_order && groups[col] == col / linear_.group_size;
  }
  if (!is_in_order) linear_.column_groups = std::move(groups);
  return Ok{};
}

// qweight [words of the columns, rows], qzeros [groups, words of the rows], scales [groups, rows],
// g_idx [columns].
Result<QuantizedLinear> Finder::find_gptq() {
  const TensorInfo* weights = TRY(require("qweight"));
  const std::size_t rows = linear_.num_rows;
  if (weights->shape.rank() != 2 || weights->shape[1] != rows)
    return wrong_shape(*weights, "[words, " + std::to_string(rows) + "]");
  const std::size_t found_words = weights->shape[0];
  TRY(take_bits(*weights, found_words));
  PackedIntegers& packed = linear_.packed;
  packed.bytes = TRY(words(*weights, Shape{found_words, rows}));
  packed.stream_stride = 1;
  packed.word_stride = rows;
  linear_.quants = QuantizedLinear::Quants::kPacked;
  linear_.bytes = packed.bytes;
  TRY(take_grouped_scales());
  const std::size_t zero_words = num_words(rows, packed.bits);
  const TensorInfo* zeros = TRY(require("qzeros"));
  linear_.zeros = QuantizedLinear::Zeros::kPacked;
  linear_.zero_increment = config_->stores_zeros_less_one ? 1 : 0;
  linear_.packed_zeros = {.bytes = TRY(words(*zeros, Shape{linear_.num_groups, zero_words})),
                          .stream_stride = zero_words,
                          .word_stride = 1,
                          .bits = packed.bits};
  look_for_constant_zeros();
  TRY(take_column_groups("g_idx", config_->needs_column_groups && linear_.num_groups > 1));
  return std::move(linear_);
}

// qweight [columns, words of the rows], qzeros [groups, words of the rows], scales [groups, rows].
Result<QuantizedLinear> Finder::find_awq() {
  constexpr std::uint32_t kBits = 4;
  constexpr std::size_t kRowsPerWord = 8;
  const TensorInfo* weights = TRY(require("qweight"));
  const std::size_t rows = linear_.num_rows;
  if (rows % kRowsPerWord != 0) {
    return wrong_shape(*weights, "a multiple of 8 outputs, not " + std::to_string(rows));
  }
  const std::size_t row_words = rows / kRowsPerWord;
  linear_.packed = {.bytes = TRY(words(*weights, Shape{linear_.num_cols, row_words})),
                    .stream_stride = row_words,
                    .word_stride = 1,
                    .bits = kBits,
                    .is_in_awq_order = true};
  linear_.quants = QuantizedLinear::Quants::kPackedAcross;
  linear_.bytes = linear_.packed.bytes;
  TRY(take_grouped_scales());
  linear_.constant_zero = 1 << (kBits - 1);
  const TensorInfo* zeros = find("qzeros");
  if (zeros == nullptr) return std::move(linear_);
  linear_.zeros = QuantizedLinear::Zeros::kPacked;
  linear_.packed_zeros = {.bytes = TRY(words(*zeros, Shape{linear_.num_groups, row_words})),
                          .stream_stride = row_words,
                          .word_stride = 1,
                          .bits = kBits,
                          .is_in_awq_order = true};
  look_for_constant_zeros();
  return std::move(linear_);
}

// One scale for the tensor, for each row, for each group of a row's columns, or for each block.
Status Finder::take_row_scales(const TensorInfo& info) {
  const std::size_t rows = linear_.num_rows;
  const std::size_t cols = linear_.num_cols;
  ValueGrid& grid = linear_.scales;
  grid.type = TRY(scale_type(info));
  grid.bytes = info.bytes;
  linear_.group_size = cols;
  linear_.num_groups = 1;
  const Shape& shape = info.shape;
  if (config_->block_rows != 0) {
    const auto block_rows = static_cast<std::size_t>(ceil_div(rows, config_->block_rows));
    const auto block_cols = static_cast<std::size_t>(ceil_div(cols, config_->block_cols));
    if (shape == Shape{block_rows, block_cols}) {
      grid.num_rows = config_->block_rows;
      grid.row_stride = block_cols;
      grid.group_stride = 1;
      linear_.group_size = config_->block_cols;
      linear_.num_groups = block_cols;
      return Ok{};
    }
  }
  if (shape.num_elements() == 1) return Ok{};
  grid.row_stride = 1;
  if (shape == Shape{rows} || shape == Shape{rows, 1}) return Ok{};
  const bool has_groups =
      shape.rank() == 2 && shape[0] == rows && shape[1] > 0 && cols % shape[1] == 0;
  if (!has_groups) {
    return wrong_shape(info, "one scale, or one for each row, group or block of [" +
                                 std::to_string(rows) + ", " + std::to_string(cols) + "]");
  }
  linear_.num_groups = shape[1];
  linear_.group_size = cols / shape[1];
  grid.row_stride = shape[1];
  grid.group_stride = 1;
  return Ok{};
}

// Zeros of integer rows: packed down the rows, or bytes that lie as the scales do.
Status Finder::take_row_zeros(const TensorInfo& scales) {
  const TensorInfo* info = find("weight_zero_point");
  if (info == nullptr) return Ok{};
  if (linear_.quants == QuantizedLinear::Quants::kE4M3) {
    return Error{ErrorCode::kUnsupported, source_->path() + ": tensor " + in_quotes(info->name) +
                                              ": zero points of FP8 are not supported"};
  }
  if (info->dtype == DType::kI32 && linear_.quants == QuantizedLinear::Quants::kPacked) {
    const std::size_t zero_words = num_words(linear_.num_rows, linear_.packed.bits);
    linear_.zeros = QuantizedLinear::Zeros::kPacked;
    linear_.packed_zeros = {.bytes = TRY(words(*info, Shape{zero_words, linear_.num_groups})),
                            .stream_stride = 1,
                            .word_stride = linear_.num_groups,
                            .bits = linear_.packed.bits};
    return Ok{};
  }
  if (info->dtype != DType::kI8) return wrong_type(*info, "I8 or packed I32");
  if (info->shape != scales.shape) return wrong_shape(*info, to_string(scales.shape));
  linear_.zeros = QuantizedLinear::Zeros::kInt8;
  linear_.byte_zeros = linear_.scales;
  linear_.byte_zeros.type = ValueGrid::Type::kI8;
  linear_.byte_zeros.bytes = info->bytes;
  return Ok{};
}

// weight_shape [2] holds the shape before packing.
Status Finder::check_stored_shape() const {
  const TensorInfo* info = find("weight_shape");
  if (info == nullptr) return Ok{};
  if (info->dtype != DType::kI64 && info->dtype != DType::kI32)
    return wrong_type(*info, "I64 or I32");
  if (info->shape != Shape{2}) return wrong_shape(*info, "[2]");
  const auto extent = [info](std::size_t i) {
    return info->dtype == DType::kI64
               ? load<std::int64_t>(info->bytes.data() + i * sizeof(std::int64_t))
               : std::int64_t{load<std::int32_t>(info->bytes.data() + i * sizeof(std::int32_t))};
  };
  if (extent(0) == static_cast<std::int64_t>(linear_.num_rows) &&
      extent(1) == static_cast<std::int64_t>(linear_.num_cols)) {
    return Ok{};
  }
  return Error{ErrorCode::kCorruptData, source_->path() + ": tensor " + in_quotes(info->name) +
                                            " says [" + std::to_string(extent(0)) + ", " +
                                            std::to_string(extent(1)) + "], expected [" +
                                            std::to_string(linear_.num_rows) + ", " +
                                            std::to_string(linear_.num_cols) + "]"};
}

// compressed-tensors' weight_packed [rows, words of the columns] and its scales.
Result<QuantizedLinear> Finder::find_packed_rows() {
  const TensorInfo* weights = TRY(require("weight_packed"));
  const std::size_t rows = linear_.num_rows;
  if (weights->shape.rank() != 2 || weights->shape[0] != rows)
    return wrong_shape(*weights, "[" + std::to_string(rows) + ", words]");
  const std::size_t row_words = weights->shape[1];
  TRY(take_bits(*weights, row_words));
  linear_.packed.bytes = TRY(words(*weights, Shape{rows, row_words}));
  linear_.packed.stream_stride = row_words;
  linear_.packed.word_stride = 1;
  linear_.quants = QuantizedLinear::Quants::kPacked;
  linear_.bytes = linear_.packed.bytes;
  linear_.constant_zero = 1 << (linear_.packed.bits - 1);
  TRY(check_stored_shape());
  const TensorInfo* scales = TRY(require("weight_scale"));
  TRY(take_row_scales(*scales));
  TRY(take_row_zeros(*scales));
  TRY(take_column_groups("weight_g_idx", false));
  return std::move(linear_);
}

// `weight` of type I8 or F8_E4M3 with weight_scale or weight_scale_inv, which multiplies too.
Result<QuantizedLinear> Finder::find_byte_rows() {
  const TensorInfo* weights = TRY(require("weight"));
  const Shape expected = {linear_.num_rows, linear_.num_cols};
  if (weights->shape != expected) return wrong_shape(*weights, to_string(expected));
  const bool is_int = weights->dtype == DType::kI8;
  linear_.quants = is_int ? QuantizedLinear::Quants::kInt8 : QuantizedLinear::Quants::kE4M3;
  linear_.bytes = weights->bytes;
  const TensorInfo* scales = find("weight_scale_inv");
  if (scales == nullptr) scales = TRY(require("weight_scale"));
  TRY(take_row_scales(*scales));
  TRY(take_row_zeros(*scales));
  TRY(take_column_groups("weight_g_idx", false));
  return std::move(linear_);
}

bool holds(const WeightSource& source, const std::string& module, const char* part) {
  return source.find(module + "." + part) != nullptr;
}

bool holds_byte_rows(const WeightSource& source, const std::string& module,
                     const QuantizationConfig& config) {
  const TensorInfo* info = source.find(module + ".weight");
  if (info == nullptr) return false;
  if (info->type_name == "F8_E4M3") return true;
  return config.method == QuantizationMethod::kCompressedTensors && info->dtype == DType::kI8;
}

}  // namespace

std::vector<const TensorInfo*> weight_tensors_of(const WeightSource& source,
                                                 const std::string& module) {
  static constexpr std::array<const char*, 13> kParts = {"weight",
                                                         "weight_scale",
                                                         "weight_scale_inv",
                                                         "weight_zero_point",
                                                         "weight_g_idx",
                                                         "weight_packed",
                                                         "weight_shape",
                                                         "input_scale",
                                                         "input_zero_point",
                                                         "qweight",
                                                         "qzeros",
                                                         "scales",
                                                         "g_idx"};
  std::vector<const TensorInfo*> found;
  for (const char* part : kParts) {
    const TensorInfo* info = source.find(module + "." + part);
    if (info != nullptr) found.push_back(info);
  }
  return found;
}

bool has_quantized_linear(const WeightSource& source, const QuantizationConfig& config,
                          const std::string& module) {
  switch (config.method) {
    case QuantizationMethod::kGptq:
    case QuantizationMethod::kAwq:
      return holds(source, module, "qweight");
    case QuantizationMethod::kCompressedTensors:
      return holds(source, module, "weight_packed") || holds_byte_rows(source, module, config);
    case QuantizationMethod::kFp8:
      return holds_byte_rows(source, module, config);
  }
  return false;
}

Result<std::optional<QuantizedLinear>> find_quantized_linear(const WeightSource& source,
                                                             const QuantizationConfig& config,
                                                             const std::string& module,
                                                             std::size_t num_rows,
                                                             std::size_t num_cols) {
  if (!has_quantized_linear(source, config, module)) return std::optional<QuantizedLinear>();
  if (num_rows == 0 || num_cols == 0) {
    return Error{ErrorCode::kCorruptData,
                 source.path() + ": " + module + " has no rows or no columns"};
  }
  QuantizedLinear linear;
  linear.name = module;
  linear.num_rows = num_rows;
  linear.num_cols = num_cols;
  Finder finder(source, config, std::move(linear));
  Result<QuantizedLinear> found = [&] {
    if (config.method == QuantizationMethod::kGptq) return finder.find_gptq();
    if (config.method == QuantizationMethod::kAwq) return finder.find_awq();
    if (holds(source, module, "weight_packed")) return finder.find_packed_rows();
    return finder.find_byte_rows();
  }();
  if (!found.ok()) return std::move(found).error();
  return std::optional<QuantizedLinear>(std::move(found).value());
}

}  // namespace millrace
