// A real decoder under the engine: every request gets, bit for bit, what it gets alone.
#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "support/test_model.h"

namespace millrace {
namespace {

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::vector<float> top;
  std::optional<Finish> finish;
};

// A model with an engine whose loop is turned by hand.
struct Bench {
  Bench(const std::string& family, const TestModelOptions& model_options,
        const SchedulerOptions& scheduler)
      : model(MUST(
            TestModel::load(std::string(MILLRACE_GOLDEN) + "/models/" + family, model_options))),
        pool(model->kv_cache().num_blocks()),
        runner(MUST(DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(),
                                          scheduler))) {
    EngineOptions options;
    options.scheduler = scheduler;
    options.vocabulary = model->spec().vocabulary;
    options.context_tokens = 120;
    engine = MUST(Engine::create(options, pool, *runner, clock));
  }

  std::vector<Answer> answer(const std::vector<Request>& requests, std::size_t num_choices = 1) {
    std::vector<TokenStream> streams;
    for (const Request& request : requests) {
      for (TokenStream& stream : MUST(engine->submit_choices(request, num_choices))) {
        streams.push_back(std::move(stream));
      }
    }
    while (engine->step()) {
      num_preemptions += engine->scheduler().last_plan().preempted.size();
      num_copies += engine->scheduler().last_plan().copies.size();
    }
    engine->scheduler().check_invariants();
    std::vector<Answer> answers;
    for (TokenStream& stream : streams) {
      Answer& answer = answers.emplace_back();
      while (const auto token = stream.try_pop()) {
        answer.tokens.push_back(token->token);
        answer.logprobs.push_back(token->logprob.value());
        for (const TokenLogprob& top : token->top) answer.top.push_back(top.logprob);
      }
      answer.finish = stream.finished();
      num_cached += answer.finish->num_cached;
    }
    return answers;
  }

  std::unique_ptr<TestModel> model;
  SystemClock clock;
  BlockPool pool;
  std::unique_ptr<DecoderRunner> runner;
  std::unique_ptr<Engine> engine;
  std::size_t num_preemptions = 0;
  std::size_t num_cached = 0;
  std::size_t num_copies = 0;
};

std::vector<Request> draw_requests(std::uint64_t seed, std::size_t vocabulary) {
  Random random(seed);
  std::vector<Request> requests;
  for (int i = 0; i < 9; ++i) {
    Request request;
    const std::size_t num_prompt = random.between(1, 40);
    for (std::size_t j = 0; j < num_prompt; ++j) {
      request.prompt.push_back(static_cast<TokenId>(random.below(vocabulary)));
    }
    request.max_tokens = random.between(1, 30);
    request.stop_ids = {static_cast<TokenId>(random.below(vocabulary))};
    request.sampling.top_logprobs = 3;
    request.sampling.seed = random.next();
    if (random.chance(0.3)) request.sampling.temperature = 0;
    if (random.chance(0.3)) request.sampling.top_p = 0.8f;
    if (random.chance(0.3)) request.sampling.top_k = 10;
    if (random.chance(0.3)) request.sampling.repetition_penalty = 1.3f;
    requests.push_back(std::move(request));
  }
  return requests;
}

constexpr StepLoop kLoops[] = {StepLoop::kSerial, StepLoop::kOverlapped};

class EngineOnDecoder : public ::testing::TestWithParam<const char*> {};

TEST_P(EngineOnDecoder, BatchesChunksAndPreemptionChangeNoBit) {
  std::size_t num_preemptions = 0;
  for (const DType kv_dtype : {DType::kF16, DType::kI8}) {
    // Alone, prompts whole, one thread.
    Bench solo(GetParam(), {.num_threads = 1, .kv_dtype = kv_dtype},
               {.num_sequences_max = 1, .step_tokens_max = 128, .chunk_tokens_max = 128});
    const std::vector<Request> requests = draw_requests(3, solo.model->spec().vocabulary);
    std::vector<Answer> expected;
    for (const Request& request : requests) expected.push_back(solo.answer({request}).front());
    for (const auto& [chunk_tokens, loop] :
         {std::pair(std::size_t{3}, kLoops[0]), std::pair(std::size_t{16}, kLoops[0]),
          std::pair(std::size_t{3}, kLoops[1]), std::pair(std::size_t{16}, kLoops[1])}) {
      // Together, cut small, in a pool that is too small for all, other blocks, more threads.
      Bench crowd(GetParam(),
                  {.num_threads = 2, .kv_dtype = kv_dtype, .block_tokens = 8, .num_blocks = 10},
                  {.num_sequences_max = 5,
                   .step_tokens_max = 20,
                   .chunk_tokens_max = chunk_tokens,
                   .block_tokens = 8,
                   .loop = loop});
      const std::vector<Answer> found = crowd.answer(requests);
      num_preemptions += crowd.num_preemptions;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(found[i].tokens, expected[i].tokens) << "request " << i;
        EXPECT_EQ(found[i].logprobs, expected[i].logprobs) << "request " << i;
        EXPECT_EQ(found[i].top, expected[i].top) << "request " << i;
        ASSERT_TRUE(found[i].finish && expected[i].finish);
        EXPECT_EQ(found[i].finish->reason, expected[i].finish->reason) << "request " << i;
      }
    }
  }
  EXPECT_GT(num_preemptions, 0u);
}

// Conversations that return with what was said and more, several at once, some with a common start.
TEST_P(EngineOnDecoder, ReusedPrefixesChangeNoBit) {
  constexpr int kTurns = 3;
  constexpr std::size_t kTalks = 5;
  Bench solo(GetParam(), {.num_threads = 1},
             {.num_sequences_max = 1,
              .step_tokens_max = 128,
              .chunk_tokens_max = 128,
              .prefix_reuse = PrefixReuse::kOff});
  // The first pool keeps everything, the second evicts and preempts.
  for (const auto& [num_blocks, loop] : {std::pair(200u, kLoops[0]), std::pair(18u, kLoops[0]),
                                         std::pair(200u, kLoops[1]), std::pair(18u, kLoops[1])}) {
    Bench crowd(GetParam(), {.num_threads = 2, .block_tokens = 8, .num_blocks = num_blocks},
                {.num_sequences_max = 4,
                 .step_tokens_max = 40,
                 .chunk_tokens_max = 11,
                 .block_tokens = 8,
                 .loop = loop});
    std::vector<Request> talks = draw_requests(5, solo.model->spec().vocabulary);
    talks.resize(kTalks);
    talks[1].prompt = talks[0].prompt;
    talks[2].prompt.insert(talks[2].prompt.begin(), talks[0].prompt.begin(), talks[0].prompt.end());
    for (int turn = 0; turn < kTurns; ++turn) {
      for (Request& talk : talks) talk.max_tokens = 8;
      const std::vector<Answer> found = crowd.answer(talks);
      for (std::size_t i = 0; i < kTalks; ++i) {
        const Answer expected = solo.answer({talks[i]}).front();
        EXPECT_EQ(found[i].tokens, expected.tokens) << "talk " << i << " turn " << turn;
        EXPECT_EQ(found[i].logprobs, expected.logprobs) << "talk " << i << " turn " << turn;
        EXPECT_EQ(found[i].top, expected.top) << "talk " << i << " turn " << turn;
        EXPECT_EQ(expected.finish->num_cached, 0u);
        talks[i].prompt.insert(talks[i].prompt.end(), expected.tokens.begin(),
                               expected.tokens.end());
        talks[i].prompt.push_back(static_cast<TokenId>(turn));
      }
    }
    EXPECT_GT(crowd.num_cached, 0u) << num_blocks << " blocks";
  }
}

// Every choice is what a request with its seed gets alone, although the prompt is computed once and
// its last block copied.
TEST_P(EngineOnDecoder, ChoicesShareTheirPromptAndChangeNoBit) {
  constexpr std::size_t kChoices = 3;
  for (const auto& [kv_dtype, loop] :
       {std::pair(DType::kF16, kLoops[0]), std::pair(DType::kI8, kLoops[0]),
        std::pair(DType::kF16, kLoops[1]), std::pair(DType::kI8, kLoops[1])}) {
    Bench solo(GetParam(), {.num_threads = 1, .kv_dtype = kv_dtype},
               {.num_sequences_max = 1, .prefix_reuse = PrefixReuse::kOff});
    Bench crowd(GetParam(),
                {.num_threads = 1, .kv_dtype = kv_dtype, .block_tokens = 8, .num_blocks = 30},
                {.num_sequences_max = 6,
                 .step_tokens_max = 40,
                 .chunk_tokens_max = 11,
                 .block_tokens = 8,
                 .loop = loop});
    std::vector<Request> requests = draw_requests(9, solo.model->spec().vocabulary);
    requests.resize(3);
    const std::vector<Answer> found = crowd.answer(requests, kChoices);
    std::size_t at = 0;
    for (const Request& request : requests) {
      for (std::size_t i = 0; i < kChoices; ++i, ++at) {
        Request alone = request;
        if (i > 0) alone.sampling.seed = mix64(*request.sampling.seed + i);
        const Answer expected = solo.answer({alone}).front();
        EXPECT_EQ(found[at].tokens, expected.tokens) << "choice " << i;
        EXPECT_EQ(found[at].logprobs, expected.logprobs) << "choice " << i;
      }
    }
    EXPECT_GT(crowd.num_copies, 0u);
  }
}

// Steps on one, two and three threads in turns, as classes with caps come and go.
TEST_P(EngineOnDecoder, CapsOnThreadsChangeNoBit) {
  Bench solo(GetParam(), {.num_threads = 1},
             {.num_sequences_max = 1, .step_tokens_max = 128, .chunk_tokens_max = 128});
  std::vector<Request> requests = draw_requests(13, solo.model->spec().vocabulary);
  std::vector<Answer> expected;
  for (const Request& request : requests) expected.push_back(solo.answer({request}).front());
  for (const StepLoop loop : kLoops) {
    SchedulerOptions scheduler{.num_sequences_max = 2,
                               .step_tokens_max = 20,
                               .chunk_tokens_max = 7,
                               .block_tokens = 8,
                               .loop = loop};
    scheduler.classes = {{.name = "any"}, {.name = "two"}, {.name = "one"}};
    scheduler.classes[1].threads_max = 2;
    scheduler.classes[2].threads_max = 1;
    Bench crowd(GetParam(), {.num_threads = 3, .block_tokens = 8, .num_blocks = 30}, scheduler);
    for (std::uint32_t i = 0; i < requests.size(); ++i) requests[i].service_class.index = i % 3;
    const std::vector<Answer> found = crowd.answer(requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(found[i].tokens, expected[i].tokens) << "request " << i;
      EXPECT_EQ(found[i].logprobs, expected[i].logprobs) << "request " << i;
      EXPECT_EQ(found[i].top, expected[i].top) << "request " << i;
    }
    // Some steps ran on fewer threads than others: their time times threads says so.
    const EngineStats stats = crowd.engine->stats();
    EXPECT_LT(stats.thread_seconds, 3 * stats.busy_seconds);
    EXPECT_GT(stats.thread_seconds, stats.busy_seconds);
    for (Request& request : requests) request.service_class.index = 2;
    Bench alone(GetParam(), {.num_threads = 3, .block_tokens = 8, .num_blocks = 30}, scheduler);
    EXPECT_EQ(alone.answer(requests).front().tokens, expected.front().tokens);
    EXPECT_EQ(alone.engine->stats().thread_seconds, alone.engine->stats().busy_seconds);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, EngineOnDecoder,
                         ::testing::Values("llama3", "mistral", "qwen3", "mixtral"),
                         [](const auto& family) { return std::string(family.param); });

// The grammar of tokens that rise by at most four.
class RisingTokens final : public LogitConstraint {
 public:
  void mask(std::span<std::uint32_t> allowed) const override {
    for (std::size_t i = 0; i < allowed.size() * 32; ++i) {
      if (i > last_ && i <= last_ + 4) continue;
      allowed[i / 32] &= ~(1u << (i % 32));
    }
  }
  void advance(TokenId token) override {
    before_.push_back(last_);
    last_ = token;
  }
  void rollback(std::size_t num_tokens) override {
    last_ = before_[before_.size() - num_tokens];
    before_.resize(before_.size() - num_tokens);
  }
  std::unique_ptr<LogitConstraint> fork() const override {
    auto copy = std::make_unique<RisingTokens>(*this);
    copy->before_.reserve(100);
    return copy;
  }

 private:
  TokenId last_ = 0;
  std::vector<TokenId> before_;
};

std::vector<Request> rising_requests(std::size_t vocabulary) {
  std::vector<Request> requests = draw_requests(4, vocabulary);
  for (Request& request : requests) {
    request.constraint = std::make_shared<const RisingTokens>();
    request.sampling.logit_bias = {{0, 100.0f}};  // which the grammar forbids
    request.stop_ids.clear();
    request.max_tokens = 20;
  }
  return requests;
}

TEST(LogitConstraint, EverySequenceFollowsItsOwnState) {
  for (const StepLoop loop : kLoops) {
    Bench bench("llama3", {.num_threads = 2, .block_tokens = 8, .num_blocks = 12},
                {.num_sequences_max = 4, .step_tokens_max = 20, .block_tokens = 8, .loop = loop});
    const auto requests = rising_requests(bench.model->spec().vocabulary);
    for (const Answer& answer : bench.answer(requests, 2)) {
      EXPECT_EQ(answer.tokens.size(), 20u);
      TokenId last = 0;
      for (const TokenId token : answer.tokens) {
        EXPECT_GT(token, last);
        EXPECT_LE(token, last + 4);
        last = token;
      }
    }
    EXPECT_GT(bench.num_preemptions, 0u);  // which does not touch a sequence's state
  }
}

// Those with a grammar wait for each token, the others do not; nobody's answer changes.
TEST(StepLoops, GiveTheSameAnswersBitForBit) {
  std::vector<std::vector<Answer>> answers;
  for (const StepLoop loop : kLoops) {
    Bench bench("llama3", {.num_threads = 2, .block_tokens = 8, .num_blocks = 40},
                {.num_sequences_max = 8, .step_tokens_max = 30, .block_tokens = 8, .loop = loop});
    std::vector<Request> requests = draw_requests(11, bench.model->spec().vocabulary);
    for (Request& request : rising_requests(bench.model->spec().vocabulary)) {
      requests.push_back(std::move(request));
    }
    answers.push_back(bench.answer(requests));
  }
  for (std::size_t i = 0; i < answers[0].size(); ++i) {
    EXPECT_EQ(answers[0][i].tokens, answers[1][i].tokens) << "request " << i;
    EXPECT_EQ(answers[0][i].logprobs, answers[1][i].logprobs) << "request " << i;
    EXPECT_EQ(answers[0][i].finish->reason, answers[1][i].finish->reason) << "request " << i;
    EXPECT_EQ(answers[0][i].finish->num_generated, answers[1][i].finish->num_generated);
  }
}

TEST(DecoderRunner, RefusesADecoderThatIsPlannedTooSmall) {
  auto model = MUST(TestModel::load(std::string(MILLRACE_GOLDEN) + "/models/llama3",
                                    {.block_tokens = 16, .tokens_max = 32}));
  const auto create = [&](const SchedulerOptions& scheduler) {
    return DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(), scheduler);
  };
  EXPECT_TRUE(create({.num_sequences_max = 32, .step_tokens_max = 32}).ok());
  EXPECT_EQ(create({.num_sequences_max = 32, .step_tokens_max = 33}).error().message,
            "the decoder is planned for 32 tokens in a step, the scheduler wants 33");
  EXPECT_EQ(create({.step_tokens_max = 32, .block_tokens = 8}).error().message,
            "the cache has blocks of 16 tokens, the scheduler expects 8");
}

}  // namespace
}  // namespace millrace
