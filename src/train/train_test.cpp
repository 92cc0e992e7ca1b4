// Packing, schedules, logs and specs of training runs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/file.h"
#include "formats/tokenizer_write_json.h"
#include "text/byte_tokenizer.h"
#include "train/corpus.h"
#include "train/packing.h"
#include "train/schedule.h"
#include "train/train_log.h"
#include "train/train_spec.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

// Documents of the lengths given; every token of all of them is another one.
TokenData numbered(const std::vector<std::size_t>& lengths,
                   LongDocument when_long = LongDocument::kCut) {
  TokenData data;
  TokenId id = 1;
  for (const std::size_t length : lengths) {
    data.begin_document(when_long);
    for (std::size_t i = 0; i < length; ++i, ++id) data.append(std::span(&id, 1), true);
  }
  return data;
}

TEST(Packing, EveryTokenIsATargetOnceInAnEpochAfterTheOneBeforeIt) {
  const TokenData data = numbered({5, 2, 9, 30, 3, 16, 7});
  RowStream stream({{&data, 1.0}}, {.context = 8, .seed = 3});
  std::map<std::int64_t, std::int64_t> before;
  const RowBatch batch = stream.next(stream.epoch_rows());
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    if (batch.targets[i] == kNoTarget) continue;
    EXPECT_EQ(batch.targets[i], batch.token_ids[i] + 1);
    EXPECT_TRUE(before.emplace(batch.targets[i], batch.token_ids[i]).second);
  }
  EXPECT_EQ(before.size(), 72u - 7u);  // all but the first of each document
  EXPECT_EQ(batch.num_targets, before.size());
  EXPECT_EQ(stream.epoch(), 1u);
}

TEST(Packing, DocumentsAreApartAndPositionsStartAnew) {
  const TokenData data = numbered({4, 4, 4});
  RowStream stream({{&data, 1.0}}, {.context = 16, .seed = 0});
  const RowBatch batch = stream.next(1);
  for (std::size_t i = 1; i < 16; ++i) {
    const bool continues = batch.documents[i] == batch.documents[i - 1];
    EXPECT_EQ(batch.positions[i], continues ? batch.positions[i - 1] + 1 : 0);
    if (continues && i < 9) {
      EXPECT_EQ(batch.token_ids[i], batch.token_ids[i - 1] + 1);
    }
  }
  EXPECT_EQ(batch.num_used, 9u);
}

TEST(Packing, SkippingIsTheSameAsTaking) {
  const TokenData data = numbered({5, 2, 9, 30, 3, 16, 7, 8, 8, 2});
  RowStream taken({{&data, 1.5}}, {.context = 8, .seed = 9});
  for (int i = 0; i < 47; ++i) taken.next(1);
  RowStream skipped({{&data, 1.5}}, {.context = 8, .seed = 9});
  skipped.skip(47);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(taken.next(1).token_ids, skipped.next(1).token_ids);
}

TEST(Packing, OfALongConversationTheBeginningIsKept) {
  const TokenData data = numbered({20}, LongDocument::kKeepBeginning);
  RowStream stream({{&data, 1.0}}, {.context = 8, .seed = 0});
  EXPECT_EQ(stream.epoch_rows(), 1u);
  EXPECT_EQ(stream.next(1).targets.back(), 9);
}

TEST(Packing, EpochsHaveOtherOrders) {
  const TokenData data = numbered(std::vector<std::size_t>(40, 8));
  RowStream stream({{&data, 1.0}}, {.context = 8, .seed = 0});
  const RowBatch first = stream.next(40);
  const RowBatch second = stream.next(40);
  EXPECT_NE(first.token_ids, second.token_ids);
  EXPECT_EQ(std::multiset<std::int64_t>(first.token_ids.begin(), first.token_ids.end()),
            std::multiset<std::int64_t>(second.token_ids.begin(), second.token_ids.end()));
}

TEST(Schedule, WarmsUpStaysAndDecays) {
  const ScheduleOptions stable{.kind = ScheduleKind::kStableDecay,
                               .peak = 1.0,
                               .warmup_steps = 9,
                               .decay_fraction = 0.5,
                               .final_fraction = 0.0};
  EXPECT_DOUBLE_EQ(learning_rate(stable, 0, 100), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(stable, 9, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(stable, 50, 100), 1.0);
  EXPECT_NEAR(learning_rate(stable, 99, 100), 0.0, 1e-12);
  const ScheduleOptions cosine{.peak = 2.0, .warmup_steps = 0, .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 0, 101), 2.0);
  EXPECT_NEAR(learning_rate(cosine, 50, 101), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate(cosine, 100, 101), 0.2, 1e-12);
}

TEST(TrainLog, RecordsComeBackAsTheyWere) {
  TrainRecord record{.step = 7,
                     .loss = 1.0 / 3.0,
                     .held_out_loss = 2.5,
                     .learning_rate = 1e-3,
                     .gradient_norm = 0.1,
                     .num_tokens = 12345,
                     .tokens_per_second = 2.0,
                     .seconds_left = 1.5};
  EXPECT_EQ(MUST(parse_train_record(train_record_line(record), "line")), record);
  record.held_out_loss.reset();
  EXPECT_EQ(MUST(parse_train_record(train_record_line(record), "line")), record);
  EXPECT_FALSE(parse_train_record("[]", "line").ok());
}

Result<TrainSpec> spec_of(const std::string& text) {
  return parse_train_spec(OrderedJson::parse(text), "spec");
}

TEST(TrainSpec, KeysBecomeOptions) {
  const auto spec = spec_of(R"({"model": {"vocab_size": 9}, "tokenizer": "t", "output": "o",
    "data": ["a.txt", {"path": "b.jsonl", "weight": 2.5}], "steps": 50, "step_rows": 16,
    "schedule": {"kind": "stable-decay", "learning_rate": 0.002}, "precision": "bf16",
    "checkpoint_time": "90s", "optimizer": {"weight_decay": 0}})");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec.value().options.num_steps, 50u);
  EXPECT_EQ(spec.value().data[1].weight, 2.5);
  EXPECT_EQ(spec.value().options.schedule.kind, ScheduleKind::kStableDecay);
  EXPECT_EQ(spec.value().options.schedule.peak, 0.002);
  EXPECT_EQ(spec.value().options.precision, Precision::kBF16);
  EXPECT_EQ(spec.value().options.checkpoint_time, std::chrono::seconds(90));
  EXPECT_EQ(spec.value().options.optimizer.weight_decay, 0.0);
}

TEST(TrainSpec, WhatIsWrongIsNamed) {
  const std::map<std::string, std::string> cases = {
      {R"({"tokenizer":"t","output":"o","data":["a"]})", "model"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":["a"],"stpes":1})", "stpes"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":["a"],"steps":0})", "steps"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":["a"],"steps":1.5})", "steps"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":{}})", "data"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":["a"],"distill":{}})", "teacher"},
      {R"({"model":{},"tokenizer":"t","output":"o","data":["a"],"precision":"f8"})", "f32"},
      {R"([])", "map"},
  };
  for (const auto& [text, word] : cases) {
    const auto spec = spec_of(text);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_NE(spec.error().message.find(word), std::string::npos) << spec.error().message;
  }
}

class CorpusTest : public ::testing::Test {
 protected:
  CorpusTest()
      : folder_(fs::temp_directory_path() / ("millrace-corpus-" + std::to_string(::getpid()))),
        tokenizer_(MUST(Tokenizer::create(byte_tokenizer_spec()))),  // a constant of ours
        chat_(MUST(
            ChatTemplate::parse("{% for m in messages %}[{{ m.role }}]{{ m.content }};{% endfor %}"
                                "{% if add_generation_prompt %}[assistant]{% endif %}"))) {
    fs::create_directories(folder_);
  }
  ~CorpusTest() override { fs::remove_all(folder_); }

  Result<TokenData> read(const std::string& name, const std::string& text,
                         const std::string& separator = "") {
    const std::string path = folder_ / name;
    MUST(write_file(path, text));  // a folder of ours
    return read_corpus(
        {.path = path, .weight = 1.0, .separator = separator},
        {.tokenizer = &tokenizer_, .chat_template = &chat_, .bos_text = {}, .eos_text = {}});
  }

  // The text of a document, what is learned in capitals.
  static std::string learned_text(const TokenData& data, std::size_t document) {
    std::string text;
    for (std::uint64_t i = data.documents()[document].begin; i < data.documents()[document].end;
         ++i) {
      const auto c = data.id(i) < 256 ? static_cast<char>(data.id(i)) : '$';
      text += data.is_learned(i) ? static_cast<char>(std::toupper(c)) : c;
    }
    return text;
  }

  fs::path folder_;
  Tokenizer tokenizer_;
  ChatTemplate chat_;
};

TEST_F(CorpusTest, TextIsCutAtItsSeparatorAndEndsInEos) {
  const TokenData data = MUST(read("a.txt", "one|two||three", "|"));
  ASSERT_EQ(data.documents().size(), 3u);
  EXPECT_EQ(learned_text(data, 1), "TWO$");
}

TEST_F(CorpusTest, OfAConversationTheAnswersAreLearned) {
  const TokenData data = MUST(
      read("a.jsonl",
           R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"},)"
           R"({"role":"user","content":"so"},{"role":"assistant","content":"la"}]})"
           "\n\n"
           R"({"text":"plain"})"));
  ASSERT_EQ(data.documents().size(), 2u);
  EXPECT_EQ(learned_text(data, 0), "[user]hi;[assistant]HO;[user]so;[assistant]LA;");
  EXPECT_EQ(learned_text(data, 1), "PLAIN$");
}

TEST_F(CorpusTest, BrokenLinesAreNamed) {
  for (const char* line : {"{", "[]", R"({"messages":3})", R"({"other":"x"})"}) {
    const auto data = read("a.jsonl", std::string(R"({"text":"x"})") + "\n" + line + "\n");
    ASSERT_FALSE(data.ok()) << line;
    EXPECT_NE(data.error().message.find("a.jsonl:2"), std::string::npos) << data.error().message;
  }
  EXPECT_FALSE(read("empty.txt", " \n").ok());
}

}  // namespace
}  // namespace millrace
