// Free KV blocks and how many holders each block has: counts only, no bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/id.h"

namespace millrace {

// Hands out the blocks [0, num_blocks) of one KvCache. A block is free, or it has one or more
// holders; it returns to the free ones when the last holder lets go. The most recently freed block
// goes out first, so that equal histories give equal blocks. Engine thread only; never allocates
// after construction.
class BlockPool {
 public:
  explicit BlockPool(std::uint32_t num_blocks);

  std::uint32_t num_blocks() const { return static_cast<std::uint32_t>(num_holders_.size()); }
  std::uint32_t num_free() const { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t num_used() const { return num_blocks() - num_free(); }
  std::uint32_t num_holders(BlockId block) const;

  // A free block, now with one holder; nothing when all are in use.
  std::optional<BlockId> try_acquire();
  // One more holder of a block that has one already.
  void share(BlockId block);
  // One holder fewer; the block is free when none is left.
  void release(BlockId block);

  // O(blocks): for tests, the simulator and the idle engine.
  void check_invariants() const;

 private:
  std::vector<std::uint32_t> num_holders_;  // by block
  std::vector<BlockId> free_;               // last one goes out first
};

}  // namespace millrace
