// Entries by block, found through chained buckets; idle ones in lists by priority and recency.
#include "memory/prefix_index.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "base/check.h"
#include "base/checked.h"
#include "base/random.h"

namespace millrace {
namespace {

std::uint64_t extend_hash(std::uint64_t hash, std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) hash = mix64(hash + token + 0x9E3779B97F4A7C15u);
  return hash;
}

std::size_t table_blocks(const PrefixKey& key, std::size_t blocks_max) {
  return std::min(key.hashes.size(), blocks_max);
}

}  // namespace

void extend_prefix_hashes(PrefixSalt salt, std::span<const TokenId> tokens,
                          std::size_t block_tokens, std::vector<std::uint64_t>& hashes) {
  const std::uint64_t first = mix64(mix64(mix64(salt.high) + salt.low) + salt.adapter);
  std::uint64_t hash = hashes.empty() ? first : hashes.back();
  for (std::size_t i = hashes.size(); (i + 1) * block_tokens <= tokens.size(); ++i) {
    hash = extend_hash(hash, tokens.subspan(i * block_tokens, block_tokens));
    hashes.push_back(hash);
  }
}

PrefixIndex::PrefixIndex(BlockPool& pool, std::size_t block_tokens, std::size_t pinned_blocks_max)
    : pool_(pool),
      block_tokens_(block_tokens),
      pinned_blocks_max_(pinned_blocks_max),
      entries_(pool.num_blocks()),
      tokens_(std::size_t{pool.num_blocks()} * block_tokens),
      buckets_(std::bit_ceil(2 * std::size_t{pool.num_blocks()} + 1), kNone) {
  CHECK(block_tokens > 0);
}

PrefixIndex::~PrefixIndex() {
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    while (entries_[i].num_pin_leaves > 0) unpin(BlockId{i});
  }
  evict_idle();
  CHECK(num_entries_ == 0);  // Whoever holds one of the blocks has outlived the index.
}

bool PrefixIndex::contains(BlockId block) const {
  CHECK(block.index < entries_.size());
  return entries_[block.index].is_known;
}

std::span<TokenId> PrefixIndex::tokens_of(std::uint32_t block) {
  return std::span(tokens_).subspan(block * block_tokens_, block_tokens_);
}

std::span<const TokenId> PrefixIndex::tokens_of(std::uint32_t block) const {
  return std::span(tokens_).subspan(block * block_tokens_, block_tokens_);
}

std::uint32_t& PrefixIndex::bucket_of(std::uint64_t hash) {
  return buckets_[hash & (buckets_.size() - 1)];
}

std::uint32_t PrefixIndex::find(const PrefixKey& key, std::size_t at, std::uint32_t parent) const {
  const std::uint64_t hash = key.hashes[at];
  const auto tokens = key.tokens.subspan(at * block_tokens_, block_tokens_);
  std::uint32_t block = buckets_[hash & (buckets_.size() - 1)];
  for (; block != kNone; block = entries_[block].chain) {
    const Entry& entry = entries_[block];
    if (entry.hash != hash || entry.parent != parent || !(entry.salt == key.salt)) continue;
    const auto known = tokens_of(block);
    if (std::equal(tokens.begin(), tokens.end(), known.begin())) return block;
  }
  return kNone;
}

PrefixIndex::Cached PrefixIndex::find_cached(const PrefixKey& key, std::size_t blocks_max) const {
  Cached cached;
  std::uint32_t parent = kNone;
  const std::size_t num_blocks = table_blocks(key, blocks_max);
  for (std::size_t i = 0; i < num_blocks; ++i) {
    parent = find(key, i, parent);
    if (parent == kNone) break;
    ++cached.num_blocks;
    if (entries_[parent].is_idle) ++cached.num_idle;
  }
  return cached;
}

std::size_t PrefixIndex::attach(const PrefixKey& key, std::size_t blocks_max, std::uint8_t priority,
                                BlockTable& table) {
  CHECK(table.num_blocks() == 0);
  std::uint32_t parent = kNone;
  const std::size_t num_blocks = table_blocks(key, blocks_max);
  for (std::size_t i = 0; i < num_blocks; ++i) {
    parent = find(key, i, parent);
    if (parent == kNone) return i;
    hold(parent, priority);
    table.push_back(BlockId{parent});
  }
  return num_blocks;
}

std::optional<BlockId> PrefixIndex::publish(const PrefixKey& key, std::size_t at,
                                            std::uint8_t priority, BlockTable& table) {
  CHECK(at < key.hashes.size());
  CHECK(at < table.num_blocks());
  CHECK(priority < kPriorities);
  const std::uint32_t parent = at == 0 ? kNone : table.blocks()[at - 1].index;
  CHECK(parent == kNone || entries_[parent].is_known);
  const std::uint32_t block = table.blocks()[at].index;
  CHECK(!entries_[block].is_known);
  const std::uint32_t known = find(key, at, parent);
  if (known != kNone) {
    hold(known, priority);
    return table.exchange(at, BlockId{known});
  }
  pool_.share(BlockId{block});
  std::uint32_t& bucket = bucket_of(key.hashes[at]);
  entries_[block] = {.hash = key.hashes[at],
                     .salt = key.salt,
                     .parent = parent,
                     .chain = bucket,
                     .priority = priority,
                     .is_known = true};
  bucket = block;
  if (parent != kNone) {
    ++entries_[parent].num_children;
    CHECK(entries_[parent].priority >= priority);
  }
  const auto tokens = key.tokens.subspan(at * block_tokens_, block_tokens_);
  std::copy(tokens.begin(), tokens.end(), tokens_of(block).begin());
  ++num_entries_;
  return std::nullopt;
}

void PrefixIndex::hold(std::uint32_t block, std::uint8_t priority) {
  CHECK(priority < kPriorities);
  Entry& entry = entries_[block];
  CHECK(entry.is_known);
  if (entry.is_idle) unlink_idle(block);
  entry.priority = std::max(entry.priority, priority);
  pool_.share(BlockId{block});
}

bool PrefixIndex::try_extend(BlockTable& table, std::size_t num_blocks) {
  CHECK(num_blocks >= table.num_blocks());
  if (num_blocks - table.num_blocks() > num_available()) return false;
  while (table.num_blocks() < num_blocks) {
    std::optional<BlockId> block = pool_.try_acquire();
    if (!block) {
      CHECK(try_evict_one());
      block = pool_.try_acquire();
    }
    CHECK(block.has_value());
    table.push_back(*block);
  }
  return true;
}

void PrefixIndex::release_all(BlockTable& table) {
  while (table.num_blocks() > 0) release(table.pop_back());
}

void PrefixIndex::release(BlockId block) {
  pool_.release(block);
  if (entries_[block.index].is_known && pool_.num_holders(block) == 1) link_idle(block.index);
}

void PrefixIndex::link_idle(std::uint32_t block) {
  Entry& entry = entries_[block];
  CHECK(!entry.is_idle);
  IdleList& list = idle_[entry.priority];
  entry.is_idle = true;
  entry.idle_before = list.last;
  entry.idle_after = kNone;
  (list.last == kNone ? list.first : entries_[list.last].idle_after) = block;
  list.last = block;
  ++num_idle_;
}

void PrefixIndex::unlink_idle(std::uint32_t block) {
  Entry& entry = entries_[block];
  CHECK(entry.is_idle);
  IdleList& list = idle_[entry.priority];
  (entry.idle_before == kNone ? list.first : entries_[entry.idle_before].idle_after) =
      entry.idle_after;
  (entry.idle_after == kNone ? list.last : entries_[entry.idle_after].idle_before) =
      entry.idle_before;
  entry.is_idle = false;
  CHECK(num_idle_ > 0);
  --num_idle_;
}

void PrefixIndex::evict(std::uint32_t block) {
  Entry& entry = entries_[block];
  CHECK(entry.num_children == 0);  // They went before it, see the class's comment.
  unlink_idle(block);
  std::uint32_t* link = &bucket_of(entry.hash);
  while (*link != block) link = &entries_[*link].chain;
  *link = entry.chain;
  if (entry.parent != kNone) {
    CHECK(entries_[entry.parent].num_children > 0);
    --entries_[entry.parent].num_children;
  }
  entry.is_known = false;
  ++num_evictions_;
  CHECK(num_entries_ > 0);
  --num_entries_;
  pool_.release(BlockId{block});
  CHECK(pool_.num_holders(BlockId{block}) == 0);
}

bool PrefixIndex::try_evict_one() {
  for (const IdleList& list : idle_) {
    if (list.first == kNone) continue;
    evict(list.first);
    return true;
  }
  return false;
}

void PrefixIndex::evict_idle() {
  while (try_evict_one()) {
  }
}

bool PrefixIndex::is_pinned(BlockId block) const {
  CHECK(block.index < entries_.size());
  return entries_[block.index].num_pins > 0;
}

std::optional<BlockId> PrefixIndex::pinned_parent(BlockId block) const {
  CHECK(is_pinned(block));
  const std::uint32_t parent = entries_[block.index].parent;
  return parent == kNone ? std::nullopt : std::optional(BlockId{parent});
}

std::size_t PrefixIndex::num_to_pin(std::span<const BlockId> path) const {
  return static_cast<std::size_t>(
      std::count_if(path.begin(), path.end(), [this](BlockId block) { return !is_pinned(block); }));
}

std::size_t PrefixIndex::num_to_pin(const PrefixKey& key, std::size_t num_blocks) const {
  CHECK(num_blocks <= key.hashes.size());
  std::uint32_t parent = kNone;
  for (std::size_t i = 0; i < num_blocks; ++i) {
    parent = find(key, i, parent);
    // What follows a block that is not pinned is not pinned either.
    if (parent == kNone || entries_[parent].num_pins == 0) return num_blocks - i;
  }
  return 0;
}

Status PrefixIndex::pin(std::span<const BlockId> path) {
  CHECK(!path.empty());
  const std::size_t num_new = num_to_pin(path);
  if (num_new > pinned_blocks_max_ - num_pinned_) {
    return Error{ErrorCode::kResourceExhausted,
                 "pinning " + std::to_string(num_new) + " more blocks of KV cache beside " +
                     std::to_string(num_pinned_) + " exceeds the " +
                     std::to_string(pinned_blocks_max_) + " that may be pinned"};
  }
  std::uint32_t parent = kNone;
  for (const BlockId block : path) {
    Entry& entry = entries_[block.index];
    CHECK(entry.is_known);
    CHECK(entry.parent == parent);
    parent = block.index;
    if (entry.num_pins++ > 0) continue;
    hold(block.index, entry.priority);
    ++num_pinned_;
  }
  ++entries_[parent].num_pin_leaves;
  return Ok{};
}

void PrefixIndex::unpin(BlockId leaf) {
  CHECK(leaf.index < entries_.size());
  CHECK(entries_[leaf.index].num_pin_leaves > 0);
  --entries_[leaf.index].num_pin_leaves;
  for (std::uint32_t block = leaf.index; block != kNone; block = entries_[block].parent) {
    Entry& entry = entries_[block];
    CHECK(entry.num_pins > 0);
    if (--entry.num_pins > 0) continue;
    CHECK(num_pinned_ > 0);
    --num_pinned_;
    release(BlockId{block});
  }
}

// A pin goes through an entry when it ends there or with one that follows.
void PrefixIndex::check_pins() const {
  std::vector<std::uint32_t> num_pins(entries_.size(), 0);
  std::size_t num_pinned = 0;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    CHECK(entry.num_pins == 0 || entry.is_known);
    if (entry.num_pins > 0) ++num_pinned;
    num_pins[i] += entry.num_pin_leaves;
    if (entry.num_pins > 0 && entry.parent != kNone) num_pins[entry.parent] += entry.num_pins;
  }
  for (std::uint32_t i = 0; i < entries_.size(); ++i) CHECK(entries_[i].num_pins == num_pins[i]);
  CHECK(num_pinned == num_pinned_);
  CHECK(num_pinned <= pinned_blocks_max_);
}

void PrefixIndex::check_invariants() const {
  check_pins();
  std::size_t num_entries = 0;
  std::vector<std::uint32_t> num_children(entries_.size(), 0);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!entry.is_known) continue;
    ++num_entries;
    CHECK(pool_.num_holders(BlockId{i}) > 0);
    CHECK(entry.is_idle == (pool_.num_holders(BlockId{i}) == 1));
    if (entry.parent == kNone) continue;
    CHECK(entries_[entry.parent].is_known);
    CHECK(entries_[entry.parent].priority >= entry.priority);
    CHECK(!entries_[entry.parent].is_idle || entry.is_idle);
    ++num_children[entry.parent];
  }
  CHECK(num_entries == num_entries_);
  std::size_t num_idle = 0;
  for (const IdleList& list : idle_) {
    for (std::uint32_t i = list.first; i != kNone; i = entries_[i].idle_after) {
      CHECK(entries_[i].is_idle);
      CHECK(++num_idle <= num_idle_);
    }
  }
  CHECK(num_idle == num_idle_);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    CHECK(!entries_[i].is_known || entries_[i].num_children == num_children[i]);
  }
}

}  // namespace millrace
