// Rounding to nearest of plain types and of GGUF's blocks.
#include "formats/encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "tensor/half.h"

namespace millrace {
namespace {

constexpr std::size_t kGroup = 32;
using Group = std::span<const float, kGroup>;

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

// 1 / d; zero for a group of zeros, and for one so small that its stored scale is zero anyway.
float inverse(float scale) {
  const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

// Stores a scale; false when it is beyond f16.
bool store_half(std::byte* at, float value) {
  const Float16 half = to_float16(value);
  store(at, half);
  return std::isfinite(to_float(half));
}

void store_nibbles(std::byte* at, const std::array<std::uint8_t, kGroup>& quants) {
  for (std::size_t i = 0; i < kGroup / 2; ++i)
    store(at + i, static_cast<std::uint8_t>(quants[i] | quants[i + kGroup / 2] << 4));
}

bool encode_q8_0(Group values, std::byte* block) {
  float magnitude = 0.0f;
  for (const float x : values) magnitude = std::max(magnitude, std::fabs(x));
  const float scale = magnitude / 127.0f;
  const float factor = inverse(scale);
  for (std::size_t i = 0; i < kGroup; ++i) {
    store(block + sizeof(Float16) + i, static_cast<std::int8_t>(std::round(values[i] * factor)));
  }
  return store_half(block, scale);
}

bool encode_q4_0(Group values, std::byte* block) {
  float largest = 0.0f;
  for (const float x : values) {
    if (std::fabs(x) > std::fabs(largest)) largest = x;
  }
  const float scale = largest / -8.0f;
  const float factor = inverse(scale);
  std::array<std::uint8_t, kGroup> quants{};
  for (std::size_t i = 0; i < kGroup; ++i) {
    // In double, where the product is exact: the reference leaves open whether it is rounded before
    // 8.5 is added.
    const double shifted = double{values[i]} * double{factor} + 8.5;
    quants[i] = static_cast<std::uint8_t>(std::clamp(shifted, 0.0, 15.0));
  }
  store_nibbles(block + sizeof(Float16), quants);
  return store_half(block, scale);
}

bool encode_q4_1(Group values, std::byte* block) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const float scale = (*most - *least) / 15.0f;
  if (!std::isfinite(scale)) return false;  // The difference of two finite values need not be.
  const float factor = inverse(scale);
  std::array<std::uint8_t, kGroup> quants{};
  for (std::size_t i = 0; i < kGroup; ++i) {
    const float shifted = (values[i] - *least) * factor + 0.5f;
    quants[i] = static_cast<std::uint8_t>(std::clamp(shifted, 0.0f, 15.0f));
  }
  store_nibbles(block + 2 * sizeof(Float16), quants);
  const bool scale_fits = store_half(block, scale);
  return store_half(block + sizeof(Float16), *least) && scale_fits;
}

Error cannot_hold(DType dtype, std::span<const float> values, std::size_t index) {
  return Error{ErrorCode::kInvalidArgument,
               std::string(dtype_name(dtype)) + " cannot hold the value " +
                   std::to_string(values[index]) + " of element " + std::to_string(index)};
}

// The first element that is not finite, or else the one of largest magnitude: what a group's
// refusal is about.
std::size_t culprit(Group group) {
  const auto not_finite =
      std::find_if_not(group.begin(), group.end(), [](float x) { return std::isfinite(x); });
  if (not_finite != group.end()) return static_cast<std::size_t>(not_finite - group.begin());
  const auto largest = std::max_element(
      group.begin(), group.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  return static_cast<std::size_t>(largest - group.begin());
}

template <class EncodeBlock>
Status encode_blocks(DType dtype, std::span<const float> values, std::span<std::byte> bytes,
                     EncodeBlock encode_block) {
  const std::size_t block_bytes = quant_format(dtype).group_bytes;
  for (std::size_t i = 0; i < values.size() / kGroup; ++i) {
    const Group group = values.subspan(i * kGroup).first<kGroup>();
    const bool is_finite =
        std::all_of(group.begin(), group.end(), [](float x) { return std::isfinite(x); });
    if (!is_finite || !encode_block(group, bytes.data() + i * block_bytes))
      return cannot_hold(dtype, values, i * kGroup + culprit(group));
  }
  return Ok{};
}

Status encode_f16(std::span<const float> values, std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Float16 half = to_float16(values[i]);
    if (std::isinf(to_float(half)) && !std::isinf(values[i]))
      return cannot_hold(DType::kF16, values, i);
    store(bytes.data() + i * sizeof(half), half);
  }
  return Ok{};
}

Status encode_bf16(std::span<const float> values, std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const BFloat16 half = to_bfloat16(values[i]);
    if (std::isinf(to_float(half)) && !std::isinf(values[i]))
      return cannot_hold(DType::kBF16, values, i);
    store(bytes.data() + i * sizeof(half), half);
  }
  return Ok{};
}

}  // namespace

bool can_encode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kQ8_0 || dtype == DType::kQ4_0 || dtype == DType::kQ4_1;
}

Status encode(DType dtype, std::span<const float> values, std::span<std::byte> bytes) {
  CHECK(can_encode(dtype));
  CHECK(storage_bytes(dtype, values.size()) == bytes.size());
  if (values.empty()) return Ok{};
  if (dtype == DType::kF16) return encode_f16(values, bytes);
  if (dtype == DType::kBF16) return encode_bf16(values, bytes);
  if (dtype == DType::kQ8_0) return encode_blocks(dtype, values, bytes, encode_q8_0);
  if (dtype == DType::kQ4_0) return encode_blocks(dtype, values, bytes, encode_q4_0);
  if (dtype == DType::kQ4_1) return encode_blocks(dtype, values, bytes, encode_q4_1);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return Ok{};
}

}  // namespace millrace
