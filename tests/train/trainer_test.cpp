// Training runs: that they learn, and that a broken one goes on as if it had not been.
#include "train/trainer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/random.h"
#include "model/read_spec.h"
#include "train/initial_weights.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

const OrderedJson& tiny_config() {
  static const OrderedJson config = OrderedJson::parse(R"({
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 32,
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "hidden_act": "silu", "tie_word_embeddings": true, "eos_token_id": 0})");
  return config;
}

ModelSpec tiny_spec() {
  // A constant of ours.
  return MUST(spec_from_config(Json::parse(tiny_config().dump()), nullptr, "tiny"));
}

// Documents that count: each token is the one before plus the document's stride, modulo 31.
TokenData counting_data(std::uint64_t seed, std::size_t num_documents) {
  Random random(seed);
  TokenData data;
  for (std::size_t i = 0; i < num_documents; ++i) {
    data.begin_document(LongDocument::kCut);
    std::vector<TokenId> ids;
    auto id = static_cast<TokenId>(random.below(31));
    const auto stride = static_cast<TokenId>(random.between(1, 3));
    const std::uint64_t length = random.between(8, 30);
    for (std::uint64_t n = 0; n < length; ++n) {
      ids.push_back(id + 1);
      id = (id + stride) % 31;
    }
    data.append(ids, true);
  }
  return data;
}

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest()
      : spec_(tiny_spec()),
        initial_(spec_, 3),
        data_(counting_data(1, 300)),
        held_out_(counting_data(2, 40)),
        folder_(fs::temp_directory_path() / ("millrace-trainer-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    job_.spec = &spec_;
    job_.config = &tiny_config();
    job_.initial = &initial_;
    job_.data = {{&data_, 1.0}};
    job_.held_out = {{&held_out_, 1.0}};
    job_.identity = "counting";
    job_.options.num_steps = 60;
    job_.options.context = 32;
    job_.options.step_rows = 8;
    job_.options.micro_rows = 4;
    job_.options.log_steps = 5;
    job_.options.evaluate_steps = 20;
    job_.options.checkpoint_steps = 10;
    job_.options.num_threads = 1;
    job_.options.schedule = {.peak = 1e-2, .warmup_steps = 5};
  }
  ~TrainerTest() override { fs::remove_all(folder_); }

  // Ends after `stop_after` steps of this call, as a killed process would: nothing is saved there.
  Result<TrainOutcome> run(const std::string& name, std::size_t stop_after = 1'000'000) {
    job_.folder = folder_ / name;
    std::size_t num_steps = 0;
    return run_training(job_, {.clock = &clock_,
                               .on_record = [](const TrainRecord&) { return true; },
                               .is_stopped = [&] { return ++num_steps >= stop_after; }});
  }

  // What must be equal of a record, whatever the clock did.
  std::vector<std::string> losses(const std::string& name) {
    std::vector<std::string> lines;
    std::ifstream file(folder_ / name / "log.jsonl");
    for (std::string line; std::getline(file, line);) {
      TrainRecord record = MUST(parse_train_record(line, name));  // written by the run above
      record.tokens_per_second = record.seconds_left = 0.0;
      lines.push_back(train_record_line(record));
    }
    return lines;
  }

  std::string weights(const std::string& name) {
    return MUST(read_file(folder_ / name / "model/model.safetensors", 1u << 24));
  }

  ModelSpec spec_;
  InitialWeights initial_;
  TokenData data_, held_out_;
  fs::path folder_;
  SystemClock clock_;
  TrainJob job_;
};

TEST_F(TrainerTest, Learns) {
  const auto outcome = run("run");
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome.value().is_finished);
  const auto first = MUST(parse_train_record(losses("run").front(), "first"));
  ASSERT_TRUE(outcome.value().last.held_out_loss.has_value());
  // A uniform guess costs log 32 = 3.47; the stride is known from the third token on.
  EXPECT_GT(first.loss, 2.5);
  EXPECT_LT(*outcome.value().last.held_out_loss, 1.2);
  EXPECT_TRUE(file_exists(folder_ / "run" / "report.html"));
}

TEST_F(TrainerTest, ABrokenRunGoesOnToTheSameLossesAndWeights) {
  ASSERT_TRUE(run("whole").ok());
  ASSERT_FALSE(MUST(run("broken", 23)).is_finished);
  // What a process that is killed while it writes may leave.
  std::ofstream(folder_ / "broken/log.jsonl", std::ios::app) << R"({"step":25,"lo)";
  fs::create_directories(folder_ / "broken/checkpoints/step-00000030.part-1/model");
  const auto second = run("broken", 14);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second.value().resumed_step, 20u);
  const auto third = run("broken");
  ASSERT_TRUE(third.ok()) << third.error().message;
  EXPECT_EQ(third.value().resumed_step, 30u);
  EXPECT_TRUE(third.value().is_finished);
  EXPECT_EQ(losses("broken"), losses("whole"));
  EXPECT_EQ(weights("broken"), weights("whole"));
  EXPECT_EQ(losses("whole").size(), 12u);
}

TEST_F(TrainerTest, AnotherSeedIsAnotherRun) {
  ASSERT_TRUE(run("first", 10).ok());
  job_.options.seed = 1;
  ASSERT_TRUE(run("second", 10).ok());
  EXPECT_NE(losses("first"), losses("second"));
}

TEST_F(TrainerTest, ACheckpointOfAnotherRunIsRefused) {
  ASSERT_TRUE(run("run", 10).ok());
  job_.identity = "something else";
  const auto outcome = run("run");
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
}

// The sum of the gradients of small passes is that of a large one, up to roundings.
TEST_F(TrainerTest, PassesOfAStepAddUp) {
  job_.options.num_steps = 5;
  ASSERT_TRUE(run("small").ok());
  job_.options.micro_rows = 8;
  ASSERT_TRUE(run("large").ok());
  const auto small = MUST(parse_train_record(losses("small").back(), "small"));
  const auto large = MUST(parse_train_record(losses("large").back(), "large"));
  EXPECT_NEAR(small.loss, large.loss, 1e-4);
}

// Three workers for eight rows: passes of 3, 3 and 2, added in order whoever is first. A worker
// that kept its gradients to itself would train on a part of the rows.
TEST_F(TrainerTest, WorkersSideBySideAddUpToTheSameBitsEachTime) {
  job_.options.num_steps = 10;
  ASSERT_TRUE(run("alone").ok());
  job_.options.num_threads = 3;
  ASSERT_TRUE(run("first").ok());
  ASSERT_TRUE(run("second").ok());
  EXPECT_EQ(losses("first"), losses("second"));
  EXPECT_EQ(weights("first"), weights("second"));
  const auto alone = MUST(parse_train_record(losses("alone").back(), "alone"));
  const auto together = MUST(parse_train_record(losses("first").back(), "first"));
  EXPECT_NEAR(alone.loss, together.loss, 1e-3);
  EXPECT_NEAR(*alone.held_out_loss, *together.held_out_loss, 1e-3);
  EXPECT_NEAR(alone.gradient_norm, together.gradient_norm, 1e-2);
}

TEST_F(TrainerTest, AStudentOfSeveralWorkersFollowsItsTeacherToo) {
  job_.options.num_steps = 5;
  ASSERT_TRUE(run("teacher").ok());
  const Checkpoint teacher = MUST(open_checkpoint(folder_ / "teacher/model"));
  const CheckpointSource source(teacher, spec_);
  job_.teacher = &source;
  job_.teacher_spec = &spec_;
  job_.options.distill = DistillOptions{.weight = 0.5, .temperature = 2.0, .top_k = 8};
  ASSERT_TRUE(run("alone").ok());
  job_.options.num_threads = 4;
  ASSERT_TRUE(run("together").ok());
  const auto alone = MUST(parse_train_record(losses("alone").back(), "alone"));
  const auto together = MUST(parse_train_record(losses("together").back(), "together"));
  EXPECT_NEAR(alone.loss, together.loss, 1e-3);
  EXPECT_NEAR(alone.gradient_norm, together.gradient_norm, 1e-2);
}

TEST_F(TrainerTest, AStudentFollowsItsTeacher) {
  job_.options.num_steps = 100;
  ASSERT_TRUE(run("teacher").ok());
  const Checkpoint teacher = MUST(open_checkpoint(folder_ / "teacher/model"));
  const CheckpointSource source(teacher, spec_);
  job_.teacher = &source;
  job_.teacher_spec = &spec_;
  job_.options.distill = DistillOptions{.weight = 1.0, .temperature = 1.0, .top_k = 8};
  const auto student = run("student");
  ASSERT_TRUE(student.ok()) << student.error().message;
  // Nothing but the teacher was followed, and the text is known as well.
  EXPECT_LT(*student.value().last.held_out_loss, 1.2);
  EXPECT_LT(student.value().last.loss, 0.3);  // the divergence itself
}

TEST_F(TrainerTest, WeightsThatAreRoundedWhileTrainingStillLearn) {
  job_.options.quantization = TrainQuantization::kInt8;
  const auto outcome = run("run");
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_LT(*outcome.value().last.held_out_loss, 1.2);
}

}  // namespace
}  // namespace millrace
