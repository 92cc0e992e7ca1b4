// Hot prompts of a real model over restarts: same bits from a file, and rebuilt when it is no good.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/random.h"
#include "engine/decoder_runner.h"
#include "engine/hot_prompt_store.h"
#include "support/test_model.h"

namespace millrace {
namespace {

constexpr std::uint32_t kBlockTokens = 8;

KvSnapshotKey key() {
  return {.model = {1, 2}, .packing_version = 3, .kernel_row = "any", .context = 4};
}

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::size_t num_cached = 0;
  bool operator==(const Answer& other) const {
    return tokens == other.tokens && logprobs == other.logprobs;
  }
};

// A server's life: model, cache and engine made anew.
struct Life {
  Life(DType kv_dtype, std::vector<std::vector<TokenId>> prompts, const std::string& path)
      : model(MUST(TestModel::load(
            std::string(MILLRACE_GOLDEN) + "/models/llama3",
            {.kv_dtype = kv_dtype, .block_tokens = kBlockTokens, .num_blocks = 40}))),
        pool(model->kv_cache().num_blocks()),
        store(std::move(prompts), model->kv_cache(), key(), path) {
    EngineOptions options;
    options.scheduler = {.num_requests_max = 8,
                         .num_sequences_max = 2,
                         .step_tokens_max = 64,
                         .block_tokens = kBlockTokens,
                         .hot = {.pinned_blocks_max = 12,
                                 .found_blocks_max = 4,
                                 .found_tokens_min = 8,
                                 .requests_min = 3}};
    options.vocabulary = model->spec().vocabulary;
    options.context_tokens = 120;
    runner = MUST(DecoderRunner::create(model->decoder(), model->context(), model->kv_cache(),
                                        options.scheduler));
    engine = MUST(Engine::create(options, pool, *runner, clock));
    store.restore(*engine);
    engine->start();
    store.warm([&](std::vector<TokenId> prompt) { return engine->pin(std::move(prompt)); });
  }
  Answer ask(std::vector<TokenId> prompt) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = 6;
    request.sampling = {.temperature = 0, .top_logprobs = 0};
    TokenStream stream = MUST(engine->submit(std::move(request)));
    Answer answer;
    while (const auto token = stream.pop()) {
      answer.tokens.push_back(token->token);
      answer.logprobs.push_back(token->logprob.value());
    }
    answer.num_cached = stream.finished()->num_cached;
    return answer;
  }

  std::unique_ptr<TestModel> model;
  SystemClock clock;
  BlockPool pool;
  HotPromptStore store;
  std::unique_ptr<DecoderRunner> runner;
  std::unique_ptr<Engine> engine;
};

class HotPromptsTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "hot-prompts-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/model.kv";
    Random random(1);
    for (int i = 0; i < 43; ++i) prompt_.push_back(static_cast<TokenId>(random.below(60)));
    question_ = prompt_;
    for (int i = 0; i < 5; ++i) question_.push_back(static_cast<TokenId>(random.below(60)));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::string path_;
  std::vector<TokenId> prompt_;  // five blocks and a rest
  std::vector<TokenId> question_;
};

TEST_P(HotPromptsTest, TheFirstRequestIsWarmAlsoAfterARestart) {
  const Answer cold = Life(GetParam(), {}, "").ask(question_);
  EXPECT_EQ(cold.num_cached, 0u);
  {
    Life first(GetParam(), {prompt_}, path_);
    EXPECT_EQ(first.store.report().num_prompts, 1u);
    EXPECT_EQ(first.store.report().num_computed_tokens, 40u);
    const Answer warm = first.ask(question_);
    EXPECT_EQ(warm.num_cached, 40u);
    EXPECT_EQ(warm, cold);
    ASSERT_TRUE(first.store.save(*first.engine).ok());
  }
  Life second(GetParam(), {prompt_}, path_);
  EXPECT_EQ(second.store.report().file_refused, std::nullopt);
  EXPECT_EQ(second.store.report().num_prompts, 1u);
  EXPECT_EQ(second.store.report().num_restored_tokens, 40u);
  EXPECT_EQ(second.store.report().num_computed_tokens, 0u);
  const Answer warm = second.ask(question_);
  EXPECT_EQ(warm.num_cached, 40u);
  EXPECT_EQ(warm, cold);  // bit for bit
}

TEST_P(HotPromptsTest, ADamagedFileIsRefusedAndRebuilt) {
  {
    Life first(GetParam(), {prompt_}, path_);
    ASSERT_TRUE(first.store.save(*first.engine).ok());
  }
  const Answer cold = Life(GetParam(), {}, "").ask(question_);
  const std::uintmax_t size = std::filesystem::file_size(path_);
  for (const std::uintmax_t at : {std::uintmax_t{50}, size / 2, size - 1}) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    Life life(GetParam(), {prompt_}, path_);
    ASSERT_TRUE(life.store.report().file_refused.has_value()) << at;
    EXPECT_EQ(life.store.report().file_refused->code, ErrorCode::kCorruptData);
    EXPECT_EQ(life.store.report().num_prompts, 1u);
    EXPECT_GT(life.store.report().num_computed_tokens, 0u);
    const Answer warm = life.ask(question_);
    EXPECT_EQ(warm.num_cached, 40u);
    EXPECT_EQ(warm, cold);
    ASSERT_TRUE(life.store.save(*life.engine).ok());
    EXPECT_TRUE(KvSnapshot::open(path_, key(), life.model->kv_cache().spec()).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(EveryCacheType, HotPromptsTest,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kI8),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

class HotPromptsOfAFile : public HotPromptsTest {};
INSTANTIATE_TEST_SUITE_P(OneType, HotPromptsOfAFile, ::testing::Values(DType::kF16),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

TEST_P(HotPromptsOfAFile, OtherPromptsTakeWhatTheFileHasOfThem) {
  std::vector<TokenId> shorter = prompt_;
  shorter.resize(17);
  std::vector<TokenId> other(20, 7);
  {
    Life first(GetParam(), {prompt_}, path_);
    ASSERT_TRUE(first.store.save(*first.engine).ok());
  }
  Life second(GetParam(), {shorter, other}, path_);
  EXPECT_EQ(second.store.report().num_prompts, 2u);
  EXPECT_EQ(second.store.report().num_restored_tokens, 16u);
  EXPECT_EQ(second.store.report().num_computed_tokens, 16u);
  ASSERT_TRUE(second.store.save(*second.engine).ok());
  const KvSnapshot saved = MUST(KvSnapshot::open(path_, key(), second.model->kv_cache().spec()));
  EXPECT_EQ(saved.tables().num_prefixes(), 2u);  // what nobody asks for any more has gone
}

TEST_P(HotPromptsOfAFile, FoundPrefixesComeBackToo) {
  {
    Life first(GetParam(), {}, path_);
    for (int i = 0; i < 5; ++i) {
      std::vector<TokenId> prompt(prompt_.begin(), prompt_.begin() + 16);
      for (int j = 0; j < 9; ++j) prompt.push_back(static_cast<TokenId>(20 * i + j) % 60);
      first.ask(prompt);
    }
    ASSERT_TRUE(first.store.save(*first.engine).ok());
  }
  Life second(GetParam(), {}, path_);
  EXPECT_EQ(second.store.report().num_restored_tokens, 16u);
  EXPECT_EQ(second.ask(question_).num_cached, 16u);
}

TEST_P(HotPromptsOfAFile, ConversationsThatReturnFindWhatWasSaid) {
  Life life(GetParam(), {}, "");
  std::vector<TokenId> said = prompt_;
  std::size_t num_expected = 0;
  for (int turn = 0; turn < 5; ++turn) {
    const Answer answer = life.ask(said);
    EXPECT_EQ(answer.num_cached, num_expected) << "turn " << turn;
    EXPECT_EQ(answer, Life(GetParam(), {}, "").ask(said)) << "turn " << turn;
    said.insert(said.end(), answer.tokens.begin(), answer.tokens.end());
    // All but the last token of the answer were computed.
    num_expected = (said.size() - 1) / kBlockTokens * kBlockTokens;
    for (TokenId i = 0; i < 4; ++i) said.push_back(i);
  }
}

TEST_P(HotPromptsOfAFile, WhatCannotBePinnedIsNamedAndTheOthersAre) {
  Life life(GetParam(), {{1, 2, 3}, prompt_, std::vector<TokenId>(100, 5)}, "");
  EXPECT_EQ(life.store.report().num_prompts, 1u);
  ASSERT_EQ(life.store.report().refused.size(), 2u);
  EXPECT_EQ(life.store.report().refused[0].message,
            "a hot prompt of 3 tokens does not fill a block of 8");
  EXPECT_NE(life.store.report().refused[1].message.find("at most 12 may be"), std::string::npos);
}

}  // namespace
}  // namespace millrace
