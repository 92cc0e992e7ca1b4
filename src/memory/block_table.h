// A sequence's KV blocks in order of position.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/id.h"
#include "memory/block_pool.h"

namespace millrace {

// Blocks that hold `num_tokens` tokens.
inline std::size_t blocks_for_tokens(std::size_t num_tokens, std::size_t block_tokens) {
  return static_cast<std::size_t>(ceil_div(num_tokens, block_tokens));
}

// The token at position s lies at offset s % block_tokens of blocks()[s / block_tokens]. Holds one
// reference to each of its blocks in the pool, and must be empty when it dies: the pool is not
// known to the destructor, so that tables stay values. Moved-from tables are empty.
class BlockTable {
 public:
  // A table that never allocates while it has at most `num_blocks_max` blocks.
  explicit BlockTable(std::size_t num_blocks_max) { blocks_.reserve(num_blocks_max); }
  BlockTable(BlockTable&&) noexcept = default;
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable();

  std::span<const BlockId> blocks() const { return blocks_; }
  std::size_t num_blocks() const { return blocks_.size(); }

  // Acquires blocks until the table has `num_blocks`, or none and false when too few are free.
  bool try_extend(BlockPool& pool, std::size_t num_blocks);
  // Gives every block back, the last one first.
  void release_all(BlockPool& pool);

  // For whoever counts the references itself (PrefixIndex): the table takes the caller's reference,
  // or hands one of its own over.
  void push_back(BlockId block) { blocks_.push_back(block); }
  BlockId pop_back();
  BlockId exchange(std::size_t at, BlockId block);

 private:
  std::vector<BlockId> blocks_;
};

}  // namespace millrace
