// BlockPool and BlockTable: exact counts, all or nothing, and checks that end a broken process.
#include "memory/block_pool.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/random.h"
#include "memory/block_table.h"

namespace millrace {
namespace {

TEST(BlockPool, HandsOutEveryBlockOnce) {
  BlockPool pool(5);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 5; ++i) {
    const auto block = pool.try_acquire();
    ASSERT_TRUE(block.has_value());
    EXPECT_TRUE(seen.insert(block->index).second);
    EXPECT_EQ(pool.num_holders(*block), 1u);
  }
  EXPECT_FALSE(pool.try_acquire().has_value());
  EXPECT_EQ(pool.num_free(), 0u);
  EXPECT_EQ(pool.num_used(), 5u);
  pool.check_invariants();
}

TEST(BlockPool, SharedBlockIsFreeAfterItsLastHolder) {
  BlockPool pool(2);
  const BlockId block = *pool.try_acquire();
  pool.share(block);
  pool.release(block);
  EXPECT_EQ(pool.num_free(), 1u);
  pool.release(block);
  EXPECT_EQ(pool.num_free(), 2u);
  EXPECT_EQ(pool.num_holders(block), 0u);
  pool.check_invariants();
}

TEST(BlockPool, MostRecentlyFreedGoesOutFirst) {
  BlockPool pool(4);
  const BlockId first = *pool.try_acquire();
  const BlockId second = *pool.try_acquire();
  EXPECT_EQ(first.index, 0u);
  EXPECT_EQ(second.index, 1u);
  pool.release(first);
  EXPECT_EQ(*pool.try_acquire(), first);
}

TEST(BlockPoolDeathTest, EndsTheProcessOnMisuse) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.release(BlockId{0}), "num_holders_");
  EXPECT_DEATH(pool.release(BlockId{2}), "size");
  EXPECT_DEATH(pool.share(BlockId{1}), "num_holders_");
  EXPECT_DEATH(static_cast<void>(pool.num_holders(BlockId{7})), "size");
}

TEST(BlockTable, TakesAllOrNothing) {
  BlockPool pool(4);
  BlockTable table(4);
  EXPECT_TRUE(table.try_extend(pool, 3));
  EXPECT_FALSE(table.try_extend(pool, 5));
  EXPECT_EQ(table.num_blocks(), 3u);
  EXPECT_EQ(pool.num_free(), 1u);
  EXPECT_TRUE(table.try_extend(pool, 4));
  table.release_all(pool);
  EXPECT_EQ(pool.num_free(), 4u);
  EXPECT_EQ(table.num_blocks(), 0u);
}

TEST(BlockTable, MovingLeavesAnEmptyOne) {
  BlockPool pool(2);
  BlockTable table(2);
  ASSERT_TRUE(table.try_extend(pool, 2));
  BlockTable moved = std::move(table);
  EXPECT_EQ(moved.num_blocks(), 2u);
  BlockTable target(0);
  target = std::move(moved);
  EXPECT_EQ(target.num_blocks(), 2u);
  target.release_all(pool);
}

TEST(BlockTableDeathTest, EndsTheProcessWhenBlocksAreDropped) {
  BlockPool pool(2);
  EXPECT_DEATH(
      {
        BlockTable table(1);
        static_cast<void>(table.try_extend(pool, 1));
      },
      "blocks_.empty");
}

TEST(BlocksForTokens, RoundsUp) {
  EXPECT_EQ(blocks_for_tokens(0, 16), 0u);
  EXPECT_EQ(blocks_for_tokens(1, 16), 1u);
  EXPECT_EQ(blocks_for_tokens(16, 16), 1u);
  EXPECT_EQ(blocks_for_tokens(17, 16), 2u);
}

// Random histories against a plain list of who holds what.
TEST(BlockPool, CountsEqualAModelOverRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const auto num_blocks = static_cast<std::uint32_t>(random.between(1, 20));
    BlockPool pool(num_blocks);
    std::vector<BlockId> held;  // one entry per reference
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t action = random.below(3);
      if (action == 0) {
        if (const auto block = pool.try_acquire()) held.push_back(*block);
      } else if (!held.empty()) {
        const std::size_t at = random.below(held.size());
        if (action == 1) {
          pool.share(held[at]);
          held.push_back(held[at]);
        } else {
          pool.release(held[at]);
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
        }
      }
      std::set<std::uint32_t> distinct;
      for (const BlockId block : held) distinct.insert(block.index);
      ASSERT_EQ(pool.num_used(), distinct.size()) << "seed " << seed;
      pool.check_invariants();
    }
  }
}

}  // namespace
}  // namespace millrace
