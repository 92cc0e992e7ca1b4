// Adapters and pooled requests under the engine: every request gets, bit for bit, what it gets
// alone, whatever adapters its neighbours have.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/json.h"
#include "base/random.h"
#include "engine/adapter_store.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "formats/safetensors.h"
#include "model/lora_adapter.h"
#include "support/test_model.h"

namespace millrace {
namespace {

constexpr std::size_t kRankMax = 32;

std::string golden(const std::string& path) {
  return std::string(MILLRACE_GOLDEN) + "/" + path;
}

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::vector<float> pooled;
  Finish finish;
  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && pooled == other.pooled &&
           finish.reason == other.finish.reason;
  }
};

struct Bench {
  Bench(const std::string& family, TestModelOptions model_options,
        const SchedulerOptions& scheduler, std::size_t rank_max = kRankMax)
      : model(load(family, model_options, rank_max)),
        store(model->spec(), {.adapters_max = 4, .rank_max = rank_max}),
        pool(model->kv_cache().num_blocks()),
        runner(MUST(DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(),
                                          scheduler))) {
    EngineOptions options;
    options.scheduler = scheduler;
    options.vocabulary = model->spec().vocabulary;
    options.context_tokens = 120;
    options.pooled_width = model->spec().hidden;
    options.adapter_rank_max = rank_max;
    engine = MUST(Engine::create(options, pool, *runner, clock));
  }
  static std::unique_ptr<TestModel> load(const std::string& family, TestModelOptions options,
                                         std::size_t rank_max) {
    options.adapter_rank_max = rank_max;
    return MUST(TestModel::load(golden("models/" + family), options));
  }
  static Answer collect(TokenStream& stream) {
    Answer answer;
    while (const auto token = stream.try_pop()) {
      answer.tokens.push_back(token->token);
      if (token->logprob) answer.logprobs.push_back(*token->logprob);
    }
    answer.finish = stream.finished().value();
    answer.pooled = stream.take_pooled();
    return answer;
  }
  std::vector<Answer> answer(const std::vector<Request>& requests) {
    std::vector<TokenStream> streams;
    for (const Request& request : requests) streams.push_back(MUST(engine->submit(request)));
    while (engine->step()) {
      num_preemptions += engine->scheduler().last_plan().preempted.size();
    }
    engine->scheduler().check_invariants();
    std::vector<Answer> answers;
    for (TokenStream& stream : streams) answers.push_back(collect(stream));
    return answers;
  }
  void load_adapters(std::initializer_list<const char*> names) {
    for (const char* name : names) MUST(store.load(name, golden("adapters/") + name));  // ours
  }

  std::unique_ptr<TestModel> model;
  AdapterStore store;
  SystemClock clock;
  BlockPool pool;
  std::unique_ptr<DecoderRunner> runner;
  std::unique_ptr<Engine> engine;
  std::size_t num_preemptions = 0;
};

// A request, and which adapter it shall have in whatever bench it goes to.
struct Wanted {
  Request request;
  std::string adapter;  // empty for none
};

Request with_adapter(const Wanted& wanted, const Bench& bench) {
  Request request = wanted.request;
  if (!wanted.adapter.empty()) request.adapter = bench.store.find(wanted.adapter);
  EXPECT_EQ(request.adapter == nullptr, wanted.adapter.empty());
  return request;
}

std::vector<Wanted> draw_requests(std::uint64_t seed, std::size_t vocabulary,
                                  const std::vector<std::string>& adapters) {
  Random random(seed);
  std::vector<Wanted> all;
  for (int i = 0; i < 14; ++i) {
    Wanted wanted;
    wanted.adapter = adapters[random.below(adapters.size())];
    Request& request = wanted.request;
    const std::size_t num_prompt = random.between(1, 40);
    // Equal prompts with different adapters, so that a shared block would show.
    for (std::size_t j = 0; j < num_prompt; ++j) {
      request.prompt.push_back(static_cast<TokenId>((i % 3 + 5 * j) % vocabulary));
    }
    if (random.chance(0.4)) {
      request.pooling = random.chance(0.5) ? Pooling::kMean : Pooling::kLast;
    } else {
      request.max_tokens = random.between(1, 20);
      request.sampling.top_logprobs = 2;
      request.sampling.seed = random.next();
    }
    all.push_back(std::move(wanted));
  }
  return all;
}

TEST(EngineOnAdapters, MixedBatchesChangeNoBit) {
  const std::vector<std::string> adapters = {"", "llama-all", "llama-root", "llama-patterns"};
  std::size_t num_preemptions = 0;
  for (const DType kv_dtype : {DType::kF16, DType::kI8}) {
    Bench solo("llama3", {.num_threads = 1, .kv_dtype = kv_dtype},
               {.num_sequences_max = 1,
                .step_tokens_max = 128,
                .chunk_tokens_max = 128,
                .prefix_reuse = PrefixReuse::kOff});
    solo.load_adapters({"llama-all", "llama-root", "llama-patterns"});
    const auto wanted = draw_requests(3, solo.model->spec().vocabulary, adapters);
    std::vector<Answer> expected;
    for (const Wanted& row : wanted) {
      expected.push_back(solo.answer({with_adapter(row, solo)}).front());
    }
    for (const std::size_t chunk_tokens : {5u, 16u}) {
      Bench crowd("llama3",
                  {.num_threads = chunk_tokens == 5 ? 1u : 2u,
                   .kv_dtype = kv_dtype,
                   .block_tokens = 8,
                   .num_blocks = 12},
                  {.num_sequences_max = 6,
                   .step_tokens_max = 24,
                   .chunk_tokens_max = chunk_tokens,
                   .block_tokens = 8,
                   .loop = chunk_tokens == 5 ? StepLoop::kOverlapped : StepLoop::kSerial});
      crowd.load_adapters({"llama-patterns", "llama-all", "llama-root"});
      std::vector<Request> requests;
      for (const Wanted& row : wanted) requests.push_back(with_adapter(row, crowd));
      // Twice: the second time much of it is in the cache.
      for (int round = 0; round < 2; ++round) {
        const std::vector<Answer> found = crowd.answer(requests);
        for (std::size_t i = 0; i < found.size(); ++i) {
          EXPECT_TRUE(found[i] == expected[i])
              << "request " << i << " '" << wanted[i].adapter << "' round " << round;
        }
      }
      num_preemptions += crowd.num_preemptions;
    }
  }
  EXPECT_GT(num_preemptions, 0u);
}

// A server that is planned for adapters gives those without one the bits of a server that is not.
TEST(EngineOnAdapters, NeighboursWithAdaptersChangeNothing) {
  Bench plain("qwen2", {.num_threads = 1}, {.num_sequences_max = 1, .step_tokens_max = 128}, 0);
  Bench crowd("qwen2", {.num_threads = 1},
              {.num_sequences_max = 6,
               .step_tokens_max = 30,
               .chunk_tokens_max = 10,
               .loop = StepLoop::kOverlapped});
  crowd.load_adapters({"qwen2-all"});
  const auto wanted = draw_requests(8, plain.model->spec().vocabulary, {"", "qwen2-all"});
  std::vector<Request> requests;
  for (const Wanted& row : wanted) requests.push_back(with_adapter(row, crowd));
  const std::vector<Answer> found = crowd.answer(requests);
  std::size_t num_compared = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].adapter.empty()) continue;
    EXPECT_TRUE(found[i] == plain.answer({requests[i]}).front()) << i;
    ++num_compared;
  }
  EXPECT_GT(num_compared, 3u);
}

TEST(EngineOnAdapters, PooledStatesAgreeWithTransformers) {
  const std::map<std::string, std::string> rows = {{"plain-llama3", ""},
                                                   {"plain-qwen2", ""},
                                                   {"llama-all", "llama-all"},
                                                   {"qwen2-all", "qwen2-all"}};
  for (const auto& [name, adapter] : rows) {
    const Json facts = MUST(read_json_file(golden("adapters/" + name + "/golden.json")));  // ours
    Bench bench(facts["model"], {.num_threads = 2, .kv_dtype = DType::kF32},
                {.num_sequences_max = 4, .step_tokens_max = 16, .chunk_tokens_max = 9});
    if (!adapter.empty()) MUST(bench.store.load(adapter, golden("adapters/" + name)));  // ours
    const auto source =
        MUST(SafetensorsFolder::open_file(golden("adapters/" + name + "/expected.safetensors")));
    for (const auto& [pooling, what] :
         {std::pair(Pooling::kMean, "mean"), {Pooling::kLast, "last"}}) {
      Wanted wanted;
      wanted.adapter = adapter;
      wanted.request.prompt = facts["prompt"].get<std::vector<TokenId>>();
      wanted.request.pooling = pooling;
      const Answer answer = bench.answer({with_adapter(wanted, bench)}).front();
      EXPECT_EQ(answer.finish.reason, FinishReason::kStop);
      EXPECT_EQ(answer.finish.num_generated, 0u);
      const SourceTensor tensor = MUST(source->tensor(what));  // ours
      std::vector<float> want(tensor.shape.num_elements());
      std::memcpy(want.data(), tensor.bytes.data(), tensor.bytes.size());
      ASSERT_EQ(answer.pooled.size(), want.size());
      double worst = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        worst = std::max(worst, std::abs(double{answer.pooled[i]} - double{want[i]}));
      }
      // As for logits: eight times what transformers' own float32 run is off by, and the rounding
      // of both to float.
      const double allowed = 8.0 * facts["float32_errors"][what].get<double>() + 0x1.0p-22;
      std::printf("pooled %s %s: worst %.2e, allowed %.2e\n", name.c_str(), what, worst, allowed);
      EXPECT_LT(worst, allowed) << name << " " << what;
    }
  }
}

// A mean needs every position: it takes nothing from the cache, but leaves its blocks there.
TEST(EngineOnAdapters, MeansComputeEveryPositionAndPublish) {
  Bench bench("llama3", {.num_threads = 1}, {.num_sequences_max = 4, .step_tokens_max = 128});
  Request request;
  for (TokenId i = 0; i < 40; ++i) request.prompt.push_back(i);
  request.pooling = Pooling::kMean;
  const Answer first = bench.answer({request}).front();
  const Answer again = bench.answer({request}).front();
  EXPECT_EQ(again.finish.num_cached, 0u);
  EXPECT_EQ(first.pooled, again.pooled);
  request.pooling = Pooling::kLast;
  EXPECT_EQ(bench.answer({request}).front().finish.num_cached, 32u);
}

TEST(EngineOnAdapters, DoNotShareBlocksWithOthers) {
  Bench bench("llama3", {.num_threads = 1}, {.num_sequences_max = 2, .step_tokens_max = 128});
  bench.load_adapters({"llama-all"});
  Wanted wanted;
  for (TokenId i = 0; i < 40; ++i) wanted.request.prompt.push_back(i);
  wanted.request.max_tokens = 1;
  const auto cached = [&](const char* adapter) {
    wanted.adapter = adapter;
    return bench.answer({with_adapter(wanted, bench)}).front().finish.num_cached;
  };
  EXPECT_EQ(cached(""), 0u);
  EXPECT_EQ(cached(""), 32u);
  EXPECT_EQ(cached("llama-all"), 0u);
  EXPECT_EQ(cached("llama-all"), 32u);
  // Loaded again it is another adapter, whatever its name.
  MUST(bench.store.unload("llama-all"));  // loaded above
  bench.load_adapters({"llama-all"});
  EXPECT_EQ(cached("llama-all"), 0u);
  EXPECT_EQ(cached(""), 32u);
}

// Load, use and unload a thousand times, while others run.
TEST(EngineOnAdapters, AThousandSwitchesLeaveNothingBehind) {
  Bench bench("llama3", {.num_threads = 1, .num_blocks = 40},
              {.num_sequences_max = 3, .step_tokens_max = 40});
  const std::vector<std::string> names = {"llama-all", "llama-root", "llama-patterns"};
  std::map<std::string, Answer> expected;
  Random random(1);
  std::weak_ptr<const LoraAdapter> last;
  for (int i = 0; i < 1000; ++i) {
    const std::string& name = names[random.below(names.size())];
    ASSERT_TRUE(bench.store.load(name, golden("adapters/" + name)).ok());
    Wanted wanted;
    wanted.request.prompt = {3, 1, 4, 1, 5};
    wanted.request.max_tokens = 4;
    wanted.request.sampling.temperature = 0;
    wanted.request.sampling.top_logprobs = 1;
    wanted.adapter = name;
    TokenStream adapted = MUST(bench.engine->submit(with_adapter(wanted, bench)));
    wanted.adapter = "";
    TokenStream plain = MUST(bench.engine->submit(with_adapter(wanted, bench)));
    bench.engine->step();
    last = bench.store.find(name);
    // Unloaded while its request runs, which goes on.
    ASSERT_TRUE(bench.store.unload(name).ok());
    EXPECT_FALSE(last.expired());
    while (bench.engine->step()) {
    }
    EXPECT_FALSE(last.expired()) << "the engine's thread does not free it";
    EXPECT_EQ(bench.store.sweep(), 0u);
    EXPECT_TRUE(last.expired());
    const Answer found = Bench::collect(adapted);
    const auto [known, is_new] = expected.try_emplace(name, found);
    EXPECT_TRUE(known->second == found) << i;
    const Answer found_plain = Bench::collect(plain);
    EXPECT_TRUE(expected.try_emplace("", found_plain).first->second == found_plain) << i;
  }
  EXPECT_EQ(expected.size(), 4u);
  EXPECT_TRUE(bench.store.adapters().empty());
}

TEST(EngineOnAdapters, RefusesWhatCannotRun) {
  Bench bench("llama3", {.num_threads = 1}, {.num_sequences_max = 2, .step_tokens_max = 64}, 8);
  Request request;
  request.prompt = {1, 2, 3};
  request.pooling = Pooling::kMean;
  request.max_tokens = 4;
  EXPECT_EQ(bench.engine->submit(request).error().code, ErrorCode::kInvalidArgument);
  request.max_tokens.reset();
  EXPECT_EQ(bench.engine->submit_choices(request, 2).error().message,
            "2 choices of a pooled request, expected 1");
  request.prompt.assign(121, 1);
  EXPECT_EQ(bench.engine->submit(request).error().message,
            "prompt of 121 tokens exceeds context of 120");
  request.prompt.resize(120);  // No token comes after it.
  EXPECT_EQ(bench.answer({request}).front().pooled.size(), bench.model->spec().hidden);

  request = {};
  request.prompt = {1};
  request.adapter = MUST(
      LoraAdapter::load(golden("adapters/llama-patterns"), bench.model->spec(), {}, 7));  // ours
  EXPECT_EQ(bench.engine->submit(request).error().message,
            "adapter of rank 20, this engine is planned for ranks of at most 8");
  EXPECT_EQ(bench.store.load("big", golden("adapters/llama-patterns")).error().code,
            ErrorCode::kTooLarge);
}

TEST(AdapterStore, RefusesNamesCountsAndBytes) {
  const auto model = MUST(TestModel::load(golden("models/llama3"), {}));
  AdapterStore store(model->spec(), {.adapters_max = 2, .bytes_max = 100'000});
  const std::string all = golden("adapters/llama-all");
  EXPECT_EQ(store.load("", all).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(store.load("one", all).ok());
  EXPECT_EQ(store.load("one", all).error().message, "adapter one is loaded already");
  EXPECT_EQ(store.unload("two").error().code, ErrorCode::kNotFound);
  const std::uint64_t num_bytes = store.adapters().front().num_bytes;
  EXPECT_EQ(store.load("two", all).error().message, all + " needs " + std::to_string(num_bytes) +
                                                        " bytes, there is room for " +
                                                        std::to_string(100'000 - num_bytes));
  // One that is unloaded counts while somebody has it.
  AdapterRef held = store.find("one");
  ASSERT_TRUE(store.unload("one").ok());
  EXPECT_EQ(store.find("one"), nullptr);
  EXPECT_EQ(store.load("two", all).error().code, ErrorCode::kResourceExhausted);
  ASSERT_TRUE(store.load("small", golden("adapters/llama-root")).ok());
  EXPECT_EQ(store.load("more", golden("adapters/llama-root")).error().message,
            "1 adapters are loaded and 1 wait for their last request, at most 2 are held");
  held.reset();
  ASSERT_TRUE(store.unload("small").ok());
  ASSERT_TRUE(store.load("two", all).ok());
  EXPECT_EQ(store.adapters().size(), 1u);
  EXPECT_EQ(store.adapters().front().id, 3u);
}

}  // namespace
}  // namespace millrace
