// How often values fell between fixed bounds: a histogram as plain data.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace {

// Of a step on the device; from 100 us, which a tiny model takes, to 10 s of a full step of a large
// one.
inline constexpr std::array<double, 16> kStepSecondsBounds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
// Tokens of a step: powers of two, as steps grow by sequences and chunks.
inline constexpr std::array<double, 13> kStepTokensBounds = {1,   2,   4,   8,    16,   32,  64,
                                                             128, 256, 512, 1024, 2048, 4096};
// Of a request in its queue.
inline constexpr std::array<double, 14> kWaitSecondsBounds = {
    0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 300};

// One count more than bounds, for what is above the last. A value that equals a bound is below it.
template <const auto& kBounds>
struct BucketCounts {
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double sum = 0;

  void add(double value) {
    const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), value) - kBounds.begin();
    ++counts[static_cast<std::size_t>(bucket)];
    sum += value;
  }
  std::uint64_t total() const {
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts) total += count;
    return total;
  }
};

}  // namespace millrace
