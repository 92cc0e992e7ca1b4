// Microseconds of a step without a model, at 1 to 4,096 sequences, and of sampling a row.
//
// The runner gives a fixed token at once, so what is left is planning, applying and emitting. The
// sampler's rate is set against a plain read of the same row in the same run.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace {
std::atomic<std::size_t> g_num_allocations{0};
}  // namespace

// Not inlined: g++ 12 would see free() meet a new expression and take it for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t num_bytes) {
  ++g_num_allocations;
  void* data = std::malloc(num_bytes);
  if (data == nullptr) std::abort();
  return data;
}
[[gnu::noinline]] void operator delete(void* data) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}

namespace millrace {
namespace {

class FixedRunner final : public ModelRunner {
 public:
  Status run(const StepPlan& plan, StepResult& result) override {
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (plan.chunks[i].samples) result.samples[i].outcome = SampleOutcome::kToken;
    }
    return Ok{};
  }
};

// All sequences decode, in two classes; blocks of 16, so one in sixteen takes a new one, and
// publishes the one before to the prefix index, in each step.
void BM_DecodeStep(benchmark::State& state) {
  const auto num_sequences = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kPrompt = 64;
  // Enough for the steps that admit, warm up and are counted.
  const std::size_t tokens_max = state.max_iterations + num_sequences + 500;
  EngineOptions options;
  options.scheduler = {.num_requests_max = num_sequences,
                       .num_sequences_max = num_sequences,
                       .step_tokens_max = 2 * num_sequences + kPrompt,
                       .chunk_tokens_max = kPrompt,
                       .block_tokens = 16};
  for (ServiceClass& service_class : options.scheduler.classes) {
    service_class.queued_requests_max = num_sequences;
  }
  options.vocabulary = num_sequences + 1;
  options.context_tokens = tokens_max + kPrompt;
  BlockPool pool(static_cast<std::uint32_t>(num_sequences * (tokens_max / 16 + 8)));
  FixedRunner runner;
  const ManualClock clock;
  const std::unique_ptr<Engine> engine = MUST(Engine::create(options, pool, runner, clock));
  std::vector<TokenStream> streams;
  for (std::size_t i = 0; i < num_sequences; ++i) {
    Request request;
    request.prompt.assign(kPrompt, static_cast<TokenId>(i));
    request.max_tokens = tokens_max;
    request.service_class.index = i % 2;
    streams.push_back(MUST(engine->submit(std::move(request))));
  }
  while (engine->scheduler().num_running() < num_sequences) engine->step();
  for (int i = 0; i < 100; ++i) engine->step();
  const std::size_t num_before = g_num_allocations;
  for (auto _ : state) engine->step();
  const std::size_t num_allocations = g_num_allocations - num_before;
  if (num_allocations > 0) state.SkipWithError("WRONG: a step allocated");
  if (engine->scheduler().last_plan().chunks.size() != num_sequences) {
    state.SkipWithError("WRONG: not every sequence decodes");
  }
  state.counters["ns_per_sequence"] = benchmark::Counter(
      static_cast<double>(num_sequences) * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
// Fewer steps than tokens that a sequence may generate.
BENCHMARK(BM_DecodeStep)->Arg(1)->Arg(32)->Arg(256)->Iterations(20'000);
BENCHMARK(BM_DecodeStep)->Arg(4096)->Iterations(500);

// One sequence decodes, so many others wait with deadlines of their own; in each step one more
// comes and goes before it ran.
void BM_ArriveAndLeave(benchmark::State& state) {
  const auto num_waiting = static_cast<std::size_t>(state.range(0));
  const auto num_arriving = static_cast<std::size_t>(state.max_iterations);
  const std::size_t tokens_max = num_arriving + 2 * num_waiting + 100;
  SchedulerOptions options;
  options.num_requests_max = num_waiting + 2;
  options.num_sequences_max = 1;
  options.step_tokens_max = 64;
  options.prefix_reuse = PrefixReuse::kOff;
  BlockPool pool(static_cast<std::uint32_t>(tokens_max / options.block_tokens + 8));
  Scheduler scheduler(options, pool);
  const TimePoint now{};
  Random random(1);
  const auto make_sequence = [&](std::size_t max_tokens) {
    Request request;
    request.prompt.assign(8, 1);
    request.max_tokens = max_tokens;
    request.deadline = now + std::chrono::hours(1) + std::chrono::seconds(random.below(100'000));
    return std::make_unique<Sequence>(std::move(request), options.block_tokens, now);
  };
  StepResult result(1);
  const auto step = [&] {
    const StepPlan& plan = scheduler.plan(now);
    result.reset(plan.chunks.size());
    for (SampledToken& sample : result.samples) sample.outcome = SampleOutcome::kToken;
    scheduler.apply(result);
    scheduler.clear_events();
  };
  scheduler.submit(make_sequence(tokens_max - 8));
  step();
  for (std::size_t i = 0; i < num_waiting; ++i) scheduler.submit(make_sequence(8));
  std::vector<std::unique_ptr<Sequence>> arriving;
  for (std::size_t i = 0; i < num_arriving; ++i) arriving.push_back(make_sequence(8));
  std::size_t at = 0;
  for (auto _ : state) {
    const SequenceId id = scheduler.submit(std::move(arriving[at++]));
    scheduler.cancel(id, {.reason = FinishReason::kCancelled});
    step();
  }
  if (scheduler.num_live() != num_waiting + 1) state.SkipWithError("WRONG: somebody is missing");
}
BENCHMARK(BM_ArriveAndLeave)->Arg(1)->Arg(32)->Arg(256)->Arg(4096)->Arg(65536)->Iterations(20'000);

constexpr std::size_t kVocabulary = 151'936;  // Qwen2's

std::vector<float> random_logits() {
  Random random(1);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = static_cast<float>(3 * random.normal());
  return logits;
}

void BM_PlainRead(benchmark::State& state) {
  const std::vector<float> logits = random_logits();
  for (auto _ : state) {
    std::array<float, 16> sums{};
    for (std::size_t i = 0; i < kVocabulary; i += sums.size()) {
      for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += logits[i + lane];
    }
    benchmark::DoNotOptimize(sums);
  }
}
BENCHMARK(BM_PlainRead);

void run_sampler(benchmark::State& state, const SamplingParams& params) {
  const std::vector<float> logits = random_logits();
  Sampler sampler(kVocabulary);
  Request request;
  request.prompt.assign(500, 7);
  std::iota(request.prompt.begin(), request.prompt.end(), 0u);
  request.sampling = params;
  request.sampling.seed = 0;
  std::array<TokenLogprob, kTopLogprobsMax> top;
  for (auto _ : state) {
    ++*request.sampling.seed;
    benchmark::DoNotOptimize(sampler.sample(logits, request, request.prompt, top));
  }
}
BENCHMARK_CAPTURE(run_sampler, greedy, {.temperature = 0});
BENCHMARK_CAPTURE(run_sampler, plain, SamplingParams{});
BENCHMARK_CAPTURE(run_sampler, top_k_50, {.top_k = 50});
BENCHMARK_CAPTURE(run_sampler, top_p_095, {.top_p = 0.95f});
BENCHMARK_CAPTURE(run_sampler, min_p_005, {.min_p = 0.05f});
BENCHMARK_CAPTURE(run_sampler, chat,
                  {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .repetition_penalty = 1.05f});
BENCHMARK_CAPTURE(run_sampler, greedy_top_logprobs, {.temperature = 0, .top_logprobs = 20});

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
