// How often prefixes were asked for lately, in a fixed number of counters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace millrace {

// Counts requests per prefix, whether or not its blocks are in the cache. What it says is never
// less than the truth but for what was never counted (below), and seldom much more.
//
//   row 0 | 0 3 0 0 1 … |   a prefix adds to one counter of each row, and has been asked for as
//   row 1 | 1 0 0 2 0 … |   often as the least of them says
//   …
//
// Source: count-min (Cormode & Muthukrishnan, J. Algorithms 55, 2005) with conservative update
// (Estan & Varghese, SIGCOMM 2002) and halving of all counters as ageing (TinyLFU: Einziger,
// Friedman & Manes, ACM Trans. Storage 13(4), 2017, section 3.3; arXiv:1512.00727). Deviation: a
// request counts its blocks only as far as twice the prefix that is known already, and a few more,
// so that the unlike tails of long prompts do not fill the counters; a prefix of n blocks is
// counted whole from its log2(n)th request on.
//
// One thread; never allocates after construction.
class PrefixSketch {
 public:
  static constexpr std::size_t kRows = 4;

  // `num_counters` in each row, a power of two.
  explicit PrefixSketch(std::size_t num_counters);

  // Counts a request whose prefixes end with these hashes (extend_prefix_hashes). Gives how many of
  // its blocks, from the first on, were asked for `requests_min` times at least.
  std::size_t count(std::span<const std::uint64_t> hashes, std::uint32_t requests_min);
  std::uint32_t estimate(std::uint64_t hash) const;
  // Ages everything that was counted.
  void halve();

 private:
  std::size_t counter_of(std::uint64_t hash, std::size_t row) const;

  std::size_t mask_ = 0;
  std::vector<std::uint16_t> counters_;  // [kRows, num_counters]
};

}  // namespace millrace
