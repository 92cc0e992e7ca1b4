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
// a filter of eight bits for each merge, which does, answers for 19 of 20 such pairs.
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
    const std::size_t num_words = std::bit_ceil(std::max<std::size_t>(merges_.size() / 8, 2));
    filter_shift_ = 64 - std::countr_zero(num_words);
    filter_.assign(num_words, 0);
    merges_.for_each_key([this](std::uint64_t key) {
      const std::uint64_t hash = filter_hash(key);
      filter_[hash >> filter_shift_] |= filter_bits(hash);
    });
  }

  Merge find(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = key_of(left, right);
    const std::uint64_t hash = filter_hash(key);
    const std::uint64_t bits = filter_bits(hash);
    if ((filter_[hash >> filter_shift_] & bits) != bits) return {};
    const Merge* merge = merges_.find(key);
    return merge == nullptr ? Merge{} : *merge;
  }

 private:
  static std::uint64_t key_of(std::uint32_t left, std::uint32_t right) {
    return (std::uint64_t{left} << 32) | right;
  }
  // The upper bits choose the filter's word, the next ones two bits of it.
  static std::uint64_t filter_hash(std::uint64_t key) { return key * 0x9E3779B97F4A7C15u; }
  static std::uint64_t filter_bits(std::uint64_t hash) {
    return std::uint64_t{1} << (hash >> 34) % 64 | std::uint64_t{1} << (hash >> 28) % 64;
  }

  FlatTable<Merge> merges_;
  std::vector<std::uint64_t> filter_;
  int filter_shift_ = 0;
};

}  // namespace millrace
