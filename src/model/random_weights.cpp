// A counter-based generator: the number at a place is a hash of the place.
#include "model/random_weights.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/random.h"

namespace millrace {
namespace {

constexpr std::uint64_t kOddConstant = 0x9E3779B97F4A7C15u;  // SplitMix64's increment.

// Four uniform numbers of 0 .. 65535 have a deviation of 37837.2.
constexpr float kDeviation = 0.02f;
constexpr float kScale = kDeviation / 37837.2f;
constexpr std::int32_t kMean = 2 * 65535;

float nearly_normal(std::uint64_t bits) {
  const auto lane = [bits](unsigned shift) {
    return static_cast<std::int32_t>((bits >> shift) & 0xFFFFu);
  };
  return static_cast<float>(lane(0) + lane(16) + lane(32) + lane(48) - kMean) * kScale;
}

std::uint64_t stream_of(std::uint64_t seed, const TensorKey& key) {
  std::uint64_t stream = mix64(seed + kOddConstant);
  for (const std::uint64_t part : {static_cast<std::uint64_t>(key.role), std::uint64_t{key.layer},
                                   std::uint64_t{key.expert}}) {
    stream = mix64(stream + part + kOddConstant);
  }
  return stream;
}

}  // namespace

Status RandomWeights::read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
                           std::span<std::byte> bytes) const {
  const std::size_t num_cols = tensor.shape.row_elements();
  const std::size_t num_elements = count * num_cols;
  CHECK(bytes.size() == num_elements * sizeof(float));
  const bool ones = is_norm_weight(tensor.key.role);
  const std::uint64_t stream = stream_of(seed_, tensor.key);
  const std::uint64_t first = std::uint64_t{begin} * num_cols;
  // Through a small array, because the bytes may lie at any address.
  std::array<float, 1024> values;
  for (std::size_t done = 0; done < num_elements; done += values.size()) {
    const std::size_t at_once = std::min(values.size(), num_elements - done);
    for (std::size_t i = 0; i < at_once; ++i) {
      values[i] = ones ? 1.0f : nearly_normal(mix64(stream + (first + done + i) * kOddConstant));
    }
    std::memcpy(bytes.data() + done * sizeof(float), values.data(), at_once * sizeof(float));
  }
  return Ok{};
}

}  // namespace millrace
