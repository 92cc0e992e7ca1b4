// A heap whose members know their place in it, so that any of them can be taken out.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace millrace {

// Place of what is in no heap.
inline constexpr std::size_t kNoPlace = static_cast<std::size_t>(-1);

// Borrowed items, of which `goes_before` says the order and the member `kPlace` where they are; an
// item is in one heap of that member at most. Never allocates after construction.
template <class Item, std::size_t Item::*kPlace, class GoesBefore>
class IndexedHeap {
 public:
  explicit IndexedHeap(std::size_t num_max) { items_.reserve(num_max); }

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  Item& head() const {
    CHECK(!items_.empty());
    return *items_.front();
  }
  bool contains(const Item& item) const {
    const std::size_t at = item.*kPlace;
    return at < items_.size() && items_[at] == &item;
  }
  // O(log n).
  void insert(Item& item) {
    CHECK(items_.size() < items_.capacity());
    CHECK(item.*kPlace == kNoPlace);
    items_.push_back(&item);
    put(items_.size() - 1, item);
    rise(items_.size() - 1);
  }
  // O(log n).
  void erase(Item& item) {
    CHECK(contains(item));
    const std::size_t at = item.*kPlace;
    Item& last = *items_.back();
    items_.pop_back();
    item.*kPlace = kNoPlace;
    if (&last == &item) return;
    put(at, last);
    rise(at);
    sink(last.*kPlace);
  }
  // In no order that means anything but that the head is first.
  const std::vector<Item*>& items() const { return items_; }

 private:
  void put(std::size_t at, Item& item) {
    items_[at] = &item;
    item.*kPlace = at;
  }
  void swap_with(std::size_t at, std::size_t other) {
    Item& item = *items_[at];
    put(at, *items_[other]);
    put(other, item);
  }
  void rise(std::size_t at) {
    while (at > 0 && GoesBefore()(*items_[at], *items_[(at - 1) / 2])) {
      swap_with(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }
  void sink(std::size_t at) {
    for (;;) {
      std::size_t first = at;
      for (std::size_t child = 2 * at + 1; child <= 2 * at + 2; ++child) {
        if (child < items_.size() && GoesBefore()(*items_[child], *items_[first])) first = child;
      }
      if (first == at) return;
      swap_with(at, first);
      at = first;
    }
  }

  std::vector<Item*> items_;
};

}  // namespace millrace
