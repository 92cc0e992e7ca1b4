// Hot prefixes through an engine turned by hand: pinned, found, cooled, restored, and never leaked.
#include "engine/hot_prefixes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"

namespace millrace {
namespace {

constexpr std::size_t kVocabulary = 1000;
constexpr std::size_t kBlockTokens = 4;

// Always the same token.
class DullRunner final : public ModelRunner {
 public:
  Status run(const StepPlan& plan, StepResult& result) override {
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (plan.chunks[i].samples) result.samples[i].outcome = SampleOutcome::kToken;
    }
    return Ok{};
  }
};

std::vector<TokenId> counted(std::size_t num_tokens, TokenId first) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < num_tokens; ++i) tokens.push_back(first + static_cast<TokenId>(i));
  return tokens;
}

constexpr HotPrefixOptions kHot = {.pinned_blocks_max = 8,
                                   .found_blocks_max = 6,
                                   .found_tokens_min = 8,
                                   .requests_min = 4,
                                   .half_life = std::chrono::seconds(60)};

class HotPrefixesTest : public ::testing::Test {
 protected:
  void SetUp() override { make(kHot); }
  void TearDown() override {
    engine_->scheduler().check_invariants();
    engine_.reset();
    EXPECT_EQ(pool_->num_free(), pool_->num_blocks());
  }

  void make(const HotPrefixOptions& hot, PrefixReuse reuse = PrefixReuse::kOn) {
    engine_.reset();
    pool_ = std::make_unique<BlockPool>(24);
    EngineOptions options;
    options.scheduler = {.num_requests_max = 8,
                         .num_sequences_max = 4,
                         .step_tokens_max = 64,
                         .chunk_tokens_max = 64,
                         .block_tokens = kBlockTokens,
                         .prefix_reuse = reuse,
                         .hot = hot};
    options.vocabulary = kVocabulary;
    options.context_tokens = 200;
    engine_ = MUST(Engine::create(options, *pool_, runner_, clock_));
  }
  Finish end(TokenStream stream) {
    while (engine_->step()) {
    }
    while (stream.pop()) {
    }
    return *stream.finished();
  }
  Finish ask(std::vector<TokenId> prompt, PrefixSalt salt = {}) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = 1;
    request.salt = salt;
    return end(MUST(engine_->submit(std::move(request))));
  }
  // Of the prompt, found in the cache.
  std::size_t num_cached(std::vector<TokenId> prompt) {
    prompt.push_back(999);
    return ask(std::move(prompt)).num_cached;
  }
  // Long requests that nobody else begins like: whatever can be evicted is.
  void flood() {
    for (int i = 0; i < 3; ++i) {
      flood_ += 1;
      std::vector<TokenId> prompt = counted(63, 500);
      prompt.front() = flood_;
      ask(std::move(prompt));
    }
  }
  void ask_often(const std::vector<TokenId>& prefix, int num_times, PrefixSalt salt = {}) {
    for (int i = 0; i < num_times; ++i) {
      std::vector<TokenId> prompt = prefix;
      for (int j = 0; j < 6; ++j) prompt.push_back(static_cast<TokenId>(100 + random_.below(800)));
      ask(std::move(prompt), salt);
    }
  }
  const HotPrefixes& hot() const { return engine_->scheduler().hot_prefixes(); }
  std::vector<HotPrefix> pinned() const {
    std::vector<HotPrefix> pinned;
    EXPECT_TRUE(engine_
                    ->visit_hot([&](std::span<const HotPrefix> prefixes) -> Status {
                      pinned.assign(prefixes.begin(), prefixes.end());
                      return Ok{};
                    })
                    .ok());
    return pinned;
  }

  DullRunner runner_;
  ManualClock clock_;
  Random random_{1};
  TokenId flood_ = 0;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(HotPrefixesTest, WhatWasAskedForStaysThroughAFlood) {
  const std::vector<TokenId> prefix = counted(14, 100);  // three blocks, and a rest that is left
  const Finish finish = end(MUST(engine_->pin(prefix)));
  EXPECT_EQ(finish.reason, FinishReason::kLength);
  EXPECT_EQ(hot().num_asked(), 1u);
  flood();
  EXPECT_EQ(num_cached(prefix), 12u);
  ASSERT_EQ(pinned().size(), 1u);
  EXPECT_EQ(pinned()[0].tokens, counted(12, 100));
  EXPECT_EQ(pinned()[0].source, HotSource::kAsked);
  EXPECT_EQ(end(MUST(engine_->pin(prefix))).reason, FinishReason::kLength);  // nothing new
  EXPECT_EQ(hot().num_asked(), 1u);
}

TEST_F(HotPrefixesTest, WithoutAPinAFloodTakesEverything) {
  const std::vector<TokenId> prefix = counted(12, 100);
  ask(prefix);
  EXPECT_EQ(num_cached(prefix), 12u);
  flood();
  EXPECT_EQ(num_cached(prefix), 0u);
}

TEST_F(HotPrefixesTest, MoreThanTheCapIsRefusedWithBothNumbers) {
  Finish finish = end(MUST(engine_->pin(counted(36, 100))));
  ASSERT_EQ(finish.reason, FinishReason::kError);
  EXPECT_EQ(finish.error->message,
            "hot prompt of 9 blocks of KV cache exceeds the 8 that may be pinned");
  EXPECT_EQ(end(MUST(engine_->pin(counted(20, 100)))).reason, FinishReason::kLength);
  finish = end(MUST(engine_->pin(counted(20, 200))));
  ASSERT_EQ(finish.reason, FinishReason::kError);
  EXPECT_EQ(finish.error->message,
            "hot prompt needs 5 more blocks of KV cache beside the 5 that are pinned, at most 8 "
            "may be");
  EXPECT_EQ(engine_->pin(counted(3, 100)).error().message,
            "a hot prompt of 3 tokens does not fill a block of 4");
  EXPECT_EQ(engine_->scheduler().prefix_index().num_pinned(), 5u);
}

TEST_F(HotPrefixesTest, NoRequestCountsOnWhatMayBePinned) {
  Request request;
  request.prompt = counted(65, 100);
  request.max_tokens = 1;
  EXPECT_EQ(engine_->submit(request).error().message, "prompt of 65 tokens exceeds KV cache of 64");
  EXPECT_EQ(end(MUST(engine_->pin(counted(32, 300)))).reason, FinishReason::kLength);
  request.prompt.pop_back();
  EXPECT_EQ(end(MUST(engine_->submit(request))).reason, FinishReason::kLength);
}

TEST_F(HotPrefixesTest, FrequentOnesAreFoundUpToWhereTheyPart) {
  const std::vector<TokenId> prefix = counted(12, 100);
  ask_often(prefix, 3);
  EXPECT_EQ(hot().num_found(), 0u);
  ask_often(prefix, 3);
  ASSERT_EQ(hot().num_found(), 1u);
  EXPECT_EQ(pinned()[0].tokens, prefix);
  EXPECT_EQ(pinned()[0].source, HotSource::kFound);
  flood();
  EXPECT_EQ(num_cached(prefix), 12u);
}

TEST_F(HotPrefixesTest, ShortOnesAreNotWorthIt) {
  ask_often(counted(4, 100), 20);
  EXPECT_EQ(hot().num_found(), 0u);
}

TEST_F(HotPrefixesTest, SaltedOnesAreNeverFound) {
  ask_often(counted(12, 100), 20, {.high = 0, .low = 7});
  EXPECT_EQ(hot().num_found(), 0u);
  EXPECT_EQ(engine_->scheduler().prefix_index().num_pinned(), 0u);
}

TEST_F(HotPrefixesTest, WhatCoolsIsLetGo) {
  const std::vector<TokenId> prefix = counted(12, 100);
  ask_often(prefix, 8);
  ASSERT_EQ(hot().num_found(), 1u);
  for (int minute = 1; minute <= 4; ++minute) {
    clock_.advance(std::chrono::seconds(60));
    ask(counted(3, 1));
    EXPECT_EQ(hot().num_found(), minute < 4 ? 1u : 0u);  // 8 requests: 4, 2, 1, none
  }
  flood();
  EXPECT_EQ(num_cached(prefix), 0u);
}

TEST_F(HotPrefixesTest, WhatStaysWarmStays) {
  const std::vector<TokenId> prefix = counted(12, 100);
  ask_often(prefix, 8);
  for (int minute = 0; minute < 10; ++minute) {
    ask_often(prefix, 4);
    clock_.advance(std::chrono::seconds(60));
  }
  EXPECT_EQ(hot().num_found(), 1u);
}

TEST_F(HotPrefixesTest, TheHotterTakesThePlaceOfTheCooler) {
  const std::vector<TokenId> cool = counted(16, 100);
  const std::vector<TokenId> warm = counted(16, 200);
  ask_often(cool, 8);
  ASSERT_EQ(pinned().at(0).tokens, cool);
  ask_often(warm, 7);
  EXPECT_EQ(pinned().at(0).tokens, cool);  // six blocks hold one of them
  ask_often(warm, 3);
  ASSERT_EQ(pinned().size(), 1u);
  EXPECT_EQ(pinned()[0].tokens, warm);
}

TEST_F(HotPrefixesTest, ALongerOneReplacesItsBeginning) {
  const std::vector<TokenId> shorter = counted(8, 100);
  const std::vector<TokenId> longer = counted(16, 100);
  ask_often(shorter, 8);
  ASSERT_EQ(pinned().at(0).tokens, shorter);
  ask_often(longer, 8);
  ASSERT_EQ(pinned().size(), 1u);
  EXPECT_EQ(pinned()[0].tokens, longer);
}

TEST_F(HotPrefixesTest, WhatIsAskedForTakesThePlaceOfWhatWasFound) {
  ask_often(counted(16, 100), 8);
  ASSERT_EQ(hot().num_found(), 1u);
  EXPECT_EQ(end(MUST(engine_->pin(counted(32, 300)))).reason, FinishReason::kLength);
  EXPECT_EQ(hot().num_found(), 0u);
  EXPECT_EQ(hot().num_asked(), 1u);
}

TEST_F(HotPrefixesTest, RestoredOnesAreThereWithoutAStep) {
  const std::vector<TokenId> prefix = counted(12, 100);
  ask(counted(4, 100));  // its first block is there already
  std::vector<std::size_t> filled;
  const auto fill = [&](std::size_t at, BlockId) -> Status {
    filled.push_back(at);
    return Ok{};
  };
  EXPECT_EQ(MUST(engine_->restore(prefix, HotSource::kAsked, fill)), 2u);
  EXPECT_EQ(filled, (std::vector<std::size_t>{1, 2}));
  flood();
  EXPECT_EQ(num_cached(prefix), 12u);
}

TEST_F(HotPrefixesTest, WhatCannotBeRestoredLeavesNothingPinned) {
  const auto fill = [](std::size_t at, BlockId) -> Status {
    if (at == 1) return Error{ErrorCode::kCorruptData, "damaged"};
    return Ok{};
  };
  EXPECT_EQ(engine_->restore(counted(12, 100), HotSource::kAsked, fill).error().message, "damaged");
  EXPECT_EQ(engine_->restore(counted(40, 100), HotSource::kAsked, fill).error().code,
            ErrorCode::kTooLarge);
  EXPECT_EQ(engine_->scheduler().prefix_index().num_pinned(), 0u);
  flood();
  EXPECT_EQ(num_cached(counted(12, 100)), 0u);
}

TEST_F(HotPrefixesTest, NothingIsLetGoWhileItIsVisited) {
  ask_often(counted(12, 100), 8);
  const Status status = engine_->visit_hot([&](std::span<const HotPrefix> prefixes) -> Status {
    EXPECT_EQ(prefixes.size(), 1u);
    clock_.advance(std::chrono::hours(10));
    ask(counted(3, 1));
    flood();
    EXPECT_TRUE(engine_->scheduler().prefix_index().is_pinned(prefixes[0].blocks.back()));
    return Error{ErrorCode::kUnavailable, "disk full"};
  });
  EXPECT_EQ(status.error().message, "disk full");
  clock_.advance(std::chrono::hours(10));
  ask(counted(3, 1));
  EXPECT_EQ(hot().num_found(), 0u);
}

TEST_F(HotPrefixesTest, WithoutPrefixReuseThereIsNothingToPin) {
  make(kHot, PrefixReuse::kOff);
  const Finish finish = end(MUST(engine_->pin(counted(12, 100))));
  ASSERT_EQ(finish.reason, FinishReason::kError);
  EXPECT_EQ(finish.error->message, "hot prompts need prefix reuse, which is off");
  ask_often(counted(12, 100), 20);
  EXPECT_EQ(hot().num_found(), 0u);
}

TEST_F(HotPrefixesTest, TheSameRequestsGiveTheSamePins) {
  std::vector<std::vector<TokenId>> first;
  for (int life = 0; life < 2; ++life) {
    clock_ = ManualClock();
    make(kHot);
    random_ = Random(3);
    std::vector<std::vector<TokenId>> pins;
    for (int i = 0; i < 300; ++i) {
      clock_.advance(std::chrono::seconds(1));
      const auto kind = static_cast<TokenId>(random_.below(6) * random_.below(2));
      ask_often(counted(8 + 4 * (kind % 3), 100 * kind), 1);
      for (const HotPrefix& prefix : pinned()) pins.push_back(prefix.tokens);
    }
    EXPECT_GT(pins.size(), 100u);
    if (life == 0) first = pins;
    EXPECT_EQ(pins, first);
  }
}

TEST(HotPrefixOptions, NamesWhatIsWrong) {
  const auto refusal = [](const HotPrefixOptions& options) {
    return check_hot_options(options).error().message;
  };
  EXPECT_EQ(refusal({.pinned_blocks_max = 1, .found_blocks_max = 2}),
            "found_blocks_max is 2, expected at most pinned_blocks_max of 1");
  EXPECT_EQ(refusal({.requests_min = 1}), "requests_min is 1, expected at least 2");
  EXPECT_EQ(refusal({.half_life = Duration{0}}), "half_life is 0 or less, expected more");
}

}  // namespace
}  // namespace millrace
