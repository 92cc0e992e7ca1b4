// Arbiter and registry: shares of time across models, loading and retiring while others serve.
#include "engine/model_registry.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "base/random.h"

namespace millrace {
namespace {

constexpr std::array<double, 2> kParts = {0.7, 0.3};

ClassSet set_of(std::initializer_list<std::uint32_t> classes) {
  ClassSet set;
  for (const std::uint32_t i : classes) set.insert(ClassId{i});
  return set;
}

TEST(Arbiter, SplitsTimeByShareThoughStepsDiffer) {
  Arbiter arbiter(kParts);
  std::array<ArbiterLane, 2> lanes;
  lanes[0].live = set_of({0});
  lanes[1].live = set_of({1});
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t chosen = *arbiter.choose(lanes);
    const std::array<std::uint64_t, 2> work = {chosen == 0 ? 1u : 0u, chosen == 1 ? 1u : 0u};
    arbiter.charge(lanes, chosen, work, std::chrono::milliseconds(chosen == 0 ? 3 : 40));
  }
  const double first = seconds(arbiter.time_of(ClassId{0}));
  const double second = seconds(arbiter.time_of(ClassId{1}));
  EXPECT_NEAR(first / (first + second), 0.7, 0.001);
}

TEST(Arbiter, ModelsOfOneClassTakeTurns) {
  Arbiter arbiter(kParts);
  std::array<ArbiterLane, 3> lanes;
  for (ArbiterLane& lane : lanes) lane.live = set_of({0});
  std::array<int, 3> num_turns{};
  for (int i = 0; i < 300; ++i) {
    const std::size_t chosen = *arbiter.choose(lanes);
    ++num_turns[chosen];
    arbiter.charge(lanes, chosen, std::array<std::uint64_t, 2>{5, 0}, std::chrono::milliseconds(1));
  }
  EXPECT_EQ(num_turns, (std::array<int, 3>{100, 100, 100}));
}

TEST(Arbiter, AnIdleClassBanksNothingAndNobodyIsChosenWhenNothingIsLive) {
  Arbiter arbiter(kParts);
  std::array<ArbiterLane, 2> lanes;
  EXPECT_EQ(arbiter.choose(lanes), std::nullopt);
  lanes[1].live = set_of({1});
  for (int i = 0; i < 1000; ++i) {
    arbiter.charge(lanes, *arbiter.choose(lanes), std::array<std::uint64_t, 2>{0, 9},
                   std::chrono::milliseconds(10));
  }
  lanes[0].live = set_of({0});
  int num_first = 0;
  for (int i = 0; i < 100; ++i) {
    const std::size_t chosen = *arbiter.choose(lanes);
    if (chosen == 0) ++num_first;
    const std::array<std::uint64_t, 2> work = {chosen == 0 ? 1u : 0u, chosen == 1 ? 1u : 0u};
    arbiter.charge(lanes, chosen, work, std::chrono::milliseconds(10));
  }
  EXPECT_NEAR(num_first, 70, 1);
}

// Draws the same token for ever; a step takes `step_time` of the clock when there is one to turn.
class PlainRunner final : public ModelRunner {
 public:
  PlainRunner(ManualClock* clock, Duration step_time) : clock_(clock), step_time_(step_time) {}
  Status run(const StepPlan& plan, StepResult& result) override {
    if (clock_ != nullptr) clock_->advance(step_time_);
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (plan.chunks[i].samples) result.samples[i].outcome = SampleOutcome::kToken;
    }
    time_ += step_time_;
    return Ok{};
  }
  Duration time() const { return time_; }

 private:
  ManualClock* clock_;
  Duration step_time_;
  Duration time_{0};
};

class PlainModel final : public ServedModel {
 public:
  PlainModel(ManualClock* clock, Duration step_time) : runner_(clock, step_time) {}
  BlockPool& pool() override { return pool_; }
  PlainRunner& runner() override { return runner_; }
  EngineOptions engine_options() const override {
    EngineOptions options;
    options.vocabulary = 10;
    options.context_tokens = 4096;
    options.scheduler.hot.pinned_blocks_max = 4;
    return options;
  }
  // Brings back what it was told in its last life.
  void prepare(Engine& engine) override {
    const std::vector<TokenId> prefix(16, 7);
    const auto fill = [](std::size_t, BlockId) -> Status { return Ok{}; };
    EXPECT_EQ(MUST(engine.restore(prefix, HotSource::kAsked, fill)), 1u);
  }

 private:
  BlockPool pool_{1000};
  PlainRunner runner_;
};

// Names are "<letter><bytes>"; a name that begins with x fails.
class PlainLoader final : public ModelLoader {
 public:
  explicit PlainLoader(ManualClock* clock = nullptr) : clock_(clock) {}
  Result<std::uint64_t> num_bytes(const std::string& name) override {
    return std::uint64_t{std::stoull(name.substr(1))};
  }
  Result<std::unique_ptr<ServedModel>> load(const std::string& name) override {
    if (name[0] == 'x') return Error{ErrorCode::kCorruptData, "the file is damaged"};
    const auto step_time = std::chrono::milliseconds(name[0] == 'b' ? 30 : 10);
    auto model = std::make_unique<PlainModel>(clock_, step_time);
    runners[name] = &model->runner();
    return std::unique_ptr<ServedModel>(std::move(model));
  }
  std::map<std::string, PlainRunner*> runners;

 private:
  ManualClock* clock_;
};

Request plain_request(std::size_t max_tokens, std::uint32_t service_class = 0) {
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = max_tokens;
  request.service_class.index = service_class;
  return request;
}

std::string names_of(const ModelRegistry& registry) {
  std::string names;
  for (const ModelStatus& model : registry.models()) names += model.name + " ";
  return names;
}

TEST(ModelRegistry, SharesOfTimeHoldAcrossModels) {
  ManualClock clock;
  PlainLoader loader(&clock);
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 100}, loader, clock));
  ASSERT_TRUE(registry->load("a10").ok());
  ASSERT_TRUE(registry->load("b10").ok());
  auto first = MUST(registry->submit("a10", plain_request(4000, 0)));
  auto second = MUST(registry->submit("b10", plain_request(4000, 1)));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(registry->step());
  const double first_time = seconds(loader.runners["a10"]->time());
  const double second_time = seconds(loader.runners["b10"]->time());
  EXPECT_NEAR(first_time / (first_time + second_time), 0.7, 0.01);
}

TEST(ModelRegistry, ClassesChangeWhileModelsServe) {
  ManualClock clock;
  PlainLoader loader(&clock);
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 100}, loader, clock));
  ASSERT_TRUE(registry->load("a10").ok());
  ASSERT_TRUE(registry->load("b10").ok());
  auto first = MUST(registry->submit("a10", plain_request(4000, 0)));
  auto second = MUST(registry->submit("b10", plain_request(4000, 1)));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(registry->step());
  std::vector<ServiceClass> classes = registry->classes();
  std::swap(classes[0].share, classes[1].share);
  ASSERT_TRUE(registry->set_classes(classes).ok());
  const Duration first_before = loader.runners["a10"]->time();
  const Duration second_before = loader.runners["b10"]->time();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(registry->step());
  const double first_time = seconds(loader.runners["a10"]->time() - first_before);
  const double second_time = seconds(loader.runners["b10"]->time() - second_before);
  EXPECT_NEAR(first_time / (first_time + second_time), 0.3, 0.01);
  EXPECT_DOUBLE_EQ(registry->models()[0].stats.classes[0].share_part, 0.3);
  ASSERT_TRUE(registry->load("c10").ok());
  EXPECT_DOUBLE_EQ(registry->models()[2].stats.classes[0].share_part, 0.3);
  classes[0].share = -1;
  EXPECT_EQ(registry->set_classes(classes).error().code, ErrorCode::kInvalidArgument);
  classes = registry->classes();
  classes[0].name = "other";
  EXPECT_EQ(registry->set_classes(classes).error().message,
            "classes are added, renamed and dropped at the next start only");
}

TEST(ModelRegistry, WhatDoesNotFitMakesTheLeastUsedIdleModelGo) {
  const SystemClock clock;
  PlainLoader loader;
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 100}, loader, clock));
  ASSERT_TRUE(registry->load("a40").ok());
  ASSERT_TRUE(registry->load("b40").ok());
  { const auto used = MUST(registry->submit("a40", plain_request(1))); }
  while (registry->step()) {
  }
  ASSERT_TRUE(registry->load("c40").ok());
  EXPECT_EQ(names_of(*registry), "a40 c40 ");
  const auto busy = MUST(registry->submit("a40", plain_request(100)));
  const auto busy_too = MUST(registry->submit("c40", plain_request(100)));
  registry->step();
  const Status refused = registry->load("d40");
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().message,
            "model d40 needs 40 bytes, 20 of 100 are free and no idle model can go");
  EXPECT_EQ(registry->load("e101").error().message,
            "model e101 needs 101 bytes, 20 of 100 are free and no idle model can go");
  EXPECT_EQ(registry->load("a40").error().message, "model a40 is there already");
  EXPECT_TRUE(registry->load("f20").ok());
}

TEST(ModelRegistry, AModelThatFailsToLoadLeavesNothing) {
  const SystemClock clock;
  PlainLoader loader;
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 100}, loader, clock));
  EXPECT_EQ(registry->load("x90").error().message, "the file is damaged");
  EXPECT_TRUE(registry->models().empty());
  EXPECT_TRUE(registry->load("a90").ok());
}

TEST(ModelRegistry, ARetiredModelEndsWhatItAccepted) {
  const SystemClock clock;
  PlainLoader loader;
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 100}, loader, clock));
  ASSERT_TRUE(registry->load("a10").ok());
  auto streams = MUST(registry->submit("a10", plain_request(50), 2));
  ASSERT_TRUE(registry->retire("a10").ok());
  EXPECT_EQ(registry->submit("a10", plain_request(1)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry->retire("a10").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry->models().front().state, ModelState::kRetiring);
  while (registry->step()) {
  }
  EXPECT_TRUE(registry->models().empty());
  for (TokenStream& stream : streams) {
    int num_tokens = 0;
    while (stream.try_pop()) ++num_tokens;
    EXPECT_EQ(num_tokens, 50);
    EXPECT_EQ(stream.finished()->reason, FinishReason::kLength);
  }
}

// Clients of two models that stay, one that comes and goes; meant for the thread sanitizer.
TEST(ModelRegistry, HotPromptsOfAModelAreThereBeforeItServes) {
  const SystemClock clock;
  PlainLoader loader;
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 30}, loader, clock));
  ASSERT_TRUE(registry->load("a10").ok());
  registry->start();
  TokenStream pinned = MUST(registry->pin("a10", std::vector<TokenId>(35, 8)));
  while (pinned.pop()) {
  }
  for (const TokenId token : {7u, 8u}) {
    Request request;
    request.prompt.assign(40, token);
    request.max_tokens = 1;
    auto streams = MUST(registry->submit("a10", request));
    while (streams.front().pop()) {
    }
    EXPECT_EQ(streams.front().finished()->num_cached, token == 7 ? 16u : 32u);
  }
  std::size_t num_prefixes = 0;
  const auto look = [&](const Engine& engine) -> Status {
    return engine.visit_hot([&](std::span<const HotPrefix> prefixes) -> Status {
      num_prefixes = prefixes.size();
      return Ok{};
    });
  };
  EXPECT_TRUE(registry->with_engine("a10", look).ok());
  EXPECT_EQ(num_prefixes, 2u);
  EXPECT_EQ(registry->with_engine("b10", look).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry->pin("b10", {1}).error().code, ErrorCode::kNotFound);
  registry->shutdown(Shutdown::kDrain);
}

TEST(ModelRegistry, ServesWhileModelsComeAndGo) {
  const SystemClock clock;
  PlainLoader loader;
  const auto registry = MUST(ModelRegistry::create({.bytes_max = 30}, loader, clock));
  ASSERT_TRUE(registry->load("a10").ok());
  ASSERT_TRUE(registry->load("b10").ok());
  registry->start();
  std::atomic<int> num_ended{0};
  std::atomic<int> num_wrong{0};
  std::vector<std::thread> clients;
  for (const char* name : {"a10", "b10", "c10"}) {
    clients.emplace_back([&, name] {
      Random random(1);
      for (std::uint32_t i = 0; i < 100; ++i) {
        const std::size_t max_tokens = random.between(1, 20);
        auto streams = registry->submit(name, plain_request(max_tokens, i % 2));
        if (!streams.ok()) {
          if (name[0] != 'c') ++num_wrong;
          continue;
        }
        std::size_t num_tokens = 0;
        while (streams.value().front().pop()) ++num_tokens;
        ++(num_tokens == max_tokens ? num_ended : num_wrong);
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(registry->load("c10").ok());
    EXPECT_TRUE(registry->retire("c10").ok());
    while (registry->models().size() > 2) std::this_thread::yield();
  }
  for (std::thread& client : clients) client.join();
  registry->shutdown(Shutdown::kDrain);
  EXPECT_EQ(num_wrong, 0);
  EXPECT_GE(num_ended, 200);
  EXPECT_EQ(registry->load("d10").error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace millrace
