// Remembers the ids of short words within one call of encode: most words of a text have been seen.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/token_id.h"

namespace millrace {

// One thread's. A word has one place, and the last one that came keeps it; a hundred kilobytes,
// which stay in the second-level cache where a vocabulary's table does not.
class WordCache {
 public:
  // Appends the ids of a word; false when they are not here.
  bool append(std::string_view word, std::vector<TokenId>& ids) const {
    if (entries_.empty() || word.size() > kWordBytesMax) return false;
    const Key key = key_of(word);
    const Entry& entry = entries_[place_of(key)];
    if (entry.key != key || entry.num_bytes != word.size()) return false;
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.num_ids);
    return true;
  }

  void put(std::string_view word, std::span<const TokenId> ids) {
    if (word.empty() || word.size() > kWordBytesMax || ids.size() > kIdsMax) return;
    if (entries_.empty()) {
      // Short texts are not worth the memory.
      if (++num_words_ < kWordsBefore) return;
      entries_.resize(kNumEntries);
    }
    const Key key = key_of(word);
    Entry& entry = entries_[place_of(key)];
    entry.key = key;
    entry.num_bytes = static_cast<std::uint8_t>(word.size());
    entry.num_ids = static_cast<std::uint8_t>(ids.size());
    std::copy(ids.begin(), ids.end(), entry.ids.begin());
  }

 private:
  static constexpr std::size_t kWordBytesMax = 16;
  static constexpr std::size_t kIdsMax = 7;
  static constexpr std::size_t kNumEntries = 2048;
  static constexpr std::size_t kWordsBefore = 256;

  using Key = std::array<std::uint64_t, 2>;  // The word's bytes, filled up with zeros.
  struct Entry {
    Key key{};
    std::uint8_t num_bytes = 0;  // 0: free, for no word is empty.
    std::uint8_t num_ids = 0;
    std::array<TokenId, kIdsMax> ids{};
  };

  static Key key_of(std::string_view word) {
    Key key{};
    std::memcpy(key.data(), word.data(), word.size());
    return key;
  }
  static std::size_t place_of(const Key& key) {
    return static_cast<std::size_t>(mix64(key[0] ^ std::rotl(key[1], 23))) % kNumEntries;
  }

  std::vector<Entry> entries_;
  std::size_t num_words_ = 0;
};

}  // namespace millrace
