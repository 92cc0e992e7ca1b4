// Ranges of an arena: best fit, and segments with a cache.
#include "simulate/general_allocator.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kRounding = 512;
constexpr std::uint64_t kSmallMax = kMiB;
constexpr std::uint64_t kSmallSegment = 2 * kMiB;
constexpr std::uint64_t kMiddleMax = 10 * kMiB;
constexpr std::uint64_t kMiddleSegment = 20 * kMiB;
constexpr std::uint64_t kLargeRounding = 2 * kMiB;

std::uint64_t segment_bytes(std::uint64_t num_bytes) {
  if (num_bytes <= kSmallMax) return kSmallSegment;
  if (num_bytes < kMiddleMax) return kMiddleSegment;
  return round_up(num_bytes, kLargeRounding);
}

bool is_worth_splitting(std::uint64_t rest, bool is_small) {
  return is_small ? rest >= kRounding : rest > kSmallMax;
}

}  // namespace

BestFitAllocator::BestFitAllocator(std::uint64_t capacity, std::uint64_t alignment)
    : capacity_(capacity), alignment_(alignment) {
  CHECK(alignment > 0);
  if (capacity > 0) add_free(0, capacity);
}

void BestFitAllocator::add_free(std::uint64_t offset, std::uint64_t num_bytes) {
  CHECK(free_.emplace(offset, num_bytes).second);
  free_sizes_.emplace(num_bytes, offset);
}

void BestFitAllocator::remove_free(std::map<std::uint64_t, std::uint64_t>::iterator range) {
  CHECK(free_sizes_.erase({range->second, range->first}) == 1);
  free_.erase(range);
}

std::optional<std::uint64_t> BestFitAllocator::try_allocate(std::uint64_t num_bytes) {
  CHECK(num_bytes > 0);
  const std::uint64_t wanted = round_up(num_bytes, alignment_);
  const auto best = free_sizes_.lower_bound({wanted, 0});
  if (best == free_sizes_.end()) return std::nullopt;
  const auto [size, offset] = *best;
  remove_free(free_.find(offset));
  if (size > wanted) add_free(offset + wanted, size - wanted);
  held_.emplace(offset, wanted);
  held_bytes_ += wanted;
  peak_bytes_ = std::max(peak_bytes_, offset + wanted);
  return offset;
}

void BestFitAllocator::release(std::uint64_t offset) {
  const auto range = held_.find(offset);
  CHECK(range != held_.end());
  std::uint64_t begin = offset;
  std::uint64_t num_bytes = range->second;
  held_bytes_ -= num_bytes;
  held_.erase(range);
  const auto after = free_.find(begin + num_bytes);
  if (after != free_.end()) {
    num_bytes += after->second;
    remove_free(after);
  }
  const auto next = free_.lower_bound(begin);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      num_bytes += before->second;
      remove_free(before);
    }
  }
  add_free(begin, num_bytes);
}

void BestFitAllocator::check_invariants() const {
  CHECK(free_.size() == free_sizes_.size());
  std::uint64_t at = 0;
  std::uint64_t held = 0;
  auto free_range = free_.begin();
  auto held_range = held_.begin();
  bool was_free = false;
  while (at < capacity_) {
    if (free_range != free_.end() && free_range->first == at) {
      CHECK(!was_free);  // Two free neighbours would be one.
      CHECK(free_sizes_.contains({free_range->second, at}));
      at += (free_range++)->second;
      was_free = true;
    } else {
      CHECK(held_range != held_.end());
      CHECK(held_range->first == at);
      held += held_range->second;
      at += (held_range++)->second;
      was_free = false;
    }
  }
  CHECK(at == capacity_ || capacity_ == 0);
  CHECK(held == held_bytes_);
  CHECK(free_range == free_.end());
  CHECK(held_range == held_.end());
}

std::optional<CachingAllocator::Ranges::iterator> CachingAllocator::find_free(
    std::uint64_t num_bytes, bool is_small) {
  const auto& free = free_set(is_small);
  const auto best = free.lower_bound({num_bytes, 0});
  if (best == free.end()) return std::nullopt;
  return ranges_.find(best->second);
}

bool CachingAllocator::try_add_segment(std::uint64_t num_bytes, bool is_small) {
  const std::uint64_t size = segment_bytes(num_bytes);
  if (size > capacity_ - reserved_bytes_) return false;
  const std::uint64_t offset = next_offset_;
  next_offset_ += size;
  reserved_bytes_ += size;
  segments_.emplace(offset, size);
  ranges_.emplace(offset, Range{.num_bytes = size, .segment = offset, .is_small = is_small});
  free_set(is_small).emplace(size, offset);
  return true;
}

bool CachingAllocator::give_back_free_segments() {
  bool gave_some = false;
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    const auto range = ranges_.find(segment->first);
    const bool is_whole = range->second.is_free && range->second.num_bytes == segment->second;
    if (!is_whole) {
      ++segment;
      continue;
    }
    free_set(range->second.is_small).erase({range->second.num_bytes, range->first});
    ranges_.erase(range);
    reserved_bytes_ -= segment->second;
    segment = segments_.erase(segment);
    gave_some = true;
  }
  return gave_some;
}

std::optional<std::uint64_t> CachingAllocator::try_allocate(std::uint64_t num_bytes) {
  CHECK(num_bytes > 0);
  const std::uint64_t wanted = round_up(num_bytes, kRounding);
  const bool is_small = wanted <= kSmallMax;
  auto found = find_free(wanted, is_small);
  if (!found) {
    const bool has_room = try_add_segment(wanted, is_small) ||
                          (give_back_free_segments() && try_add_segment(wanted, is_small));
    if (!has_room) return std::nullopt;
    found = find_free(wanted, is_small);
    CHECK(found.has_value());
  }
  const std::uint64_t offset = (*found)->first;
  Range& range = (*found)->second;
  free_set(is_small).erase({range.num_bytes, offset});
  const std::uint64_t rest = range.num_bytes - wanted;
  if (is_worth_splitting(rest, is_small)) {
    range.num_bytes = wanted;
    ranges_.emplace(offset + wanted,
                    Range{.num_bytes = rest, .segment = range.segment, .is_small = is_small});
    free_set(is_small).emplace(rest, offset + wanted);
  }
  range.is_free = false;
  held_bytes_ += range.num_bytes;
  return offset;
}

void CachingAllocator::merge(Ranges::iterator range, Ranges::iterator next) {
  free_set(range->second.is_small).erase({next->second.num_bytes, next->first});
  range->second.num_bytes += next->second.num_bytes;
  ranges_.erase(next);
}

void CachingAllocator::release(std::uint64_t offset) {
  auto range = ranges_.find(offset);
  CHECK(range != ranges_.end());
  CHECK(!range->second.is_free);
  held_bytes_ -= range->second.num_bytes;
  range->second.is_free = true;
  const auto is_free_neighbour = [&](Ranges::iterator other) {
    return other->second.is_free && other->second.segment == range->second.segment;
  };
  if (const auto next = std::next(range); next != ranges_.end() && is_free_neighbour(next)) {
    merge(range, next);
  }
  if (range != ranges_.begin() && is_free_neighbour(std::prev(range))) {
    const auto before = std::prev(range);
    free_set(before->second.is_small).erase({before->second.num_bytes, before->first});
    before->second.num_bytes += range->second.num_bytes;
    ranges_.erase(range);
    range = before;
  }
  free_set(range->second.is_small).emplace(range->second.num_bytes, range->first);
}

void CachingAllocator::check_invariants() const {
  std::uint64_t reserved = 0;
  std::uint64_t held = 0;
  std::size_t num_free = 0;
  for (const auto& [offset, size] : segments_) {
    reserved += size;
    std::uint64_t at = offset;
    bool was_free = false;
    while (at < offset + size) {
      const auto range = ranges_.find(at);
      CHECK(range != ranges_.end());
      CHECK(range->second.segment == offset);
      CHECK(!(was_free && range->second.is_free));
      was_free = range->second.is_free;
      num_free += was_free ? 1 : 0;
      held += was_free ? 0 : range->second.num_bytes;
      at += range->second.num_bytes;
    }
    CHECK(at == offset + size);
  }
  CHECK(reserved == reserved_bytes_);
  CHECK(reserved <= capacity_);
  CHECK(held == held_bytes_);
  CHECK(num_free == free_small_.size() + free_large_.size());
}

}  // namespace millrace
