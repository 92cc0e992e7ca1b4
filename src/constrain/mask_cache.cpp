// A table of fixed size with second-chance eviction.
#include "constrain/mask_cache.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kSlotsMin = 16;
constexpr std::size_t kSlotsMax = std::size_t{1} << 20;
constexpr std::size_t kShapes = 1 << 14;  // a power of two

}  // namespace

MaskCache::MaskCache(std::size_t mask_words, std::size_t token_bytes_max, std::uint64_t bytes)
    : mask_words_(mask_words), shapes_(kShapes) {
  CHECK(mask_words > 0);
  const std::uint64_t num_slots = bytes / (mask_words * sizeof(std::uint32_t));
  slots_.resize(std::clamp<std::uint64_t>(num_slots, kSlotsMin, kSlotsMax));
  buckets_.assign(2 * slots_.size(), kNone);
  words_ = std::make_unique_for_overwrite<std::uint32_t[]>(slots_.size() * mask_words);
  for (std::size_t i = 0; i < kWalksMax; ++i) {
    scratches_.push_back(std::make_unique<WalkScratch>(token_bytes_max));
    free_scratches_.push_back(scratches_.back().get());
  }
}

std::uint32_t& MaskCache::bucket_of(const MaskKey& key) {
  return buckets_[(key.low ^ key.grammar) % buckets_.size()];
}

std::uint32_t MaskCache::find_slot(const MaskKey& key) {
  std::uint32_t at = bucket_of(key);
  while (at != kNone && !(slots_[at].key == key)) at = slots_[at].next;
  return at;
}

std::optional<std::uint32_t> MaskCache::find(const MaskKey& key, std::span<std::uint32_t> allowed) {
  CHECK(allowed.size() == mask_words_);
  const std::lock_guard lock(mutex_);
  const std::uint32_t at = find_slot(key);
  (at == kNone ? counters_.num_misses : counters_.num_hits) += 1;
  if (at == kNone) return std::nullopt;
  slots_[at].was_used = true;
  std::copy_n(words_.get() + std::size_t{at} * mask_words_, mask_words_, allowed.begin());
  return slots_[at].beside;
}

void MaskCache::keep(const MaskKey& key, std::span<const std::uint32_t> allowed,
                     std::uint32_t beside) {
  CHECK(allowed.size() == mask_words_);
  const std::lock_guard lock(mutex_);
  if (find_slot(key) != kNone) return;  // Another thread was faster.
  const std::uint32_t at = free_slot();
  Slot& slot = slots_[at];
  std::uint32_t& bucket = bucket_of(key);
  slot = {.key = key, .next = bucket, .beside = beside, .was_used = true, .is_taken = true};
  bucket = at;
  std::copy_n(allowed.begin(), mask_words_, words_.get() + std::size_t{at} * mask_words_);
}

// The hand goes round and takes the first slot that was not used since it last passed.
std::uint32_t MaskCache::free_slot() {
  for (;;) {
    const std::uint32_t at = hand_;
    hand_ = static_cast<std::uint32_t>((hand_ + 1) % slots_.size());
    Slot& slot = slots_[at];
    if (!slot.is_taken) return at;
    if (slot.was_used) {
      slot.was_used = false;
      continue;
    }
    std::uint32_t* link = &bucket_of(slot.key);
    while (*link != at) link = &slots_[*link].next;
    *link = slot.next;
    return at;
  }
}

std::uint32_t MaskCache::num_frames(const MaskKey& shape) {
  const std::lock_guard lock(mutex_);
  const Shape& found = shapes_[shape.low & (kShapes - 1)];
  return found.key == shape ? found.num_frames : 0;
}

void MaskCache::set_num_frames(const MaskKey& shape, std::uint32_t num_frames) {
  const std::lock_guard lock(mutex_);
  shapes_[shape.low & (kShapes - 1)] = {shape, num_frames};
}

std::uint64_t MaskCache::next_grammar() {
  const std::lock_guard lock(mutex_);
  return ++num_grammars_;
}

MaskCache::Counters MaskCache::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

WalkScratch* MaskCache::take_scratch() {
  std::unique_lock lock(mutex_);
  has_scratch_.wait(lock, [this] { return !free_scratches_.empty(); });
  WalkScratch* const scratch = free_scratches_.back();
  free_scratches_.pop_back();
  return scratch;
}

void MaskCache::return_scratch(WalkScratch* scratch) {
  {
    const std::lock_guard lock(mutex_);
    free_scratches_.push_back(scratch);
  }
  has_scratch_.notify_one();
}

}  // namespace millrace
