// Decoding of plain types and of GGUF's 8-bit and 4-bit blocks.
#include "formats/decode.h"

#include <cstdint>
#include <cstring>

#include "formats/byte_reader.h"
#include "formats/text_quote.h"
#include "tensor/half.h"

namespace millrace {
namespace {

constexpr std::size_t kGroup = 32;

//   | f16 d | 32 x int8 q |                        x = d * q
void decode_q8_0(const std::byte* block, float* values) {
  const float scale = to_float(load<Float16>(block));
  for (std::size_t i = 0; i < kGroup; ++i)
    values[i] = scale * static_cast<float>(load<std::int8_t>(block + sizeof(Float16) + i));
}

// Byte i holds element i in its low half and element i + 16 in its high half.
template <class Value>
void decode_nibbles(const std::byte* bytes, float* values, Value value) {
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    const auto pair = load<std::uint8_t>(bytes + i);
    values[i] = value(pair & 0xF);
    values[i + kGroup / 2] = value(pair >> 4);
  }
}

//   | f16 d | 16 x two q |                         x = d * (q - 8)
void decode_q4_0(const std::byte* block, float* values) {
  const float scale = to_float(load<Float16>(block));
  decode_nibbles(block + sizeof(Float16), values,
                 [scale](int q) { return scale * static_cast<float>(q - 8); });
}

//   | f16 d | f16 m | 16 x two q |                 x = d * q + m, each step rounded to float
void decode_q4_1(const std::byte* block, float* values) {
  const float scale = to_float(load<Float16>(block));
  const float minimum = to_float(load<Float16>(block + sizeof(Float16)));
  decode_nibbles(block + 2 * sizeof(Float16), values,
                 [=](int q) { return scale * static_cast<float>(q) + minimum; });
}

template <class Half>
void decode_halves(const std::byte* bytes, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = to_float(load<Half>(bytes + i * sizeof(Half)));
}

template <class DecodeBlock>
void decode_blocks(const std::byte* bytes, std::size_t block_bytes, std::span<float> values,
                   DecodeBlock decode_block) {
  for (std::size_t i = 0; i < values.size() / kGroup; ++i)
    decode_block(bytes + i * block_bytes, values.data() + i * kGroup);
}

}  // namespace

bool can_decode(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF64:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
      return true;
    case DType::kI8:
    case DType::kU8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      return false;
  }
  return false;
}

void decode(DType dtype, std::span<const std::byte> bytes, std::span<float> values) {
  CHECK(can_decode(dtype));
  CHECK(storage_bytes(dtype, values.size()) == bytes.size());
  if (values.empty()) return;
  const std::size_t block_bytes = quant_format(dtype).group_bytes;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(values.data(), bytes.data(), bytes.size());
      break;
    case DType::kF16:
      decode_halves<Float16>(bytes.data(), values);
      break;
    case DType::kBF16:
      decode_halves<BFloat16>(bytes.data(), values);
      break;
    case DType::kF64:
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(load<double>(bytes.data() + i * sizeof(double)));
      break;
    case DType::kQ8_0:
      decode_blocks(bytes.data(), block_bytes, values, decode_q8_0);
      break;
    case DType::kQ4_0:
      decode_blocks(bytes.data(), block_bytes, values, decode_q4_0);
      break;
    case DType::kQ4_1:
      decode_blocks(bytes.data(), block_bytes, values, decode_q4_1);
      break;
    default:
      CHECK(can_decode(dtype));
  }
}

Status decode_rows(const SourceTensor& tensor, std::size_t row_begin, std::size_t num_rows,
                   std::span<float> values) {
  if (!can_decode(tensor.dtype)) {
    return Error{ErrorCode::kUnsupported,
                 "tensor " + in_quotes(tensor.name) + " is of type " +
                     std::string(dtype_name(tensor.dtype)) +
                     ", expected one of f32, f16, bf16, f64, q8_0, q4_0, q4_1"};
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
