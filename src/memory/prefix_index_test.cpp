// PrefixIndex against a plain map of prefixes, over random histories; eviction order; salts.
#include "memory/prefix_index.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace millrace {
namespace {

constexpr std::size_t kBlockTokens = 4;

struct Prefix {
  PrefixSalt salt;
  std::vector<TokenId> tokens;
  std::vector<std::uint64_t> hashes;

  explicit Prefix(std::vector<TokenId> ids, PrefixSalt with = {}) : salt(with), tokens(ids) {
    extend_prefix_hashes(salt, tokens, kBlockTokens, hashes);
  }
  PrefixKey key() const { return {salt, tokens, hashes}; }
};

std::vector<TokenId> counted(std::size_t num_tokens, TokenId first = 0) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < num_tokens; ++i) tokens.push_back(first + static_cast<TokenId>(i));
  return tokens;
}

// Where an equal block is known, the table's own goes free.
void publish(PrefixIndex& index, const PrefixKey& key, std::size_t at, std::uint8_t priority,
             BlockTable& table) {
  if (const auto own = index.publish(key, at, priority, table)) index.release(*own);
}

class PrefixIndexTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (BlockTable& table : tables_) index_.release_all(table);
    index_.check_invariants();
    pool_.check_invariants();
    EXPECT_EQ(pool_.num_used(), index_.num_entries());
    EXPECT_EQ(index_.num_idle(), index_.num_entries() - index_.num_pinned());
  }

  // A table that computed the whole prefix from what was cached on.
  BlockTable& compute(const Prefix& prefix, std::uint8_t priority = 0) {
    BlockTable& table = tables_.emplace_back(8);
    const std::size_t num_cached = index_.attach(prefix.key(), 8, priority, table);
    CHECK(index_.try_extend(table, blocks_for_tokens(prefix.tokens.size(), kBlockTokens)));
    for (std::size_t i = num_cached; i < prefix.hashes.size(); ++i) {
      publish(index_, prefix.key(), i, priority, table);
    }
    return table;
  }
  std::size_t num_cached(const Prefix& prefix) const {
    return index_.find_cached(prefix.key(), 8).num_blocks;
  }

  BlockPool pool_{8};
  PrefixIndex index_{pool_, kBlockTokens, 5};
  std::deque<BlockTable> tables_;
};

TEST_F(PrefixIndexTest, FindsTheLongestPrefixOfWholeBlocks) {
  const Prefix prefix(counted(10));
  BlockTable& table = compute(prefix);
  EXPECT_EQ(index_.num_entries(), 2u);
  EXPECT_EQ(num_cached(Prefix(counted(100))), 2u);
  EXPECT_EQ(num_cached(Prefix(counted(7))), 1u);
  EXPECT_EQ(num_cached(Prefix(counted(3))), 0u);
  EXPECT_EQ(num_cached(Prefix(counted(8, 1))), 0u);
  EXPECT_EQ(index_.find_cached(prefix.key(), 1).num_blocks, 1u);
  EXPECT_EQ(index_.num_idle(), 0u);
  index_.release_all(table);
  EXPECT_EQ(index_.num_idle(), 2u);
  EXPECT_EQ(pool_.num_free(), 6u);
  EXPECT_EQ(index_.num_available(), 8u);
  EXPECT_EQ(index_.find_cached(prefix.key(), 8).num_idle, 2u);
}

TEST_F(PrefixIndexTest, SharesBlocksByReference) {
  const Prefix prefix(counted(8));
  BlockTable& first = compute(prefix);
  BlockTable& second = compute(prefix);
  EXPECT_TRUE(std::equal(first.blocks().begin(), first.blocks().end(), second.blocks().begin()));
  EXPECT_EQ(pool_.num_used(), 2u);
  EXPECT_EQ(pool_.num_holders(first.blocks()[0]), 3u);
  index_.release_all(first);
  EXPECT_EQ(index_.num_idle(), 0u);
}

TEST_F(PrefixIndexTest, EqualPrefixesComputedSideBySideBecomeOne) {
  const Prefix prefix(counted(8));
  BlockTable& first = tables_.emplace_back(2);
  BlockTable& second = tables_.emplace_back(2);
  ASSERT_TRUE(index_.try_extend(first, 2));
  ASSERT_TRUE(index_.try_extend(second, 2));
  for (std::size_t i = 0; i < 2; ++i) {
    publish(index_, prefix.key(), i, 0, first);
    publish(index_, prefix.key(), i, 0, second);
    EXPECT_EQ(first.blocks()[i], second.blocks()[i]);
  }
  EXPECT_EQ(pool_.num_used(), 2u);
  index_.check_invariants();
}

TEST_F(PrefixIndexTest, DifferentSaltsNeverShare) {
  const Prefix ours(counted(8), {.high = 1, .low = 2});
  compute(ours);
  EXPECT_EQ(num_cached(ours), 2u);
  EXPECT_EQ(num_cached(Prefix(counted(8))), 0u);
  EXPECT_EQ(num_cached(Prefix(counted(8), {.high = 2, .low = 1})), 0u);
}

// The hashes are forged to be equal: only the comparison can tell.
TEST_F(PrefixIndexTest, ACollisionOfHashesGivesNoWrongBlock) {
  const Prefix prefix(counted(8));
  compute(prefix);
  Prefix other(counted(8, 50));
  other.hashes = prefix.hashes;
  EXPECT_EQ(num_cached(other), 0u);
  compute(other);
  EXPECT_EQ(num_cached(other), 2u);
  EXPECT_EQ(num_cached(prefix), 2u);
  Prefix salted = prefix;
  salted.salt.low = 9;
  EXPECT_EQ(num_cached(salted), 0u);
}

TEST_F(PrefixIndexTest, EvictsTheLongestIdleAndLastBlocksFirst) {
  const Prefix first(counted(8));
  const Prefix second(counted(8, 50));
  BlockTable& first_table = compute(first);
  BlockTable& second_table = compute(second);
  index_.release_all(first_table);
  index_.release_all(second_table);
  BlockTable& wanting = tables_.emplace_back(8);
  ASSERT_TRUE(index_.try_extend(wanting, 5));  // four are free, one is taken
  EXPECT_EQ(num_cached(first), 1u);
  EXPECT_EQ(num_cached(second), 2u);
  ASSERT_TRUE(index_.try_extend(wanting, 7));
  EXPECT_EQ(num_cached(first), 0u);
  EXPECT_EQ(num_cached(second), 1u);
  EXPECT_FALSE(index_.try_extend(wanting, 9));
  EXPECT_EQ(wanting.num_blocks(), 7u);
}

TEST_F(PrefixIndexTest, UseMakesAnEntryRecent) {
  const Prefix first(counted(4));
  const Prefix second(counted(4, 50));
  index_.release_all(compute(first));
  index_.release_all(compute(second));
  index_.release_all(compute(first));  // once more
  BlockTable& wanting = tables_.emplace_back(8);
  ASSERT_TRUE(index_.try_extend(wanting, 7));
  EXPECT_EQ(num_cached(first), 1u);
  EXPECT_EQ(num_cached(second), 0u);
}

TEST_F(PrefixIndexTest, LowerPriorityGoesFirst) {
  const Prefix important(counted(8));
  const Prefix other(counted(8, 50));
  index_.release_all(compute(important, 3));
  index_.release_all(compute(other, 1));
  BlockTable& wanting = tables_.emplace_back(8);
  ASSERT_TRUE(index_.try_extend(wanting, 6));
  EXPECT_EQ(num_cached(important), 2u);
  EXPECT_EQ(num_cached(other), 0u);
}

TEST_F(PrefixIndexTest, AnImportantUserRaisesAWholePath) {
  const Prefix shared(counted(4));
  const Prefix longer(counted(8));
  index_.release_all(compute(longer, 0));
  index_.release_all(compute(shared, 5));
  index_.release_all(compute(longer, 0));
  BlockTable& wanting = tables_.emplace_back(8);
  ASSERT_TRUE(index_.try_extend(wanting, 7));
  EXPECT_EQ(num_cached(longer), 1u);
}

TEST_F(PrefixIndexTest, EvictIdleDropsEveryIdleEntry) {
  index_.release_all(compute(Prefix(counted(8))));
  compute(Prefix(counted(4, 50)));
  index_.evict_idle();
  EXPECT_EQ(index_.num_idle(), 0u);
  EXPECT_EQ(index_.num_entries(), 1u);
}

TEST_F(PrefixIndexTest, PinnedBlocksAreNeverEvicted) {
  const Prefix hot(counted(8));
  BlockTable& table = compute(hot);
  ASSERT_TRUE(index_.pin(table.blocks()).ok());
  index_.release_all(table);
  EXPECT_EQ(index_.num_pinned(), 2u);
  EXPECT_EQ(index_.num_available(), 6u);
  BlockTable others(8);
  EXPECT_FALSE(index_.try_extend(others, 7));
  ASSERT_TRUE(index_.try_extend(others, 6));
  EXPECT_EQ(num_cached(hot), 2u);
  index_.evict_idle();
  EXPECT_EQ(num_cached(hot), 2u);
  index_.release_all(others);
}

TEST_F(PrefixIndexTest, PinsThatShareBlocksCountThemOnce) {
  const Prefix a(counted(12));
  std::vector<TokenId> tokens = counted(8);
  tokens.insert(tokens.end(), {90, 91, 92, 93});
  const Prefix b(tokens);
  BlockTable& of_a = compute(a);
  BlockTable& of_b = compute(b);
  const BlockId leaf_a = of_a.blocks().back();
  const BlockId leaf_b = of_b.blocks().back();
  EXPECT_EQ(index_.num_to_pin(of_a.blocks()), 3u);
  ASSERT_TRUE(index_.pin(of_a.blocks()).ok());
  EXPECT_EQ(index_.num_to_pin(of_b.blocks()), 1u);
  EXPECT_EQ(index_.num_to_pin(b.key(), 3), 1u);
  EXPECT_EQ(index_.num_to_pin(Prefix(counted(12, 50)).key(), 3), 3u);  // not here at all
  ASSERT_TRUE(index_.pin(of_b.blocks()).ok());
  ASSERT_TRUE(index_.pin(of_b.blocks()).ok());  // twice
  EXPECT_EQ(index_.num_pinned(), 4u);
  EXPECT_EQ(index_.pinned_parent(leaf_b), of_a.blocks()[1]);
  EXPECT_EQ(index_.pinned_parent(of_a.blocks()[0]), std::nullopt);
  EXPECT_EQ(index_.pinned_tokens(leaf_b)[3], 93u);
  index_.release_all(of_a);
  index_.release_all(of_b);
  EXPECT_EQ(index_.num_idle(), 0u);
  index_.unpin(leaf_a);
  EXPECT_EQ(index_.num_pinned(), 3u);
  EXPECT_EQ(index_.num_idle(), 1u);
  index_.unpin(leaf_b);
  EXPECT_EQ(index_.num_pinned(), 3u);
  index_.unpin(leaf_b);
  EXPECT_EQ(index_.num_pinned(), 0u);
  index_.check_invariants();
  index_.evict_idle();
  EXPECT_EQ(pool_.num_free(), 8u);
}

TEST_F(PrefixIndexTest, MorePinsThanTheCapAreRefusedWithBothNumbers) {
  BlockTable& first = compute(Prefix(counted(12)));
  BlockTable& second = compute(Prefix(counted(12, 100)));
  ASSERT_TRUE(index_.pin(first.blocks()).ok());
  EXPECT_EQ(index_.pin(second.blocks()).error().message,
            "pinning 3 more blocks of KV cache beside 3 exceeds the 5 that may be pinned");
  EXPECT_EQ(index_.num_pinned(), 3u);
  EXPECT_TRUE(index_.pin(second.blocks().first(2)).ok());
}

TEST(PrefixIndexDeathTest, EndsTheProcessOnMisuse) {
  BlockPool pool(4);
  PrefixIndex index(pool, kBlockTokens);
  const Prefix prefix(counted(8));
  EXPECT_DEATH(
      {
        BlockTable table(2);
        static_cast<void>(index.try_extend(table, 2));
        publish(index, prefix.key(), 1, 0, table);  // before block 0
      },
      "is_known");
  EXPECT_DEATH(
      {
        BlockTable table(2);
        static_cast<void>(index.try_extend(table, 2));
        publish(index, prefix.key(), 0, 0, table);
        publish(index, prefix.key(), 0, 0, table);
      },
      "is_known");
}

// Few tokens, few lengths, so that paths branch and meet. The model remembers for each prefix
// which block has it; what the index finds must be a path of the model.
TEST(PrefixIndex, RandomHistoriesGiveWhatAMapGives) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    BlockPool pool(static_cast<std::uint32_t>(random.between(1, 24)));
    PrefixIndex index(pool, kBlockTokens, random.below(12));
    std::vector<std::pair<Prefix, BlockTable>> live;
    std::vector<BlockId> pins;
    // By block: the salt and the tokens of all of its prefix.
    std::map<std::uint32_t, std::pair<std::uint64_t, std::vector<TokenId>>> content;
    for (int i = 0; i < 200; ++i) {
      if (!live.empty() && random.chance(0.5)) {
        const std::size_t at = random.below(live.size());
        index.release_all(live[at].second);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      } else if (!pins.empty() && random.chance(0.1)) {
        index.unpin(pins.back());
        pins.pop_back();
      } else {
        std::vector<TokenId> tokens(random.below(24));
        for (TokenId& token : tokens) token = static_cast<TokenId>(random.below(2));
        Prefix prefix(tokens, {.high = 0, .low = random.below(2)});
        const auto priority = static_cast<std::uint8_t>(random.below(3));
        BlockTable table(8);
        const std::size_t num_found = index.find_cached(prefix.key(), 8).num_blocks;
        ASSERT_EQ(index.attach(prefix.key(), 8, priority, table), num_found);
        for (std::size_t b = 0; b < num_found; ++b) {
          tokens.resize((b + 1) * kBlockTokens);
          std::copy_n(prefix.tokens.begin(), tokens.size(), tokens.begin());
          ASSERT_EQ(content.at(table.blocks()[b].index), std::pair(prefix.salt.low, tokens));
        }
        if (!index.try_extend(table, blocks_for_tokens(prefix.tokens.size(), kBlockTokens))) {
          index.release_all(table);
          continue;
        }
        for (std::size_t b = num_found; b < prefix.hashes.size(); ++b) {
          tokens.assign(prefix.tokens.begin(),
                        prefix.tokens.begin() + static_cast<std::ptrdiff_t>((b + 1) * 4));
          content[table.blocks()[b].index] = {prefix.salt.low, tokens};
          publish(index, prefix.key(), b, priority, table);
        }
        const std::size_t num_full = prefix.hashes.size();
        if (num_full > 0 && random.chance(0.3)) {
          const auto path = table.blocks().first(random.between(1, num_full));
          if (index.pin(path).ok()) pins.push_back(path.back());
        }
        live.emplace_back(std::move(prefix), std::move(table));
      }
      index.check_invariants();
      pool.check_invariants();
    }
    for (auto& [prefix, table] : live) index.release_all(table);
    index.evict_idle();
    ASSERT_EQ(pool.num_used(), index.num_pinned());
    for (const BlockId leaf : pins) index.unpin(leaf);
    index.evict_idle();
    ASSERT_EQ(pool.num_free(), pool.num_blocks()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace
