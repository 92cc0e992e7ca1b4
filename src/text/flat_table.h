// Read-mostly hash tables that are built once: 64-bit keys to values, and strings to numbers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace millrace {

// Open addressing with linear probing, at most half full. Keys are any 64-bit number but kNoKey.
template <class Value>
class FlatTable {
 public:
  static constexpr std::uint64_t kNoKey = std::numeric_limits<std::uint64_t>::max();

  void reserve(std::size_t num_keys) {
    if (num_keys * 2 <= slots_.size()) return;
    std::vector<Slot> old(std::bit_ceil(std::max<std::size_t>(num_keys * 2, 16)));
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key != kNoKey) slots_[slot_of(slot.key)] = slot;
    }
  }

  // Keeps the first value of a key; false when the key was there.
  bool insert(std::uint64_t key, Value value) {
    DCHECK(key != kNoKey);
    reserve(num_keys_ + 1);
    Slot& slot = slots_[slot_of(key)];
    if (slot.key == key) return false;
    slot = {key, value};
    ++num_keys_;
    return true;
  }

  // The last value of a key counts.
  void insert_or_assign(std::uint64_t key, Value value) {
    if (!insert(key, value)) slots_[slot_of(key)].value = value;
  }

  const Value* find(std::uint64_t key) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[slot_of(key)];
    return slot.key == key && key != kNoKey ? &slot.value : nullptr;
  }

  template <class F>
  void for_each_key(F visit) const {
    for (const Slot& slot : slots_) {
      if (slot.key != kNoKey) visit(slot.key);
    }
  }

  std::size_t size() const { return num_keys_; }

 private:
  struct Slot {
    std::uint64_t key = kNoKey;
    Value value{};
  };

  // The slot that holds the key, or the free one where it belongs.
  std::size_t slot_of(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = static_cast<std::size_t>(mix64(key)) & mask;
    while (slots_[at].key != key && slots_[at].key != kNoKey) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
  std::size_t num_keys_ = 0;
};

// Many short strings in one allocation, by number.
class StringArena {
 public:
  void append(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(bytes_.size());
  }
  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

// Strings to numbers; keeps copies of the strings.
class StringTable {
 public:
  void reserve(std::size_t num_strings) {
    if (num_strings * 2 > slots_.size()) grow(num_strings * 2);
  }

  // Keeps the first number of a string; false when the string was there.
  bool insert(std::string_view text, std::uint32_t number) {
    if ((num_strings_ + 1) * 2 > slots_.size()) grow((num_strings_ + 1) * 2);
    const std::uint64_t hash = hash_of(text);
    const std::size_t at = slot_of(text, hash);
    if (slots_[at].offset != kFree) return false;
    slots_[at] = {hash, bytes_.size(), static_cast<std::uint32_t>(text.size()), number};
    set_filter_bit(hash);
    bytes_.append(text);
    ++num_strings_;
    return true;
  }

  std::optional<std::uint32_t> find(std::string_view text) const {
    if (slots_.empty()) return std::nullopt;
    const std::uint64_t hash = hash_of(text);
    if (!has_filter_bit(hash)) return std::nullopt;
    const Slot& slot = slots_[slot_of(text, hash)];
    if (slot.offset == kFree) return std::nullopt;
    return slot.number;
  }

 private:
  static constexpr std::uint64_t kFree = std::numeric_limits<std::uint64_t>::max();
  // At least eight bits for each string: most words that are not here are told without the slots,
  // which of a large vocabulary fit no second-level cache.
  static constexpr std::size_t kFilterBitsPerSlot = 4;
  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t offset = kFree;
    std::uint32_t num_bytes = 0;
    std::uint32_t number = 0;
  };

  // Eight bytes at a time, mixed by one multiplication each and finished by mix64.
  static std::uint64_t hash_of(std::string_view text) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
    std::uint64_t hash = text.size() * kMultiplier;
    while (text.size() >= sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data(), sizeof(word));
      hash = std::rotl(hash ^ word, 29) * kMultiplier;
      text.remove_prefix(sizeof(word));
    }
    std::uint64_t word = 0;
    for (const char c : text) word = (word << 8) | static_cast<std::uint8_t>(c);
    return mix64(hash ^ word);
  }

  std::size_t slot_of(std::string_view text, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = static_cast<std::size_t>(hash) & mask;
    while (slots_[at].offset != kFree) {
      const Slot& slot = slots_[at];
      if (slot.hash == hash && slot.num_bytes == text.size() &&
          std::string_view(bytes_).substr(slot.offset, slot.num_bytes) == text) {
        break;
      }
      at = (at + 1) & mask;
    }
    return at;
  }

  // The hash's lower bits choose the slot, so its upper ones choose the bit of the filter.
  void set_filter_bit(std::uint64_t hash) {
    filter_[(hash >> 38) & (filter_.size() - 1)] |= std::uint64_t{1} << (hash >> 32) % 64;
  }
  bool has_filter_bit(std::uint64_t hash) const {
    return (filter_[(hash >> 38) & (filter_.size() - 1)] >> (hash >> 32) % 64 & 1) != 0;
  }

  void grow(std::size_t num_slots) {
    std::vector<Slot> old(std::bit_ceil(std::max<std::size_t>(num_slots, 16)));
    old.swap(slots_);
    filter_.assign(slots_.size() * kFilterBitsPerSlot / 64, 0);
    const std::size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.offset == kFree) continue;
      set_filter_bit(slot.hash);
      std::size_t at = static_cast<std::size_t>(slot.hash) & mask;
      while (slots_[at].offset != kFree) at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> filter_;
  std::string bytes_;
  std::size_t num_strings_ = 0;
};

}  // namespace millrace
