// Engine and TokenStream: exactly one end per request, on a thread and by hand, whatever happens.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "base/random.h"

namespace millrace {
namespace {

constexpr std::size_t kVocabulary = 100;

// The next token is the sum of all so far; can fail or dawdle on command.
class SumRunner final : public ModelRunner {
 public:
  Status run(const StepPlan& plan, StepResult& result) override {
    ++num_steps;
    if (fails_at_step == num_steps || (stays_failed && num_steps > fails_at_step)) {
      return Error{ErrorCode::kUnavailable, "the device is gone"};
    }
    for (const PlannedChunk& chunk : plan.chunks) {
      const auto& tokens = chunk.sequence->tokens;
      if (tokens.front() == kPoisonPrompt && tokens.size() > 3) {
        return Error{ErrorCode::kUnavailable, "the device chokes"};
      }
    }
    result.elapsed = step_time;
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (!plan.chunks[i].samples) continue;
      const auto& tokens = plan.chunks[i].sequence->tokens;
      const bool is_bad = tokens.front() == kBadPrompt && tokens.size() > 3;
      result.samples[i] = {
          .outcome = is_bad ? SampleOutcome::kBadLogits : SampleOutcome::kToken,
          .token = std::accumulate(tokens.begin(), tokens.end(), 0u) % TokenId{kVocabulary},
      };
    }
    return Ok{};
  }

  static constexpr TokenId kBadPrompt = 99;
  static constexpr TokenId kPoisonPrompt = 98;
  std::atomic<std::size_t> num_steps{0};
  std::size_t fails_at_step = 0;
  bool stays_failed = false;
  Duration step_time{0};
};

std::vector<TokenId> sums(std::vector<TokenId> tokens, std::size_t count) {
  std::vector<TokenId> generated;
  for (std::size_t i = 0; i < count; ++i) {
    tokens.push_back(std::accumulate(tokens.begin(), tokens.end(), 0u) % TokenId{kVocabulary});
    generated.push_back(tokens.back());
  }
  return generated;
}

Request make_request(std::vector<TokenId> prompt, std::size_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  return request;
}

std::vector<TokenId> take_all(TokenStream& stream) {
  std::vector<TokenId> tokens;
  while (const auto token = stream.pop()) tokens.push_back(token->token);
  return tokens;
}

class EngineTest : public ::testing::TestWithParam<StepLoop> {
 protected:
  void make(const SchedulerOptions& scheduler = {.block_tokens = 4},
            std::uint32_t num_blocks = 64) {
    engine_.reset();
    pool_ = std::make_unique<BlockPool>(num_blocks);
    EngineOptions options;
    options.scheduler = scheduler;
    options.scheduler.loop = GetParam();
    options.vocabulary = kVocabulary;
    options.context_tokens = 128;
    engine_ = MUST(Engine::create(options, *pool_, runner_, clock_));
  }
  void TearDown() override {
    engine_.reset();
    if (pool_) {
      EXPECT_EQ(pool_->num_free(), pool_->num_blocks());
    }
  }

  // Steps that were begun when so many turns have been taken have then been applied.
  void take_turns(std::size_t num_turns) {
    for (std::size_t i = 0; i < num_turns; ++i) engine_->step();
    if (GetParam() == StepLoop::kOverlapped) engine_->step();
  }

  SumRunner runner_;
  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(EngineTest, RunsManyRequestsOnItsThread) {
  make();
  engine_->start();
  std::vector<TokenStream> streams;
  for (TokenId i = 0; i < 50; ++i) {
    streams.push_back(MUST(engine_->submit(make_request({i, 1}, 1 + i % 20))));
  }
  for (TokenId i = 0; i < 50; ++i) {
    EXPECT_EQ(take_all(streams[i]), sums({i, 1}, 1 + i % 20));
    const std::optional<Finish> finish = streams[i].finished();
    ASSERT_TRUE(finish.has_value());
    EXPECT_EQ(finish->reason, FinishReason::kLength);
    EXPECT_EQ(finish->num_prompt, 2u);
    EXPECT_EQ(finish->num_generated, 1u + i % 20);
  }
  engine_->shutdown(Shutdown::kDrain);
}

struct RecordingListener final : StreamListener {
  void streams_changed(std::span<const std::uint64_t> watches) override {
    batches.emplace_back(watches.begin(), watches.end());
  }
  std::vector<std::vector<std::uint64_t>> batches;
};

TEST_P(EngineTest, ListenerIsToldOncePerStepOfAllWatchedStreams) {
  RecordingListener listener;
  pool_ = std::make_unique<BlockPool>(64);
  EngineOptions options;
  options.scheduler.block_tokens = 4;
  options.scheduler.loop = GetParam();
  options.vocabulary = kVocabulary;
  options.context_tokens = 128;
  options.listener = &listener;
  engine_ = MUST(Engine::create(options, *pool_, runner_, clock_));
  Request watched = make_request({1, 2}, 2);
  watched.watch = 7;
  Request other = make_request({3}, 1);
  other.watch = 8;
  TokenStream first = MUST(engine_->submit(watched));
  TokenStream second = MUST(engine_->submit(other));
  TokenStream unwatched = MUST(engine_->submit(make_request({4}, 3)));
  while (engine_->step()) {
  }
  // A token each, and the end of the second; a token and the end of the first. The third step has
  // nothing that anybody watches.
  EXPECT_EQ(listener.batches, (std::vector<std::vector<std::uint64_t>>{{7, 8, 8}, {7, 7}}));
  EXPECT_EQ(take_all(first).size(), 2u);
  EXPECT_TRUE(first.finished().has_value());
  EXPECT_EQ(take_all(unwatched).size(), 3u);
}

TEST_P(EngineTest, ListenerIsToldOfRequestsThatNeverRan) {
  RecordingListener listener;
  pool_ = std::make_unique<BlockPool>(64);
  EngineOptions options;
  options.scheduler.block_tokens = 4;
  options.scheduler.loop = GetParam();
  options.vocabulary = kVocabulary;
  options.context_tokens = 128;
  options.listener = &listener;
  engine_ = MUST(Engine::create(options, *pool_, runner_, clock_));
  Request request = make_request({1, 2}, 2);
  request.watch = 5;
  TokenStream stream = MUST(engine_->submit(request));
  stream.cancel();
  while (engine_->step()) {
  }
  EXPECT_EQ(listener.batches, (std::vector<std::vector<std::uint64_t>>{{5}}));
  EXPECT_EQ(stream.finished().value().reason, FinishReason::kCancelled);
}

TEST_P(EngineTest, StopTokenEndsTheStreamAndIsNotInIt) {
  make();
  Request request = make_request({1, 2}, 50);  // 3, 6, 12, 24, …
  request.stop_ids = {90, 12};
  TokenStream stream = MUST(engine_->submit(request));
  while (engine_->step()) {
  }
  EXPECT_EQ(take_all(stream), (std::vector<TokenId>{3, 6}));
  const Finish finish = stream.finished().value();
  EXPECT_EQ(finish.reason, FinishReason::kStop);
  EXPECT_EQ(finish.stop_token, TokenId{12});
  EXPECT_EQ(finish.num_generated, 3u);
}

TEST_P(EngineTest, FinishIsToldAfterTheLastToken) {
  make();
  TokenStream stream = MUST(engine_->submit(make_request({1}, 2)));
  while (engine_->step()) {
  }
  EXPECT_TRUE(stream.has_ended());
  EXPECT_FALSE(stream.finished().has_value());
  EXPECT_TRUE(stream.pop_for(std::chrono::seconds(1)).has_value());
  EXPECT_TRUE(stream.try_pop().has_value());
  EXPECT_TRUE(stream.finished().has_value());
  EXPECT_FALSE(stream.try_pop().has_value());
}

TEST_P(EngineTest, AReturningConversationFindsItsTokensAndIsToldHowMany) {
  make();
  TokenStream first = MUST(engine_->submit(make_request({1, 2, 3, 4, 5, 6, 7, 8, 9}, 4)));
  EXPECT_EQ(first.num_cached(), std::nullopt);  // It has not run.
  while (engine_->step()) {
  }
  EXPECT_EQ(first.num_cached(), std::size_t{0});
  std::vector<TokenId> conversation{1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (const TokenId token : take_all(first)) conversation.push_back(token);
  conversation.insert(conversation.end(), {50, 51});
  TokenStream second = MUST(engine_->submit(make_request(conversation, 4)));
  ASSERT_TRUE(engine_->step());
  EXPECT_EQ(second.num_cached(), std::size_t{12});  // generated ones too, in whole blocks
  while (engine_->step()) {
  }
  take_all(second);
  EXPECT_EQ(second.finished()->num_cached, 12u);
}

TEST_P(EngineTest, WaitingForATokenHasAnEnd) {
  make();
  TokenStream stream = MUST(engine_->submit(make_request({1}, 2)));
  EXPECT_FALSE(stream.pop_for(std::chrono::milliseconds(5)).has_value());
  EXPECT_FALSE(stream.has_ended());
}

TEST_P(EngineTest, CancellationFreesEverythingAtTheNextStep) {
  make();
  TokenStream cancelled = MUST(engine_->submit(make_request({1, 2, 3}, 100)));
  std::optional<TokenStream> dropped = MUST(engine_->submit(make_request({4, 5, 6}, 100)));
  TokenStream unread = MUST(engine_->submit(make_request({7}, 100)));
  unread.cancel();  // before the engine has seen it
  take_turns(10);
  EXPECT_GT(pool_->num_used(), 0u);
  cancelled.cancel();
  cancelled.cancel();
  dropped.reset();
  engine_->step();
  // What is left is a cache: nobody holds it.
  EXPECT_EQ(pool_->num_used(), engine_->scheduler().prefix_index().num_idle());
  EXPECT_EQ(take_all(cancelled), sums({1, 2, 3}, 10));
  EXPECT_EQ(cancelled.finished()->reason, FinishReason::kCancelled);
  EXPECT_EQ(unread.finished()->reason, FinishReason::kCancelled);
  EXPECT_EQ(unread.finished()->num_generated, 0u);
  EXPECT_FALSE(engine_->step());
}

TEST_P(EngineTest, DeadlineEndsARequestBeforeItCostsAStep) {
  make();
  Request late = make_request({1}, 50);
  late.deadline = clock_.now();
  Request soon = make_request({2}, 50);
  soon.deadline = clock_.now() + std::chrono::milliseconds(10);
  TokenStream late_stream = MUST(engine_->submit(late));
  TokenStream soon_stream = MUST(engine_->submit(soon));
  engine_->step();
  EXPECT_EQ(late_stream.finished()->reason, FinishReason::kDeadline);
  EXPECT_EQ(late_stream.finished()->num_generated, 0u);
  if (GetParam() == StepLoop::kOverlapped) engine_->step();
  clock_.advance(std::chrono::milliseconds(10));
  engine_->step();
  EXPECT_EQ(take_all(soon_stream).size(), 1u);
  EXPECT_EQ(soon_stream.finished()->reason, FinishReason::kDeadline);
}

TEST_P(EngineTest, AStepThatFailsOnceIsRunAgainInParts) {
  make({.num_sequences_max = 3, .block_tokens = 4});
  runner_.fails_at_step = 3;
  std::vector<TokenStream> streams;
  for (TokenId i = 1; i <= 4; ++i) {
    streams.push_back(MUST(engine_->submit(make_request({i}, 9))));
  }
  while (engine_->step()) {
  }
  for (TokenId i = 1; i <= 4; ++i) EXPECT_EQ(take_all(streams[i - 1]), sums({i}, 9));
  EXPECT_EQ(engine_->stats().num_failed_steps, 1u);
  EXPECT_EQ(engine_->stats().num_step_retries,
            GetParam() == StepLoop::kOverlapped ? 3u : 2u);  // halves, and the step behind it
}

TEST_P(EngineTest, WhoMakesStepsFailEndsAlone) {
  make({.block_tokens = 4});
  std::vector<TokenStream> streams;
  for (TokenId i = 0; i < 20; ++i) {
    const TokenId first = i == 7 || i == 13 ? SumRunner::kPoisonPrompt : i;
    streams.push_back(MUST(engine_->submit(make_request({first, i}, 9))));
  }
  while (engine_->step()) {
  }
  for (TokenId i = 0; i < 20; ++i) {
    if (i == 7 || i == 13) {
      EXPECT_EQ(take_all(streams[i]).size(), 2u);
      EXPECT_EQ(streams[i].finished()->reason, FinishReason::kError);
      EXPECT_EQ(streams[i].finished()->error->message, "the device chokes");
    } else {
      EXPECT_EQ(take_all(streams[i]), sums({i, i}, 9));
    }
  }
  EXPECT_EQ(engine_->stats().num_failed_steps, 1u);
}

TEST_P(EngineTest, ADeviceThatIsGoneEndsEverybodyInBoundedTime) {
  make({.num_sequences_max = 32, .block_tokens = 4}, 256);
  runner_.fails_at_step = 3;
  runner_.stays_failed = true;
  std::vector<TokenStream> streams;
  for (TokenId i = 0; i < 32; ++i) {
    streams.push_back(MUST(engine_->submit(make_request({i}, 9))));
  }
  while (engine_->step()) {
  }
  for (TokenStream& stream : streams) {
    EXPECT_EQ(take_all(stream).size(), 2u);
    EXPECT_EQ(stream.finished()->reason, FinishReason::kError);
    EXPECT_EQ(stream.finished()->error->message, "the device is gone");
  }
  EXPECT_LE(runner_.num_steps, 3u + 48u + 1u);  // 8 (log2 32 + 1) parts
}

TEST_P(EngineTest, BadLogitsEndTheirSequenceAlone) {
  make();
  TokenStream bad = MUST(engine_->submit(make_request({SumRunner::kBadPrompt}, 9)));
  TokenStream good = MUST(engine_->submit(make_request({3}, 9)));
  while (engine_->step()) {
  }
  EXPECT_EQ(take_all(bad).size(), 3u);
  EXPECT_EQ(bad.finished()->reason, FinishReason::kError);
  EXPECT_EQ(bad.finished()->error->message,
            "the model gave logits that are not finite after 4 tokens");
  EXPECT_EQ(take_all(good), sums({3}, 9));
}

TEST_P(EngineTest, RefusesWhatCanNeverRunWithBothNumbers) {
  make({.block_tokens = 4}, 8);
  const auto message = [&](const Request& request) {
    const auto stream = engine_->submit(request);
    return stream.ok() ? std::string() : stream.error().message;
  };
  EXPECT_EQ(message(make_request({}, 1)), "prompt has no tokens, expected at least 1");
  EXPECT_EQ(message(make_request({1}, 0)), "max_tokens is 0, expected at least 1");
  EXPECT_EQ(message(make_request(std::vector<TokenId>(129, 1), 1)),
            "prompt of 129 tokens exceeds context of 128");
  EXPECT_EQ(message(make_request(std::vector<TokenId>(100, 1), 29)),
            "prompt of 100 tokens exceeds KV cache of 32");
  EXPECT_EQ(message(make_request(std::vector<TokenId>(30, 1), 4)),
            "prompt of 30 tokens and 4 to generate exceed KV cache of 32");
  EXPECT_EQ(message(make_request({1}, 128)),
            "prompt of 1 tokens and 128 to generate exceed context of 128");
  EXPECT_EQ(message(make_request({100}, 1)), "prompt has token 100, the vocabulary has 100");
  Request stops = make_request({1}, 1);
  stops.stop_ids = {100};
  EXPECT_EQ(message(stops), "stop_ids has token 100, the vocabulary has 100");
  EXPECT_EQ(message(make_request(std::vector<TokenId>(30, 1), 3)), "");
}

TEST_P(EngineTest, WithoutMaxTokensTheContextAndTheCacheAreTheLimit) {
  make({.block_tokens = 4}, 8);
  Request request = make_request({1, 2}, 1);
  request.max_tokens.reset();
  TokenStream stream = MUST(engine_->submit(request));
  while (engine_->step()) {
  }
  EXPECT_EQ(take_all(stream).size(), 31u);  // 32 slots; the last token needs none
  EXPECT_EQ(stream.finished()->reason, FinishReason::kLength);
}

TEST_P(EngineTest, RefusesOneRequestTooMany) {
  make({.num_requests_max = 2, .block_tokens = 4});
  TokenStream first = MUST(engine_->submit(make_request({1}, 2)));
  TokenStream second = MUST(engine_->submit(make_request({1}, 5)));
  const auto third = engine_->submit(make_request({1}, 1));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  take_turns(2);  // the first has ended
  EXPECT_TRUE(engine_->submit(make_request({1}, 1)).ok());
}

TEST_P(EngineTest, ChoicesAreAllOrNone) {
  make({.num_requests_max = 3, .block_tokens = 4});
  TokenStream first = MUST(engine_->submit(make_request({1}, 5)));
  EXPECT_EQ(engine_->submit_choices(make_request({1}, 1), 3).error().code,
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(engine_->submit_choices(make_request({1}, 1), 4).error().message,
            "4 choices, at most 3 may wait");
  EXPECT_EQ(engine_->submit_choices(make_request({1}, 1), 0).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine_->num_live(), 1u);
  EXPECT_EQ(engine_->admission().num_requests({}), 1u);
  std::vector<TokenStream> choices = MUST(engine_->submit_choices(make_request({1, 2}, 3), 2));
  EXPECT_EQ(choices.size(), 2u);
  EXPECT_NE(choices[0].id(), choices[1].id());
  while (engine_->step()) {
  }
  for (TokenStream& choice : choices) EXPECT_EQ(take_all(choice), sums({1, 2}, 3));
}

TEST_P(EngineTest, DrainFinishesWhatWasAccepted) {
  make();
  engine_->start();
  std::vector<TokenStream> streams;
  for (TokenId i = 0; i < 20; ++i) {
    streams.push_back(MUST(engine_->submit(make_request({i}, 30))));
  }
  engine_->shutdown(Shutdown::kDrain);
  EXPECT_EQ(engine_->submit(make_request({1}, 1)).error().code, ErrorCode::kUnavailable);
  for (TokenId i = 0; i < 20; ++i) EXPECT_EQ(take_all(streams[i]), sums({i}, 30));
}

TEST_P(EngineTest, CancellingShutdownEndsEveryStream) {
  for (const bool has_thread : {true, false}) {
    make();
    if (has_thread) engine_->start();
    std::vector<TokenStream> streams;
    for (TokenId i = 0; i < 100; ++i) {
      streams.push_back(MUST(engine_->submit(make_request({i}, 120))));
    }
    engine_.reset();
    for (TokenStream& stream : streams) {
      take_all(stream);
      ASSERT_TRUE(stream.finished().has_value());
    }
  }
}

// Many clients at once, some cancelling, some dropping, some slow: meant for the thread sanitizer.
TEST_P(EngineTest, ClientsOnManyThreads) {
  make({.num_requests_max = 64,
        .num_sequences_max = 4,
        .step_tokens_max = 16,
        .chunk_tokens_max = 8,
        .block_tokens = 4},
       24);
  engine_->start();
  std::atomic<int> num_right{0};
  std::atomic<int> num_wrong{0};
  std::vector<std::thread> clients;
  for (TokenId id = 0; id < 4; ++id) {
    clients.emplace_back([&, id] {
      Random random(id);
      for (int i = 0; i < 60; ++i) {
        const std::vector<TokenId> prompt(random.between(1, 20), id);
        const std::size_t max_tokens = random.between(1, 30);
        auto submitted = engine_->submit(make_request(prompt, max_tokens));
        if (!submitted.ok()) continue;
        TokenStream stream = std::move(submitted).value();
        if (random.chance(0.2)) continue;  // dropped
        if (random.chance(0.2)) {
          static_cast<void>(stream.pop());
          stream.cancel();
          take_all(stream);
          const FinishReason reason = stream.finished()->reason;
          if (reason != FinishReason::kCancelled && reason != FinishReason::kLength) ++num_wrong;
          continue;
        }
        const bool is_right = take_all(stream) == sums(prompt, max_tokens);
        ++(is_right ? num_right : num_wrong);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  engine_->shutdown(Shutdown::kDrain);
  EXPECT_EQ(num_wrong, 0);
  EXPECT_GT(num_right, 50);
}

TEST_P(EngineTest, StatsAddUp) {
  make();
  runner_.step_time = std::chrono::milliseconds(2);
  TokenStream first = MUST(engine_->submit(make_request({1, 2, 3}, 4)));
  TokenStream second = MUST(engine_->submit(make_request({4}, 2)));
  take_turns(1);
  EXPECT_EQ(engine_->stats().num_running, 2u);
  EXPECT_EQ(engine_->stats().classes[0].num_running, 2u);
  EXPECT_EQ(engine_->stats().num_blocks_held(), 2u);
  EXPECT_EQ(engine_->stats().num_blocks, 64u);
  while (engine_->step()) {
  }
  const EngineStats stats = engine_->stats();
  EXPECT_EQ(stats.num_steps, 4u);
  EXPECT_EQ(stats.num_tokens, 4u + 4u);  // prompts, and what was generated but the last of each
  EXPECT_EQ(stats.num_output_tokens, 6u);
  EXPECT_EQ(stats.num_live, 0u);
  EXPECT_EQ(stats.num_blocks_held(), 0u);
  EXPECT_DOUBLE_EQ(stats.busy_seconds, 0.008);
  EXPECT_EQ(stats.step_seconds.total(), 4u);
  EXPECT_DOUBLE_EQ(stats.step_seconds.sum, 0.008);
  EXPECT_EQ(stats.step_seconds.counts[4], 4u) << "2 ms is above 1 ms and up to 2.5 ms";
  EXPECT_EQ(stats.step_tokens.total(), 4u);
  EXPECT_DOUBLE_EQ(stats.step_tokens.sum, 8);
  EXPECT_EQ(stats.times[0].token_gap_seconds.total(), 3u + 1u);
  EXPECT_GT(stats.cost_coefficients[0], 0);
}

TEST_P(EngineTest, StatsTellHowLongRequestsWaitedAndWhyTheyWereRefused) {
  SchedulerOptions options{.num_requests_max = 3, .num_sequences_max = 1, .block_tokens = 4};
  options.step_tokens_max = 8;
  options.classes[0].queued_requests_max = 2;
  make(options);
  EXPECT_EQ(engine_->stats().num_blocks_free, 64u) << "before the first step, too";
  EXPECT_EQ(engine_->stats().block_tokens, 4u);
  TokenStream first = MUST(engine_->submit(make_request({1, 2, 3}, 8)));
  TokenStream second = MUST(engine_->submit(make_request({4}, 2)));
  EXPECT_FALSE(engine_->submit(make_request({5}, 2)).ok());
  EXPECT_EQ(engine_->stats().doors[0].num_requests, 2u);
  EXPECT_EQ(engine_->stats().doors[0].num_tokens, 4u);
  take_turns(1);
  clock_.advance(std::chrono::seconds(2));
  TokenStream third = MUST(engine_->submit(make_request({5}, 2)));
  EXPECT_FALSE(engine_->submit(make_request({6}, 2)).ok());
  while (engine_->step()) {
  }
  const EngineStats stats = engine_->stats();
  const auto refused = [&](RefusalReason why) {
    return stats.doors[0].refusals[static_cast<std::size_t>(why)];
  };
  EXPECT_EQ(refused(RefusalReason::kRequests), 1u);
  EXPECT_EQ(refused(RefusalReason::kEngineFull), 1u);
  EXPECT_EQ(refused(RefusalReason::kDeadline), 0u);
  EXPECT_EQ(stats.times[0].queue_seconds.total(), 3u);
  EXPECT_DOUBLE_EQ(stats.times[0].queue_seconds.sum, 2.0) << "the second waited for the first";
  take_all(second);
  EXPECT_EQ(second.finished()->waited, std::chrono::seconds(2));
  EXPECT_EQ(stats.classes[0].counts.num_asked_tokens, 3u) << "one token is never reused";
}

TEST_P(EngineTest, ClassesChangeWhileItRuns) {
  make();
  TokenStream first = MUST(engine_->submit(make_request({1, 2, 3}, 8)));
  take_turns(1);
  EXPECT_DOUBLE_EQ(engine_->stats().classes[0].share_part, 0.7);
  std::vector<ServiceClass> classes = default_service_classes();
  classes[0].share = 1;
  classes[1].share = 3;
  classes[1].queued_requests_max = 1;
  engine_->set_classes(classes);
  while (engine_->step()) {
  }
  EXPECT_EQ(take_all(first), sums({1, 2, 3}, 8));
  EXPECT_DOUBLE_EQ(engine_->stats().classes[0].share_part, 0.25);
  Request late = make_request({5}, 2);
  late.service_class = ClassId{1};
  TokenStream second = MUST(engine_->submit(late));
  EXPECT_EQ(engine_->submit(late).error().code, ErrorCode::kResourceExhausted);
  while (engine_->step()) {
  }
  EXPECT_EQ(take_all(second), sums({5}, 2));
}

TEST_P(EngineTest, AnIdleEngineSeesWhatWasLeftOver) {
  make();
  TokenStream stream = MUST(engine_->submit(make_request({1, 2, 3}, 4)));
  while (engine_->step()) {
  }
  EXPECT_FALSE(engine_->scheduler().has_leftovers());
  engine_->check_idle();
  EXPECT_EQ(engine_->stats().num_breaches, 0u);
  const BlockId leaked = *pool_->try_acquire();
  EXPECT_TRUE(engine_->scheduler().has_leftovers());
#ifdef NDEBUG
  engine_->check_idle();  // too soon
  EXPECT_EQ(engine_->stats().num_breaches, 0u);
  clock_.advance(Engine::kIdleCheckInterval);
  engine_->check_idle();
  EXPECT_EQ(engine_->stats().num_breaches, 1u);
#endif
  pool_->release(leaked);
}

TEST(EngineCreate, CapsInBytesBecomeBlocks) {
  BlockPool pool(64);
  SumRunner runner;
  const ManualClock clock;
  EngineOptions options{.vocabulary = kVocabulary, .context_tokens = 1000, .block_bytes = 1000};
  options.scheduler.block_tokens = 4;
  options.scheduler.classes[1].kv_bytes_max = 4500;
  const auto engine = MUST(Engine::create(options, pool, runner, clock));
  EXPECT_EQ(engine->request_limits(ClassId{0}).cache_tokens, 256u);
  EXPECT_EQ(engine->request_limits(ClassId{1}).cache_tokens, 16u);
  options.scheduler.classes[0].kv_part_max = 0.3;
  options.scheduler.classes[1].kv_part_max = 0.001;
  const auto in_parts = MUST(Engine::create(options, pool, runner, clock));
  EXPECT_EQ(in_parts->request_limits(ClassId{0}).cache_tokens, 19u * 4);
  EXPECT_EQ(in_parts->request_limits(ClassId{1}).cache_tokens, 4u) << "a block at least";
  options.scheduler.classes[1].kv_bytes_max = 999;
  EXPECT_EQ(Engine::create(options, pool, runner, clock).error().message,
            "class background: kv_bytes_max is 999, expected a block of the KV cache at least, "
            "1000 bytes");
  options.scheduler.classes[0].kv_part_max = 1.5;
  EXPECT_EQ(Engine::create(options, pool, runner, clock).error().message,
            "class interactive: kv_part_max is 1.500000, expected above 0 and at most 1");
}

// A step with classes that have a cap on threads runs on the most that one of them allows, and on
// all as soon as anybody else is in it.
TEST_P(EngineTest, StepsOfCappedClassesAskForFewThreads) {
  SchedulerOptions scheduler{.block_tokens = 4};
  scheduler.classes.push_back({.name = "third"});
  scheduler.classes[1].threads_max = 1;
  scheduler.classes[2].threads_max = 2;
  make(scheduler);
  const auto threads_of = [&](std::vector<std::uint32_t> classes) {
    std::vector<TokenStream> streams;
    for (const std::uint32_t index : classes) {
      Request request = make_request({1, 2, 3}, 4);
      request.service_class = ClassId{index};
      streams.push_back(MUST(engine_->submit(std::move(request))));
    }
    engine_->step();
    EXPECT_EQ(engine_->scheduler().last_plan().chunks.size(), classes.size());
    const auto threads = engine_->scheduler().last_plan().threads_max;
    while (engine_->step()) {
    }
    return threads;
  };
  EXPECT_EQ(threads_of({0}), std::nullopt);
  EXPECT_EQ(threads_of({1}), 1u);
  EXPECT_EQ(threads_of({1, 1}), 1u);
  EXPECT_EQ(threads_of({1, 2}), 2u);
  EXPECT_EQ(threads_of({2, 1}), 2u);
  EXPECT_EQ(threads_of({0, 1}), std::nullopt);
  EXPECT_EQ(threads_of({1, 0, 2}), std::nullopt);
}

TEST_P(EngineTest, StatsSayWhatWasDoneForWhom) {
  make();
  runner_.step_time = std::chrono::milliseconds(30);
  const std::vector<TokenId> prompt(9, 1);
  for (int round = 0; round < 2; ++round) {
    TokenStream first = MUST(engine_->submit(make_request(prompt, 3)));
    TokenStream second = MUST(engine_->submit(make_request({5}, 3)));
    clock_.advance(std::chrono::seconds(1));
    if (round == 1) second.cancel();
    while (engine_->step()) {
    }
  }
  const EngineStats stats = engine_->stats();
  const ClassStats& done = stats.classes[0];
  EXPECT_EQ(done.share_configured, 0.7);
  EXPECT_EQ(done.counts.num_responses, 3u);
  EXPECT_NEAR(done.counts.response_seconds, 3 * 1.03, 1e-9);
  EXPECT_EQ(done.counts.num_finished[static_cast<std::size_t>(FinishReason::kLength)], 3u);
  EXPECT_EQ(done.counts.num_finished[static_cast<std::size_t>(FinishReason::kCancelled)], 1u);
  EXPECT_EQ(done.counts.num_cached_tokens, 8u);
  EXPECT_EQ(done.counts.num_prompt_tokens, 9u + 1 + 1);
  EXPECT_EQ(stats.num_output_tokens, 9u);
  EXPECT_EQ(stats.num_parked, 0u);
  EXPECT_EQ(stats.num_evictions, 0u);
  EXPECT_NEAR(stats.thread_seconds, stats.busy_seconds, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineTest,
                         ::testing::Values(StepLoop::kSerial, StepLoop::kOverlapped),
                         [](const auto& loop) {
                           return loop.param == StepLoop::kSerial ? "Serial" : "Overlapped";
                         });

TEST(EngineCreate, NamesTheOptionThatIsWrong) {
  BlockPool pool(1);
  SumRunner runner;
  const ManualClock clock;
  EngineOptions options{.vocabulary = 10, .context_tokens = 10};
  EXPECT_TRUE(Engine::create(options, pool, runner, clock).ok());
  options.scheduler.step_tokens_max = options.scheduler.num_sequences_max - 1;
  EXPECT_EQ(Engine::create(options, pool, runner, clock).error().message,
            "step_tokens_max is 31, expected 32 to 1048576");
  options = {.vocabulary = 0, .context_tokens = 10};
  EXPECT_FALSE(Engine::create(options, pool, runner, clock).ok());
}

TEST(FinishReason, EveryOneHasAName) {
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
        FinishReason::kDeadline, FinishReason::kError}) {
    EXPECT_FALSE(finish_reason_name(reason).empty());
  }
}

}  // namespace
}  // namespace millrace
