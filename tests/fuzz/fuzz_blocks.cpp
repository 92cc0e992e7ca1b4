// Fuzzes the encoders and decoders of element types: any floats, any blocks.
#include <cmath>
#include <cstring>

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

void decode_any(DType dtype, std::span<const std::byte> bytes) {
  const QuantFormat& format = quant_format(dtype);
  const std::size_t num_groups = bytes.size() / format.group_bytes;
  std::vector<float> values(num_groups * format.group_size);
  decode(dtype, bytes.first(num_groups * format.group_bytes), values);
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
  }
  return 0;
}
