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
  for (const BlockId block : blocks_) pool.release(block);
  blocks_.clear();
}

}  // namespace millrace
