// How likely the tokens of prompts were: as they were when they were generated, and as PyTorch has
// it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/json.h"
#include "base/random.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "formats/safetensors.h"
#include "support/test_model.h"

namespace millrace {
namespace {

constexpr std::uint32_t kTop = 4;

std::string golden(const std::string& path) {
  return std::string(MILLRACE_GOLDEN) + "/" + path;
}

struct Scored {
  std::vector<TokenId> tokens;   // generated
  std::vector<float> generated;  // their log-probabilities
  std::vector<float> prompt;
  std::vector<std::uint32_t> ranks;
  std::vector<float> top;  // ids and log-probabilities
  Finish finish;
  bool operator==(const Scored& other) const {
    return tokens == other.tokens && generated == other.generated && prompt == other.prompt &&
           ranks == other.ranks && top == other.top;
  }
};

// A model with an engine whose loop is turned by hand.
struct Bench {
  Bench(const TestModelOptions& model_options, const SchedulerOptions& scheduler)
      : model(MUST(TestModel::load(golden("models/llama3"), model_options))),  // ours
        pool(model->kv_cache().num_blocks()),
        runner(MUST(DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(),
                                          scheduler))) {
    EngineOptions options;
    options.scheduler = scheduler;
    options.vocabulary = model->spec().vocabulary;
    options.context_tokens = 120;
    options.pooled_width = model->spec().hidden;
    engine = MUST(Engine::create(options, pool, *runner, clock));
  }

  std::vector<Scored> answer(const std::vector<Request>& requests, std::size_t num_choices = 1) {
    std::vector<TokenStream> streams;
    for (const Request& request : requests) {
      for (TokenStream& stream : MUST(engine->submit_choices(request, num_choices))) {
        EXPECT_EQ(stream.prompt_scores(), nullptr);
        streams.push_back(std::move(stream));
      }
    }
    while (engine->step()) {
      num_preemptions += engine->scheduler().last_plan().preempted.size();
    }
    engine->scheduler().check_invariants();
    std::vector<Scored> answers;
    for (TokenStream& stream : streams) {
      Scored& answer = answers.emplace_back();
      while (const auto token = stream.try_pop()) {
        answer.tokens.push_back(token->token);
        answer.generated.push_back(token->logprob.value_or(0));
      }
      answer.finish = *stream.finished();
      const PromptScores* const scores = stream.prompt_scores();
      if (scores == nullptr) continue;
      answer.prompt = scores->logprobs;
      answer.ranks = scores->ranks;
      for (const TokenLogprob& top : scores->top) {
        answer.top.push_back(static_cast<float>(top.token));
        answer.top.push_back(top.logprob);
      }
    }
    return answers;
  }

  std::unique_ptr<TestModel> model;
  SystemClock clock;
  BlockPool pool;
  std::unique_ptr<DecoderRunner> runner;
  std::unique_ptr<Engine> engine;
  std::size_t num_preemptions = 0;
};

std::vector<Request> draw_requests(std::size_t vocabulary) {
  Random random(11);
  std::vector<Request> requests;
  for (int i = 0; i < 8; ++i) {
    Request request;
    const std::size_t num_prompt = random.between(1, 50);
    for (std::size_t j = 0; j < num_prompt; ++j) {
      request.prompt.push_back(static_cast<TokenId>(random.below(vocabulary)));
    }
    request.max_tokens = random.between(1, 20);
    request.sampling.top_logprobs = 0;
    request.sampling.temperature = 0;
    if (i != 3) request.prompt_logprobs = kTop;
    requests.push_back(std::move(request));
  }
  return requests;
}

const SchedulerOptions kSolo{
    .num_sequences_max = 1, .step_tokens_max = 128, .chunk_tokens_max = 128};

TEST(PromptScores, AreThoseThatTheTokensHadWhenTheyWereGenerated) {
  Bench bench({.num_threads = 1}, kSolo);
  Request request = draw_requests(bench.model->spec().vocabulary).front();
  request.max_tokens = 20;
  const Scored first = bench.answer({request}).front();
  Request again = request;
  again.prompt.insert(again.prompt.end(), first.tokens.begin(), first.tokens.end());
  again.max_tokens = 1;
  const Scored second = bench.answer({again}).front();
  ASSERT_EQ(second.prompt.size(), again.prompt.size() - 1);
  EXPECT_EQ(second.finish.num_cached, 0u);
  for (std::size_t i = 0; i < first.prompt.size(); ++i)
    EXPECT_EQ(second.prompt[i], first.prompt[i]);
  for (std::size_t i = 0; i < first.tokens.size(); ++i) {
    const std::size_t at = request.prompt.size() - 1 + i;
    EXPECT_EQ(second.prompt[at], first.generated[i]) << i;
    EXPECT_EQ(second.ranks[at], 1u) << i;  // Temperature 0 took the likeliest.
    EXPECT_EQ(second.top[2 * kTop * at], static_cast<float>(first.tokens[i])) << i;
    EXPECT_EQ(second.top[2 * kTop * at + 1], first.generated[i]) << i;
  }
  // What was scored is in the cache for those who ask for tokens alone.
  again.prompt_logprobs.reset();
  const Scored third = bench.answer({again}).front();
  EXPECT_GT(third.finish.num_cached, 0u);
  EXPECT_EQ(third.tokens, second.tokens);
  EXPECT_TRUE(third.prompt.empty());
}

TEST(PromptScores, BatchesChunksAndPreemptionChangeNoBit) {
  Bench solo({.num_threads = 1}, kSolo);
  const std::vector<Request> requests = draw_requests(solo.model->spec().vocabulary);
  std::vector<Scored> expected;
  for (const Request& request : requests) expected.push_back(solo.answer({request}).front());
  EXPECT_TRUE(expected[3].prompt.empty());
  std::size_t num_preemptions = 0;
  for (const std::size_t chunk_tokens : {std::size_t{3}, std::size_t{40}}) {
    for (const StepLoop loop : {StepLoop::kSerial, StepLoop::kOverlapped}) {
      Bench together({.num_threads = 3, .num_blocks = 12}, {.num_sequences_max = 6,
                                                            .step_tokens_max = 64,
                                                            .chunk_tokens_max = chunk_tokens,
                                                            .loop = loop});
      const std::vector<Scored> found = together.answer(requests);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        EXPECT_TRUE(found[i] == expected[i]) << i << " in chunks of " << chunk_tokens;
      }
      num_preemptions += together.num_preemptions;
    }
  }
  EXPECT_GT(num_preemptions, 0u);
}

TEST(PromptScores, ChoicesHaveThoseOfTheirPrompt) {
  Bench bench({.num_threads = 2}, {.num_sequences_max = 4, .step_tokens_max = 32});
  const Request request = draw_requests(bench.model->spec().vocabulary)[1];
  const std::vector<Scored> choices = bench.answer({request}, 3);
  ASSERT_EQ(choices.size(), 3u);
  ASSERT_EQ(choices[0].prompt.size(), request.prompt.size() - 1);
  EXPECT_EQ(choices[1].prompt, choices[0].prompt);
  EXPECT_EQ(choices[2].top, choices[0].top);
  EXPECT_EQ(choices[1].tokens, choices[0].tokens);  // at temperature 0
}

TEST(PromptScores, AreTheLogSoftmaxOfTheReferencesLogits) {
  Bench bench({.num_threads = 1}, kSolo);
  const Json facts = MUST(read_json_file(golden("adapters/plain-llama3/golden.json")));  // ours
  Request request;
  for (const Json& id : facts["prompt"]) request.prompt.push_back(id.get<TokenId>());
  request.max_tokens = 1;
  request.prompt_logprobs = 0;
  const Scored scored = bench.answer({request}).front();
  const auto source =
      MUST(SafetensorsFolder::open_file(golden("adapters/plain-llama3/expected.safetensors")));
  const SourceTensor tensor = MUST(source->tensor("logits"));  // ours
  const std::size_t vocabulary = bench.model->spec().vocabulary;
  std::vector<float> logits(tensor.shape.num_elements());
  std::memcpy(logits.data(), tensor.bytes.data(), tensor.bytes.size());
  ASSERT_EQ(logits.size(), request.prompt.size() * vocabulary);
  for (std::size_t i = 0; i + 1 < request.prompt.size(); ++i) {
    const float* const row = logits.data() + i * vocabulary;
    double sum = 0;
    for (std::size_t v = 0; v < vocabulary; ++v) sum += std::exp(double{row[v]});
    EXPECT_NEAR(scored.prompt[i], double{row[request.prompt[i + 1]]} - std::log(sum), 1e-4) << i;
  }
}

TEST(PromptScores, AreRefusedWhereTheyCannotBe) {
  Bench bench({.num_threads = 1}, kSolo);
  Request request = draw_requests(bench.model->spec().vocabulary).front();
  request.prompt_logprobs = 21;
  EXPECT_EQ(bench.engine->submit(request).error().message,
            "prompt_logprobs is 21, expected at most 20");
  request.prompt_logprobs = 1;
  request.pooling = Pooling::kMean;
  request.max_tokens.reset();
  EXPECT_EQ(bench.engine->submit(request).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace millrace
