// Fuzzes the encoders and decoders of element types: any floats, any blocks, tensors of any shape.
#include <cmath>
#include <cstring>

#include "formats/decode_blocks.h"
#include "formats/encode.h"
#include "fuzz_support.h"

namespace millrace {
namespace {

// Whatever was encoded decodes to finite values where the input was finite.
void encode_and_decode(DType dtype, std::span<const float> values) {
  const std::size_t count = values.size() / 32 * 32;
  std::vector<std::byte> bytes(static_cast<std::size_t>(*storage_bytes(dtype, count)));
  if (!encode(dtype, values.first(count), bytes).ok()) return;
  std::vector<float> decoded(count);
  decode(dtype, bytes, decoded);
  for (std::size_t i = 0; i < count; ++i)
    CHECK(std::isfinite(decoded[i]) || !std::isfinite(values[i]));
}

std::vector<float> decode_any(DType dtype, std::span<const std::byte> bytes) {
  const QuantFormat& format = quant_format(dtype);
  const std::size_t num_groups = bytes.size() / format.group_bytes;
  std::vector<float> values(num_groups * format.group_size);
  decode(dtype, bytes.first(num_groups * format.group_bytes), values);
  return values;
}

// Quants stay in the range that their type promises, which packing relies on, and give the floats.
void split_any(DType dtype, std::span<const std::byte> bytes) {
  const QuantKind kind = *quant_kind(dtype);
  const QuantFormat& format = quant_format(dtype);
  const std::size_t num_blocks = bytes.size() / format.group_bytes;
  std::vector<std::int8_t> quants(num_blocks * format.group_size);
  std::vector<float> scales(quants.size() / kind.group_size);
  std::vector<float> minima(kind.has_minimum ? scales.size() : 0);
  split_blocks(dtype, bytes.first(num_blocks * format.group_bytes),
               {.quants = quants, .scales = scales, .minima = minima});
  const std::vector<float> values = decode_any(dtype, bytes);
  for (std::size_t i = 0; i < quants.size(); ++i) {
    CHECK(quants[i] >= kind.quant_min);
    CHECK(quants[i] <= kind.quant_max);
    float value = scales[i / kind.group_size] * static_cast<float>(quants[i]);
    if (kind.has_minimum) value += minima[i / kind.group_size];
    CHECK(value == values[i] || (std::isnan(value) && std::isnan(values[i])));
  }
}

// Rows of a tensor whose shape the first bytes say, which need not be whole blocks.
void decode_shaped(DType dtype, std::span<const std::byte> bytes) {
  if (bytes.size() < 2) return;
  const auto num_rows = std::to_integer<std::size_t>(bytes[0]) % 8 + 1;
  const auto num_cols = std::to_integer<std::size_t>(bytes[1]) * 4;
  const auto rest = bytes.subspan(2);
  const auto num_bytes = storage_bytes(dtype, num_rows * num_cols);
  if (!num_bytes || *num_bytes > rest.size()) return;
  SourceTensor tensor;
  tensor.name = "fuzzed";
  tensor.dtype = dtype;
  tensor.shape = {num_rows, num_cols};
  tensor.bytes = rest.first(static_cast<std::size_t>(*num_bytes));
  std::vector<float> values((num_rows - num_rows / 2) * num_cols);
  const Status status = decode_rows(tensor, num_rows / 2, num_rows - num_rows / 2, values);
  CHECK(status.ok() || status.error().code == ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  std::vector<float> values(size / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), data, values.size() * sizeof(float));
  for (std::size_t i = 0; i < millrace::kNumDTypes; ++i) {
    const auto dtype = static_cast<millrace::DType>(i);
    if (millrace::can_encode(dtype)) millrace::encode_and_decode(dtype, values);
    if (millrace::can_decode(dtype)) millrace::decode_any(dtype, bytes);
    if (millrace::is_block_type(dtype)) millrace::split_any(dtype, bytes);
    millrace::decode_shaped(dtype, bytes);
  }
  return 0;
}
