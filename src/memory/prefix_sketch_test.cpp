// PrefixSketch against exact counts: nothing frequent is missed, what cools is forgotten.
#include "memory/prefix_sketch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace millrace {
namespace {

// The hashes of a prefix of so many blocks, told apart by a number; equal numbers agree.
std::vector<std::uint64_t> chain(std::uint64_t number, std::size_t num_blocks) {
  std::vector<std::uint64_t> hashes;
  for (std::size_t i = 0; i < num_blocks; ++i) hashes.push_back(mix64(mix64(number) + i));
  return hashes;
}

TEST(PrefixSketch, CountsRequestsAndForgetsByHalves) {
  PrefixSketch sketch(1024);
  const auto hashes = chain(1, 3);
  for (std::uint32_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(sketch.count(hashes, 6), i < 6 ? 0u : 3u);
    EXPECT_EQ(sketch.estimate(hashes.back()), i);
  }
  sketch.halve();
  EXPECT_EQ(sketch.estimate(hashes.front()), 4u);
  EXPECT_EQ(sketch.count(hashes, 6), 0u);
  sketch.halve();
  sketch.halve();
  sketch.halve();
  EXPECT_EQ(sketch.estimate(hashes.front()), 0u);
}

TEST(PrefixSketch, FindsWhereRequestsPart) {
  PrefixSketch sketch(1 << 12);
  const auto shared = chain(1, 37);
  std::size_t num_frequent = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    auto hashes = shared;
    for (const std::uint64_t hash : chain(100 + i, 400)) hashes.push_back(hash);
    num_frequent = sketch.count(hashes, 8);
  }
  EXPECT_EQ(num_frequent, 37u);
}

TEST(PrefixSketch, ALongPrefixIsCountedWholeAfterAFewRequests) {
  PrefixSketch sketch(1 << 14);
  const auto hashes = chain(1, 1000);
  for (int i = 0; i < 9; ++i) sketch.count(hashes, 100);  // 4, 12, 28, … 1020
  EXPECT_GE(sketch.estimate(hashes.back()), 1u);
}

// The few that are asked for often, among many that are not: none is missed, and of the rare ones
// few are taken for frequent.
TEST(PrefixSketch, FrequentOnesAreFoundInNoise) {
  PrefixSketch sketch(1 << 13);
  Random random(7);
  std::vector<int> counts(20'000, 0);
  for (int i = 0; i < 40'000; ++i) {
    // Zipf-like: half of all requests among the first 100.
    const auto number = static_cast<std::uint64_t>(std::pow(20'000.0, random.uniform())) - 1;
    ++counts[number];
    sketch.count(chain(number + 1, 3), 1000);
  }
  int num_wrong = 0;
  for (std::size_t number = 0; number < counts.size(); ++number) {
    const std::uint32_t estimate = sketch.estimate(chain(number + 1, 3)[0]);
    ASSERT_GE(estimate, static_cast<std::uint32_t>(counts[number]));
    if (counts[number] < 25 && estimate >= 50) ++num_wrong;
  }
  EXPECT_LE(num_wrong, 20);
}

TEST(PrefixSketch, CountersDoNotWrap) {
  PrefixSketch sketch(2);
  const auto hashes = chain(1, 1);
  for (int i = 0; i < 70'000; ++i) sketch.count(hashes, 1);
  EXPECT_EQ(sketch.estimate(hashes[0]), 65'535u);
}

}  // namespace
}  // namespace millrace
