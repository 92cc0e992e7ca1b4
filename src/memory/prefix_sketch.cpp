// Rows of small counters, each with a hash of its own.
#include "memory/prefix_sketch.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

// Of a prefix that is asked for the first time: enough that a second request knows it.
constexpr std::size_t kFirstBlocks = 4;

}  // namespace

PrefixSketch::PrefixSketch(std::size_t num_counters)
    : mask_(num_counters - 1), counters_(kRows * num_counters) {
  CHECK(std::has_single_bit(num_counters));
}

std::size_t PrefixSketch::counter_of(std::uint64_t hash, std::size_t row) const {
  return row * (mask_ + 1) + (mix64(hash + row * 0x9E3779B97F4A7C15u) & mask_);
}

std::uint32_t PrefixSketch::estimate(std::uint64_t hash) const {
  std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t row = 0; row < kRows; ++row) {
    least = std::min<std::uint32_t>(least, counters_[counter_of(hash, row)]);
  }
  return least;
}

std::size_t PrefixSketch::count(std::span<const std::uint64_t> hashes, std::uint32_t requests_min) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint16_t>::max();
  std::size_t num_known = 0;
  while (num_known < hashes.size() && estimate(hashes[num_known]) > 0) ++num_known;
  const std::size_t num_counted = std::min(hashes.size(), 2 * num_known + kFirstBlocks);
  std::size_t num_frequent = 0;
  for (std::size_t i = 0; i < num_counted; ++i) {
    const std::uint32_t now = std::min(estimate(hashes[i]) + 1, kMost);
    for (std::size_t row = 0; row < kRows; ++row) {
      std::uint16_t& counter = counters_[counter_of(hashes[i], row)];
      counter = static_cast<std::uint16_t>(std::max<std::uint32_t>(counter, now));
    }
    if (num_frequent == i && now >= requests_min) ++num_frequent;
  }
  return num_frequent;
}

void PrefixSketch::halve() {
  for (std::uint16_t& counter : counters_) counter = static_cast<std::uint16_t>(counter / 2);
}

}  // namespace millrace
