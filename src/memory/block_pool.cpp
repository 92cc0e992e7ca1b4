// Reference counts of KV blocks.
#include "memory/block_pool.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace millrace {

BlockPool::BlockPool(std::uint32_t num_blocks) : num_holders_(num_blocks, 0) {
  free_.reserve(num_blocks);
  for (std::uint32_t i = num_blocks; i > 0; --i) free_.push_back(BlockId{i - 1});
}

std::uint32_t BlockPool::num_holders(BlockId block) const {
  CHECK(block.index < num_holders_.size());
  return num_holders_[block.index];
}

std::optional<BlockId> BlockPool::try_acquire() {
  if (free_.empty()) return std::nullopt;
  const BlockId block = free_.back();
  CHECK(num_holders_[block.index] == 0);  // A free block with a holder would get a second owner.
  free_.pop_back();
  num_holders_[block.index] = 1;
  return block;
}

void BlockPool::share(BlockId block) {
  CHECK(block.index < num_holders_.size());
  CHECK(num_holders_[block.index] > 0);
  CHECK(num_holders_[block.index] < std::numeric_limits<std::uint32_t>::max());
  ++num_holders_[block.index];
}

void BlockPool::release(BlockId block) {
  CHECK(block.index < num_holders_.size());
  CHECK(num_holders_[block.index] > 0);  // A second release would hand one block to two sequences.
  --num_holders_[block.index];
  if (num_holders_[block.index] == 0) free_.push_back(block);
  CHECK(free_.size() <= num_holders_.size());
}

void BlockPool::check_invariants() const {
  for (const BlockId block : free_) CHECK(num_holders_[block.index] == 0);
  const auto num_held = std::count_if(num_holders_.begin(), num_holders_.end(),
                                      [](std::uint32_t holders) { return holders > 0; });
  // Together with the line above: every block is on the free list exactly once or held.
  CHECK(free_.size() + static_cast<std::size_t>(num_held) == num_holders_.size());
}

}  // namespace millrace
