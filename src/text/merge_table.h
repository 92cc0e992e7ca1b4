// What two neighbouring symbols merge to, and how soon: the table that byte-pair encoding asks.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "text/flat_table.h"

namespace millrace {

// No merge has this rank, and no symbol this id.
inline constexpr std::uint32_t kNoSymbol = std::numeric_limits<std::uint32_t>::max();

struct Merge {
  std::uint32_t rank = kNoSymbol;  // Lower ones are done first.
  std::uint32_t merged = kNoSymbol;
};

// Most pairs of a text merge to nothing, and a large vocabulary's table fits no second-level cache:
// a filter of eight bits for each merge, which does, answers for nine of ten such pairs.
class MergeTable {
 public:
  void reserve(std::size_t num_merges) { merges_.reserve(num_merges); }
  void insert(std::uint32_t left, std::uint32_t right, Merge merge) {
    merges_.insert(key_of(left, right), merge);
  }
  void insert_or_assign(std::uint32_t left, std::uint32_t right, Merge merge) {
    merges_.insert_or_assign(key_of(left, right), merge);
  }

  // After the last insertion, before the first `find`.
  void finish() {
    const std::size_t num_bits = std::bit_ceil(std::max<std::size_t>(merges_.size() * 8, 64));
    filter_shift_ = 64 - std::countr_zero(num_bits);
    filter_.assign(num_bits / 64, 0);
    merges_.for_each_key([this](std::uint64_t key) {
      const std::uint64_t bit = filter_bit(key);
      filter_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    });
  }

  Merge find(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = key_of(left, right);
    const std::uint64_t bit = filter_bit(key);
    if ((filter_[bit / 64] >> (bit % 64) & 1) == 0) return {};
    const Merge* merge = merges_.find(key);
    return merge == nullptr ? Merge{} : *merge;
  }

 private:
  static std::uint64_t key_of(std::uint32_t left, std::uint32_t right) {
    return (std::uint64_t{left} << 32) | right;
  }
  std::uint64_t filter_bit(std::uint64_t key) const {
    return key * 0x9E3779B97F4A7C15u >> filter_shift_;
  }

  FlatTable<Merge> merges_;
  std::vector<std::uint64_t> filter_;
  int filter_shift_ = 0;
};

}  // namespace millrace
