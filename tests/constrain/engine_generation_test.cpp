// Answers to fifty schemas through the engine: with a trained model and with random logits, all end
// within their tokens, parse and validate.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/file.h"
#include "constrain/constrain_support.h"
#include "constrain/json_validator.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "support/shared_data.h"
#include "support/test_model.h"

namespace millrace {
namespace {

constexpr std::size_t kTokensMax = 300;

SchedulerOptions scheduler_options() {
  return {.num_requests_max = 1000,
          .num_sequences_max = 8,
          .step_tokens_max = 64,
          .chunk_tokens_max = 64};
}

// A model that knows nothing: each row of logits is cut from one of random numbers.
class RandomLogits final : public ModelRunner {
 public:
  explicit RandomLogits(std::size_t vocabulary)
      : vocabulary_(vocabulary), sampler_(vocabulary), numbers_(vocabulary + kShifts) {
    for (float& number : numbers_) number = static_cast<float>(6 * random_.uniform());
  }
  Status run(const StepPlan& plan, StepResult& result) override {
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (!plan.chunks[i].samples) continue;
      const Sequence& sequence = *plan.chunks[i].sequence;
      const auto logits = std::span(numbers_).subspan(random_.below(kShifts), vocabulary_);
      result.samples[i] = sampler_.sample(logits, sequence.request, sequence.tokens,
                                          result.top_space(i), sequence.constraint.get());
    }
    return Ok{};
  }

 private:
  static constexpr std::size_t kShifts = 4096;
  std::size_t vocabulary_;
  Sampler sampler_;
  Random random_{17};
  std::vector<float> numbers_;
};

OrderedJson test_schemas() {
  const std::string file = MUST(read_file(MILLRACE_SCHEMAS, 1 << 20));  // beside this
  return MUST(parse_ordered_json(file, "schemas.json"));                // ours
}

struct Tally {
  std::size_t num_answers = 0, num_tokens = 0, num_steered = 0;
};

// All schemas, so often each; every answer has to be a valid one.
Tally answer_all(Engine& engine, const Tokenizer& tokenizer, std::size_t vocabulary_size,
                 std::size_t num_each) {
  const SystemClock clock;
  const auto vocabulary = MUST(TokenVocabulary::create(tokenizer, vocabulary_size));  // has ends
  GrammarCompiler compiler(vocabulary, clock);
  Tally tally;
  std::uint64_t seed = 0;
  for (const OrderedJson& schema : test_schemas()) {
    const auto constraint = compiler.compile(ConstraintSpec::json_schema(schema.dump()));
    EXPECT_TRUE(constraint.ok()) << schema.dump() << constraint.error().message;
    if (!constraint.ok()) continue;
    std::vector<TokenStream> streams;
    for (std::size_t i = 0; i < num_each; ++i) {
      Request request;
      request.prompt = {1};
      request.max_tokens = kTokensMax;
      request.constraint = constraint.value();
      request.stop_ids.assign(vocabulary->stop_ids().begin(), vocabulary->stop_ids().end());
      request.sampling.temperature = i % 2 == 0 ? 1.0f : 0.4f;
      request.sampling.seed = ++seed;
      streams.push_back(MUST(engine.submit(std::move(request))));  // fits
    }
    while (engine.step()) {
    }
    for (TokenStream& stream : streams) {
      std::string text;
      std::size_t num_tokens = 0;
      while (const auto token = stream.try_pop()) {
        text += vocabulary->bytes(token->token);
        ++num_tokens;
      }
      tally.num_tokens += num_tokens;
      tally.num_steered += num_tokens > kTokensMax / 2 ? 1 : 0;
      EXPECT_EQ(stream.finished()->reason, FinishReason::kStop) << schema.dump() << "\n" << text;
      const auto value = parse_ordered_json(text, "answer");
      const bool is_valid = value.ok() && is_valid_json(schema, value.value());
      EXPECT_TRUE(is_valid) << schema.dump() << "\n" << text;
      ++tally.num_answers;
    }
  }
  return tally;
}

void print(const std::string& name, const Tally& tally) {
  std::printf("%s: %zu answers of %zu tokens, all valid; %zu longer than half the limit\n",
              name.c_str(), tally.num_answers, tally.num_tokens, tally.num_steered);
}

Tokenizer load(const std::string& path) {
  if (!path.ends_with(".json")) {
    return MUST(Tokenizer::create(MUST(load_tokenizer_spec(shared_data(path)))));  // published
  }
  const Json json = MUST(read_json_file(shared_data(path)));               // published
  return MUST(Tokenizer::create(MUST(parse_tokenizer_json(json, path))));  // published
}

void answer_by_chance(const std::string& path, std::size_t num_each) {
  MILLRACE_NEEDS_SHARED_DATA(path);
  const Tokenizer tokenizer = load(path);
  RandomLogits runner(tokenizer.num_tokens());
  const SystemClock clock;
  BlockPool pool(2000);
  EngineOptions options;
  options.scheduler = scheduler_options();
  options.vocabulary = tokenizer.num_tokens();
  options.context_tokens = kTokensMax + 8;
  const auto engine = MUST(Engine::create(options, pool, runner, clock));  // as documented
  print(path, answer_all(*engine, tokenizer, tokenizer.num_tokens(), num_each));
}

TEST(EngineGenerationTest, ATrainedModel) {
  const std::string path = "models/stories260k";
  MILLRACE_NEEDS_SHARED_DATA(path);
  const auto model = MUST(TestModel::load(shared_data(path), {.num_blocks = 256}));  // published
  const Tokenizer tokenizer = load(path);
  const SystemClock clock;
  BlockPool pool(model->kv_cache().num_blocks());
  EngineOptions options;
  options.scheduler = scheduler_options();
  options.vocabulary = model->spec().vocabulary;
  options.context_tokens = kTokensMax + 8;
  auto runner = MUST(DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(),
                                           options.scheduler));  // as documented
  const auto engine = MUST(Engine::create(options, pool, *runner, clock));
  print(path, answer_all(*engine, tokenizer, options.vocabulary, 12));
}
TEST(EngineGenerationTest, RandomLogitsOfLlama2) {
  answer_by_chance("tokenizers/llama2-hf", 6);
}
TEST(EngineGenerationTest, RandomLogitsOfGpt2) {
  answer_by_chance("tokenizers/gpt2/gpt2_tokenizer.json", 4);
}
TEST(EngineGenerationTest, RandomLogitsOfQwen2) {
  answer_by_chance("tokenizers/qwen2", 2);
}
TEST(EngineGenerationTest, RandomLogitsOfLlama3) {
  answer_by_chance("tokenizers/llama3", 2);
}

}  // namespace
}  // namespace millrace
