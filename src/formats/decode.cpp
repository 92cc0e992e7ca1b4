// Decoding of plain types, and of blocks by way of their integers and scales.
#include "formats/decode.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "formats/byte_reader.h"
#include "formats/decode_blocks.h"
#include "formats/text_quote.h"
#include "tensor/half.h"

namespace millrace {
namespace {

template <class Float>
void decode_narrow(const std::byte* bytes, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = to_float(load<Float>(bytes + i * sizeof(Float)));
}

// x = scale * quant + minimum, group by group, each step rounded to float; the product is exact.
void decode_groups(const QuantKind& kind, const QuantSpans& parts, float* values) {
  for (std::size_t i = 0; i < parts.quants.size(); ++i) {
    const std::size_t group = i / kind.group_size;
    values[i] = parts.scales[group] * static_cast<float>(parts.quants[i]);
    if (kind.has_minimum) values[i] += parts.minima[group];
  }
}

void decode_blocks(DType dtype, std::span<const std::byte> bytes, std::span<float> values) {
  constexpr std::size_t kBlockMax = 256;
  constexpr std::size_t kGroupsMax = 16;
  const QuantKind kind = *quant_kind(dtype);
  const QuantFormat& format = quant_format(dtype);
  const std::size_t num_groups = format.group_size / kind.group_size;
  CHECK(format.group_size <= kBlockMax);
  CHECK(num_groups <= kGroupsMax);
  std::array<std::int8_t, kBlockMax> quants;
  std::array<float, kGroupsMax> scales;
  std::array<float, kGroupsMax> minima;
  const QuantSpans parts = {.quants = std::span(quants).first(format.group_size),
                            .scales = std::span(scales).first(num_groups),
                            .minima = std::span(minima).first(kind.has_minimum ? num_groups : 0)};
  for (std::size_t i = 0; i < values.size() / format.group_size; ++i) {
    split_blocks(dtype, bytes.subspan(i * format.group_bytes, format.group_bytes), parts);
    decode_groups(kind, parts, values.data() + i * format.group_size);
  }
}

}  // namespace

bool can_decode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF64 || dtype == DType::kF8E4M3 || is_block_type(dtype);
}

void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> values) {
  CHECK(can_decode(dtype));
  CHECK(storage_bytes(dtype, values.size()) == bytes.size());
  if (values.empty()) return;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(values.data(), bytes.data(), bytes.size());
      break;
    case DType::kF16:
      decode_narrow<Float16>(bytes.data(), values);
      break;
    case DType::kBF16:
      decode_narrow<BFloat16>(bytes.data(), values);
      break;
    case DType::kF8E4M3:
      decode_narrow<Float8>(bytes.data(), values);
      break;
    case DType::kF64:
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(load<double>(bytes.data() + i * sizeof(double)));
      break;
    default:
      decode_blocks(dtype, bytes, values);
  }
}

Status decode_rows(const SourceTensor& tensor, std::size_t row_begin, std::size_t num_rows,
                   std::span<float> values) {
  if (!can_decode(tensor.dtype)) {
    return Error{ErrorCode::kUnsupported,
                 "tensor " + in_quotes(tensor.name) + " is of type " +
                     std::string(dtype_name(tensor.dtype)) +
                     ", expected f32, f16, bf16, f64, f8_e4m3 or a block type of GGUF"};
  }
  const std::size_t num_rows_held = tensor.shape.rank() == 0 ? 1 : tensor.shape[0];
  CHECK(num_rows <= num_rows_held);
  CHECK(row_begin <= num_rows_held - num_rows);
  const std::size_t row_elements = tensor.shape.row_elements();
  CHECK(values.size() == num_rows * row_elements);
  const auto num_skipped_bytes = storage_bytes(tensor.dtype, row_begin * row_elements);
  const auto num_bytes = storage_bytes(tensor.dtype, num_rows * row_elements);
  if (!num_skipped_bytes || !num_bytes) {
    return Error{ErrorCode::kUnsupported,
                 "tensor " + in_quotes(tensor.name) + " of type " +
                     std::string(dtype_name(tensor.dtype)) + " and shape " +
                     to_string(tensor.shape) + " has rows inside a group of " +
                     std::to_string(quant_format(tensor.dtype).group_size)};
  }
  decode(tensor.dtype,
         tensor.bytes.subspan(static_cast<std::size_t>(*num_skipped_bytes),
                              static_cast<std::size_t>(*num_bytes)),
         values);
  return Ok{};
}

}  // namespace millrace
