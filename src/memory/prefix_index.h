// Which full KV blocks hold which token prefixes, so that equal prefixes are computed once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/token_id.h"
#include "memory/block_pool.h"
#include "memory/block_table.h"

namespace millrace {

// Sequences share blocks only when their salts are equal: tenants who ask for it are kept apart by
// salts of their own. Compared whole, so whoever gives different tenants different salts may rely
// on it. Zero is everybody's.
struct PrefixSalt {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  // The adapter that keys and values were computed with; 0: the model alone.
  std::uint64_t adapter = 0;
  bool operator==(const PrefixSalt&) const = default;
};

// Hashes of the prefixes that end with each full block of `tokens`, appended to those in `hashes`:
// hashes[i] covers the salt and tokens[0, (i + 1) * block_tokens).
void extend_prefix_hashes(PrefixSalt salt, std::span<const TokenId> tokens,
                          std::size_t block_tokens, std::vector<std::uint64_t>& hashes);

// A sequence's tokens as the index looks at them: the views live for the call.
struct PrefixKey {
  PrefixSalt salt;
  std::span<const TokenId> tokens;
  std::span<const std::uint64_t> hashes;  // of its full blocks, see extend_prefix_hashes
};

// A forest of full blocks. An entry is a block with its tokens and the entry before it, found
// through a hash of the whole prefix and then compared: same predecessor (or, for a first block,
// same salt) and same tokens. So a collision of hashes costs time and never gives a wrong block.
//
//   salt ─► block 7 ─► block 2 ─► block 9        a table holds a path from a root
//                 └──► block 4                   with one reference to each block on it
//
// The index holds one reference to each of its blocks. An entry that nobody else holds is idle; it
// stays until a block is wanted and none is free. Then the idle entry of the lowest priority, and
// among those the one that has been idle longest, is evicted. Tables release their last block first
// and a path's priorities never rise along it, so an entry always goes before its predecessor.
//
// Every block of the pool must be acquired and released through the index. Engine thread only;
// never allocates after construction.
class PrefixIndex {
 public:
  static constexpr std::size_t kPriorities = 8;

  // The pool outlives the index. Of its blocks so many may be pinned.
  PrefixIndex(BlockPool& pool, std::size_t block_tokens, std::size_t pinned_blocks_max = 0);
  // Lets go of its pins and entries.
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  std::size_t num_entries() const { return num_entries_; }
  std::size_t num_idle() const { return num_idle_; }
  std::uint64_t num_evictions() const { return num_evictions_; }
  bool contains(BlockId block) const;
  // Blocks that try_extend can hand out: the free ones and the idle ones.
  std::size_t num_available() const { return pool_.num_free() + num_idle_; }

  struct Cached {
    std::size_t num_blocks = 0;
    std::size_t num_idle = 0;  // of them: taking these makes so many fewer available
  };
  // The full blocks of the key's prefix that are here, `blocks_max` at most.
  Cached find_cached(const PrefixKey& key, std::size_t blocks_max) const;
  // Puts those blocks into the empty table, with a reference for each, and raises their priority to
  // `priority`. Gives their number.
  std::size_t attach(const PrefixKey& key, std::size_t blocks_max, std::uint8_t priority,
                     BlockTable& table);
  // Makes block `at` of the table known as that of the key; those before it are known already. When
  // an equal one is, the table gets that one instead, so that sequences that computed the same
  // prefix side by side end up with one copy; the caller then has the reference to the table's own
  // and releases it.
  [[nodiscard]] std::optional<BlockId> publish(const PrefixKey& key, std::size_t at,
                                               std::uint8_t priority, BlockTable& table);
  // Gives a reference to a block back; an entry that nobody else holds becomes idle.
  void release(BlockId block);

  // Extends the table to `num_blocks`, evicting idle entries where no block is free; or changes
  // nothing and gives false.
  bool try_extend(BlockTable& table, std::size_t num_blocks);
  // Gives every block of the table back, the last one first; entries become idle.
  void release_all(BlockTable& table);
  // Drops every idle entry.
  void evict_idle();

  // Pins a path, which is known from its first block on; kResourceExhausted with both numbers, and
  // nothing changes, when too many blocks would be pinned.
  Status pin(std::span<const BlockId> path);
  // Takes one pin back that ends with `leaf`.
  void unpin(BlockId leaf);
  // Blocks of the path that no pin holds yet.
  std::size_t num_to_pin(std::span<const BlockId> path) const;
  // The same for the first `num_blocks` of the key, those that are not here yet included.
  std::size_t num_to_pin(const PrefixKey& key, std::size_t num_blocks) const;
  std::size_t num_pinned() const { return num_pinned_; }
  std::size_t pinned_blocks_max() const { return pinned_blocks_max_; }
  bool is_pinned(BlockId block) const;
  // What a pinned block holds and which comes before it. Another thread may ask as long as it knows
  // that the block stays pinned: neither changes while it is.
  std::span<const TokenId> pinned_tokens(BlockId block) const { return tokens_of(block.index); }
  std::optional<BlockId> pinned_parent(BlockId block) const;

  // O(blocks): links, counts, idle entries, and that an entry's predecessor is an entry.
  void check_invariants() const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Entry {
    std::uint64_t hash = 0;
    PrefixSalt salt;
    std::uint32_t parent = kNone;  // entry before it
    std::uint32_t num_children = 0;
    std::uint32_t num_pins = 0;        // that go through it
    std::uint32_t num_pin_leaves = 0;  // of them, that end with it
    std::uint32_t chain = kNone;       // next entry of the same bucket
    std::uint32_t idle_before = kNone;
    std::uint32_t idle_after = kNone;
    std::uint8_t priority = 0;
    bool is_known = false;
    bool is_idle = false;
  };
  struct IdleList {
    std::uint32_t first = kNone;  // idle longest
    std::uint32_t last = kNone;
  };

  std::span<TokenId> tokens_of(std::uint32_t block);
  std::span<const TokenId> tokens_of(std::uint32_t block) const;
  std::uint32_t& bucket_of(std::uint64_t hash);
  std::uint32_t find(const PrefixKey& key, std::size_t at, std::uint32_t parent) const;
  void hold(std::uint32_t block, std::uint8_t priority);
  void link_idle(std::uint32_t block);
  void unlink_idle(std::uint32_t block);
  void evict(std::uint32_t block);
  bool try_evict_one();
  void check_pins() const;

  BlockPool& pool_;
  const std::size_t block_tokens_;
  const std::size_t pinned_blocks_max_;
  std::vector<Entry> entries_;          // by block
  std::vector<TokenId> tokens_;         // [blocks, block_tokens]
  std::vector<std::uint32_t> buckets_;  // first entry of each; a power of two of them
  std::array<IdleList, kPriorities> idle_{};
  std::size_t num_entries_ = 0;
  std::size_t num_idle_ = 0;
  std::size_t num_pinned_ = 0;
  std::uint64_t num_evictions_ = 0;
};

}  // namespace millrace
