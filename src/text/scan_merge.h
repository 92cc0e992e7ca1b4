// Merges the symbols of a short word, each time by a scan for the best pair.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "text/merge_table.h"

namespace millrace {

// Filled by `push` and `set_merge`, then run once; kept between words. Merged symbols stay where
// the left one was and the links skip the right one, so that nothing moves.
class ScanMerge {
 public:
  // Up to here a scan beats a heap: the ranks are 16 cache lines and the compiler's vectors.
  static constexpr std::size_t kSymbolsMax = 64;

  void clear() { size_ = 0; }
  std::size_t size() const { return size_; }

  // A symbol and its merge with the next one; none for the last.
  void push(std::uint32_t id, Merge merge) {
    ids_[size_] = id;
    ranks_[size_] = merge.rank;
    merged_[size_] = merge.merged;
    ++size_;
  }

  void run(const MergeTable& merges) {
    for (std::size_t i = 0; i < size_; ++i) {
      next_[i] = static_cast<std::uint8_t>(i + 1);
      previous_[i] = static_cast<std::uint8_t>(i - 1);  // The first one's is not read.
    }
    // Whole groups for the scan.
    const std::size_t num_scanned = (size_ + kGroup - 1) / kGroup * kGroup;
    std::fill(ranks_.begin() + size_, ranks_.begin() + num_scanned, kNoSymbol);
    for (;;) {
      const std::uint32_t best = lowest_rank(num_scanned);
      if (best == kNoSymbol) return;
      // The leftmost of equals.
      std::size_t at = 0;
      while (ranks_[at] != best) ++at;
      merge_at(at, merges);
    }
  }

  std::uint32_t id(std::size_t at) const { return ids_[at]; }
  // Where the symbol after this one is; size() after the last.
  std::size_t next(std::size_t at) const { return next_[at]; }

 private:
  static constexpr std::size_t kGroup = 8;

  std::uint32_t lowest_rank(std::size_t num_scanned) const {
    std::array<std::uint32_t, kGroup> lowest;
    std::copy_n(ranks_.begin(), kGroup, lowest.begin());
    for (std::size_t begin = kGroup; begin < num_scanned; begin += kGroup) {
      for (std::size_t i = 0; i < kGroup; ++i) {
        lowest[i] = std::min(lowest[i], ranks_[begin + i]);
      }
    }
    return *std::min_element(lowest.begin(), lowest.end());
  }

  void merge_at(std::size_t at, const MergeTable& merges) {
    const std::size_t absorbed = next_[at];
    const std::size_t after = next_[absorbed];
    ids_[at] = merged_[at];
    ranks_[absorbed] = kNoSymbol;
    next_[at] = static_cast<std::uint8_t>(after);
    Merge merge;
    if (after < size_) {
      previous_[after] = static_cast<std::uint8_t>(at);
      merge = merges.find(ids_[at], ids_[after]);
    }
    set_merge(at, merge);
    if (at > 0) set_merge(previous_[at], merges.find(ids_[previous_[at]], ids_[at]));
  }

  void set_merge(std::size_t at, Merge merge) {
    ranks_[at] = merge.rank;
    merged_[at] = merge.merged;
  }

  std::size_t size_ = 0;
  std::array<std::uint32_t, kSymbolsMax> ids_{};
  std::array<std::uint32_t, kSymbolsMax> ranks_{};
  std::array<std::uint32_t, kSymbolsMax> merged_{};
  std::array<std::uint8_t, kSymbolsMax> next_{};
  std::array<std::uint8_t, kSymbolsMax> previous_{};
};

}  // namespace millrace
