// A model for tests of the server: writes the alphabet over and over, as slowly as it is told.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "engine/model_registry.h"
#include "memory/block_pool.h"
#include "serve/service/model_directory.h"
#include "text/byte_tokenizer.h"

namespace millrace {

// Bytes are tokens; token n of an answer is letter n of the alphabet.
class AlphabetRunner final : public ModelRunner {
 public:
  explicit AlphabetRunner(const std::atomic<int>& step_ms) : step_ms_(step_ms) {}
  Status run(const StepPlan& plan, StepResult& result) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(step_ms_.load()));
    for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
      if (!plan.chunks[i].samples) continue;
      const Sequence& sequence = *plan.chunks[i].sequence;
      const auto letter = static_cast<TokenId>('a' + sequence.num_generated() % 26);
      result.samples[i] = {.outcome = SampleOutcome::kToken, .token = letter, .logprob = -0.5f};
      const std::uint32_t num_top = sequence.request.sampling.top_logprobs.value_or(0);
      result.samples[i].num_top = num_top;
      for (std::uint32_t k = 0; k < num_top; ++k) {
        result.top_space(i)[k] = {.token = (letter - 'a' + k) % 26 + 'a',
                                  .logprob = -0.5f - static_cast<float>(k)};
      }
    }
    return Ok{};
  }

 private:
  const std::atomic<int>& step_ms_;
};

struct FakeModelOptions {
  std::size_t context_tokens = 8192;
  std::size_t num_blocks = 4096;
  bool truncates_prompts = false;
  std::optional<std::size_t> max_tokens = std::nullopt;
  SchedulerOptions scheduler = {.num_requests_max = 4096};
};

class FakeModel final : public ServedModel {
 public:
  FakeModel(const FakeModelOptions& options, const std::atomic<int>& step_ms)
      : options_(options),
        pool_(static_cast<std::uint32_t>(options.num_blocks)),
        runner_(step_ms) {}
  BlockPool& pool() override { return pool_; }
  ModelRunner& runner() override { return runner_; }
  EngineOptions engine_options() const override {
    EngineOptions engine;
    engine.scheduler = options_.scheduler;
    engine.vocabulary = kByteTokenizerTokens;
    engine.context_tokens = options_.context_tokens;
    return engine;
  }

 private:
  const FakeModelOptions options_;
  BlockPool pool_;
  AlphabetRunner runner_;
};

// Any name but "broken" can be loaded.
class FakeLoader final : public ModelLoader, public ModelCatalog {
 public:
  explicit FakeLoader(FakeModelOptions options) : options_(std::move(options)) {}
  Result<std::uint64_t> num_bytes(const std::string&) override { return std::uint64_t{1000}; }
  Result<std::unique_ptr<ServedModel>> load(const std::string& name) override {
    if (name == "broken") return Error{ErrorCode::kCorruptData, "the file is damaged"};
    return std::unique_ptr<ServedModel>(std::make_unique<FakeModel>(options_, step_ms));
  }
  Result<ModelFacts> facts(const std::string&) override {
    Tokenizer tokenizer = TRY(Tokenizer::create(byte_tokenizer_spec()));
    ModelFacts facts{.tokenizer = std::move(tokenizer)};
    facts.stop_ids = {kByteTokenizerEos};
    facts.vocabulary = kByteTokenizerTokens;
    facts.context_tokens = options_.context_tokens;
    facts.truncates_prompts = options_.truncates_prompts;
    facts.max_tokens = options_.max_tokens;
    return facts;
  }

  std::atomic<int> step_ms{0};

 private:
  const FakeModelOptions options_;
};

}  // namespace millrace
