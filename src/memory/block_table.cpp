// Block tables take all that they ask for or nothing.
#include "memory/block_table.h"

#include <utility>

#include "base/check.h"

namespace millrace {

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  CHECK(blocks_.empty());  // Overwriting held blocks would leak them.
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

BlockTable::~BlockTable() {
  CHECK(blocks_.empty());  // release_all() first: a dead table's blocks are lost to the pool.
}

bool BlockTable::try_extend(BlockPool& pool, std::size_t num_blocks) {
  CHECK(num_blocks >= blocks_.size());
  if (num_blocks - blocks_.size() > pool.num_free()) return false;
  while (blocks_.size() < num_blocks) blocks_.push_back(*pool.try_acquire());
  return true;
}

void BlockTable::release_all(BlockPool& pool) {
  while (!blocks_.empty()) pool.release(pop_back());
}

BlockId BlockTable::pop_back() {
  CHECK(!blocks_.empty());
  const BlockId block = blocks_.back();
  blocks_.pop_back();
  return block;
}

BlockId BlockTable::exchange(std::size_t at, BlockId block) {
  CHECK(at < blocks_.size());
  return std::exchange(blocks_[at], block);
}

}  // namespace millrace
