// After warm-up a step allocates nothing: operator new is counted on every thread while steps run.
// g++ takes the counting operators below, which end in malloc and free, for a mismatched pair.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "base/random.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "model/lora_adapter.h"
#include "sim/truth_runner.h"
#include "support/test_model.h"

namespace {
std::atomic<bool> g_counting{false};
std::atomic<std::size_t> g_num_allocations{0};

void* counted(std::size_t num_bytes, std::size_t alignment) {
  if (g_counting.load(std::memory_order_relaxed)) ++g_num_allocations;
  void* data = std::aligned_alloc(alignment, (num_bytes + alignment - 1) / alignment * alignment);
  if (data == nullptr) std::abort();
  return data;
}
}  // namespace

void* operator new(std::size_t num_bytes) {
  return counted(num_bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t num_bytes, std::align_val_t alignment) {
  return counted(num_bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t num_bytes) {
  return counted(num_bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
// std::stable_sort asks with this one and gives back with the plain delete.
void* operator new(std::size_t num_bytes, const std::nothrow_t&) noexcept {
  return counted(num_bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new[](std::size_t num_bytes, const std::nothrow_t&) noexcept {
  return counted(num_bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void operator delete(void* data) noexcept {
  std::free(data);
}
void operator delete[](void* data) noexcept {
  std::free(data);
}
void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}
void operator delete[](void* data, std::size_t) noexcept {
  std::free(data);
}
void operator delete(void* data, std::align_val_t) noexcept {
  std::free(data);
}
void operator delete(void* data, std::size_t, std::align_val_t) noexcept {
  std::free(data);
}

namespace millrace {
namespace {

Request make_request(Random& random, std::size_t vocabulary) {
  Request request;
  const std::size_t num_prompt = random.between(1, 30);
  // Half of them begin alike, so that a prefix becomes hot and cools again.
  if (random.chance(0.5)) request.prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (std::size_t i = 0; i < num_prompt; ++i) {
    request.prompt.push_back(static_cast<TokenId>(random.below(vocabulary)));
  }
  request.max_tokens = random.between(5, 40);
  request.min_tokens = 3;
  request.stop_ids = {static_cast<TokenId>(random.below(vocabulary))};
  request.sampling = {.temperature = random.chance(0.3) ? 0.0f : 1.2f,
                      .top_k = 40,
                      .top_p = 0.9f,
                      .min_p = 0.01f,
                      .repetition_penalty = 1.1f,
                      .presence_penalty = 0.1f,
                      .frequency_penalty = 0.1f,
                      .logit_bias = {{0, 1.0f}},
                      .top_logprobs = 5};
  if (random.chance(0.5)) request.sampling.top_k.reset();
  return request;
}

// Some with an adapter, some for a vector instead of tokens.
void adapt(Random& random, const std::vector<AdapterRef>& adapters, Request& request) {
  request.adapter = adapters[random.below(adapters.size())];
  if (!random.chance(0.4)) return;
  request.pooling = random.chance(0.5) ? Pooling::kMean : Pooling::kLast;
  request.max_tokens.reset();
  request.min_tokens = 0;
  request.stop_ids.clear();
}

// Clients come, cancel and leave between the steps; only the steps are counted.
std::size_t count_allocations(Engine& engine, std::size_t vocabulary,
                              const std::vector<AdapterRef>& adapters = {}) {
  constexpr int kWarmUpSteps = 50;
  constexpr int kCountedSteps = 100;
  Random random(7);
  std::vector<TokenStream> streams;
  std::size_t num_before = 0;
  for (int step = 0; step < kWarmUpSteps + kCountedSteps; ++step) {
    if (step == kWarmUpSteps) num_before = g_num_allocations;
    if (random.chance(0.5)) {
      Request request = make_request(random, vocabulary);
      if (!adapters.empty()) adapt(random, adapters, request);
      if (auto stream = engine.submit(std::move(request)); stream.ok()) {
        streams.push_back(std::move(stream).value());
      }
    }
    if (!streams.empty() && random.chance(0.1)) streams.erase(streams.begin());
    g_counting = true;
    engine.step();
    g_counting = false;
  }
  return g_num_allocations - num_before;
}

EngineOptions engine_options(std::size_t vocabulary, StepLoop loop) {
  EngineOptions options;
  options.scheduler = {.num_requests_max = 64,
                       .num_sequences_max = 6,
                       .step_tokens_max = 24,
                       .chunk_tokens_max = 16,
                       .block_tokens = 4,
                       .hot = {.pinned_blocks_max = 6,
                               .found_blocks_max = 6,
                               .found_tokens_min = 8,
                               .requests_min = 2,
                               .half_life = std::chrono::microseconds(100)},
                       .loop = loop};
  options.vocabulary = vocabulary;
  options.context_tokens = 100;
  return options;
}

TEST(EngineAlloc, CounterCounts) {
  const std::size_t before = g_num_allocations;
  g_counting = true;
  std::vector<int> values(100);
  g_counting = false;
  EXPECT_EQ(g_num_allocations - before, 1u);
}

class EngineAllocLoop : public ::testing::TestWithParam<StepLoop> {};

TEST_P(EngineAllocLoop, StepsOfTheSchedulerAllocateNothing) {
  constexpr std::size_t kVocabulary = 50;
  constexpr std::uint32_t kBlocks = 40;  // too few for six long sequences: preemption happens
  const EngineOptions options = engine_options(kVocabulary, GetParam());
  const SystemClock clock;
  BlockPool pool(kBlocks);
  TruthRunner runner({.seed = 1,
                      .num_blocks = kBlocks,
                      .block_tokens = options.scheduler.block_tokens,
                      .vocabulary = kVocabulary});
  const auto engine = MUST(Engine::create(options, pool, runner, clock));
  EXPECT_EQ(count_allocations(*engine, kVocabulary), 0u);
}

TEST_P(EngineAllocLoop, StepsOfARealDecoderAllocateNothing) {
  for (const char* family : {"llama3", "qwen3-moe"}) {
    auto model = MUST(TestModel::load(std::string(MILLRACE_GOLDEN) + "/models/" + family,
                                      {.num_threads = 1, .block_tokens = 4, .num_blocks = 40}));
    const EngineOptions options = engine_options(model->spec().vocabulary, GetParam());
    const SystemClock clock;
    BlockPool pool(model->kv_cache().num_blocks());
    const auto runner = MUST(DecoderRunner::create(model->decoder(), model->context(),
                                                   model->kv_cache(), options.scheduler));
    const auto engine = MUST(Engine::create(options, pool, *runner, clock));
    EXPECT_EQ(count_allocations(*engine, options.vocabulary), 0u) << family;
  }
}

TEST_P(EngineAllocLoop, StepsWithAdaptersAndPoolingAllocateNothing) {
  constexpr std::size_t kRankMax = 32;
  const std::string golden = MILLRACE_GOLDEN;
  auto model = MUST(TestModel::load(
      golden + "/models/llama3",
      {.num_threads = 1, .block_tokens = 4, .num_blocks = 40, .adapter_rank_max = kRankMax}));
  std::vector<AdapterRef> adapters = {nullptr};
  for (const char* name : {"llama-all", "llama-root"}) {
    adapters.push_back(MUST(LoraAdapter::load(golden + "/adapters/" + name, model->spec(), {},
                                              adapters.size())));  // ours
  }
  EngineOptions options = engine_options(model->spec().vocabulary, GetParam());
  options.pooled_width = model->spec().hidden;
  options.adapter_rank_max = kRankMax;
  const SystemClock clock;
  BlockPool pool(model->kv_cache().num_blocks());
  const auto runner = MUST(DecoderRunner::create(model->decoder(), model->context(),
                                                 model->kv_cache(), options.scheduler));
  const auto engine = MUST(Engine::create(options, pool, *runner, clock));
  EXPECT_EQ(count_allocations(*engine, options.vocabulary, adapters), 0u);
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineAllocLoop,
                         ::testing::Values(StepLoop::kSerial, StepLoop::kOverlapped),
                         [](const auto& loop) {
                           return loop.param == StepLoop::kSerial ? "Serial" : "Overlapped";
                         });

}  // namespace
}  // namespace millrace
