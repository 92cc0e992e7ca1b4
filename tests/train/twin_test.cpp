// The trainer's forward pass against the engine's and against transformers, for every family.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "formats/safetensors.h"
#include "support/test_model.h"
#include "train/model_folder.h"
#include "train/trainer.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string golden_folder() {
  return std::string(MILLRACE_GOLDEN) + "/models";
}

std::vector<std::string> golden_families() {
  std::vector<std::string> families;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (fs::exists(entry.path() / "prompts.json")) families.push_back(entry.path().filename());
  }
  std::sort(families.begin(), families.end());
  return families;
}

double worst_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    EXPECT_TRUE(std::isfinite(a[i]));
    worst = std::max(worst, std::fabs(double{a[i]} - double{b[i]}));
  }
  return worst;
}

std::vector<float> read_floats(const WeightSource& source, const std::string& name) {
  const SourceTensor tensor = MUST(source.tensor(name));  // a file of ours
  std::vector<float> values(tensor.shape.num_elements());
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class TwinLogits : public ::testing::TestWithParam<std::string> {
 protected:
  std::string folder() const { return golden_folder() + "/" + GetParam(); }
  Json prompts() const { return MUST(read_json_file(folder() + "/prompts.json")); }  // ours
};

// transformers' own float32 run is off by `float32_error` from its double run in this very model.
// Another order of the sums may be off by a few times that: eight, as golden_models_test allows the
// engine; the twin against the engine may differ by what both are off.
TEST_P(TwinLogits, AgreeWithTransformersAndWithTheEngine) {
  const Json golden = prompts();
  const double tolerance = 8.0 * golden["float32_error"].get<double>();
  const auto expected = MUST(SafetensorsFolder::open_file(folder() + "/logits.safetensors"));
  const Checkpoint checkpoint = MUST(open_checkpoint(folder()));
  for (std::size_t i = 0; i < golden["prompts"].size(); ++i) {
    ModelSpec spec = MUST(read_spec(checkpoint));
    TestModelOptions options;
    // Blocks are unpacked without loss, as the twin does it.
    if (GetParam().find("mxfp4") != std::string::npos) options.format = WeightFormat::kF32;
    if (golden.contains("contexts") && golden["contexts"][i] != 0) {
      options.context = golden["contexts"][i].get<std::size_t>();
      spec.context_max = *options.context;
    }
    const auto ids = golden["prompts"][i].get<std::vector<std::uint32_t>>();
    const auto twin = twin_logits(spec, CheckpointSource(checkpoint, spec), ids);
    ASSERT_TRUE(twin.ok()) << twin.error().message;
    const auto model = MUST(TestModel::load(folder(), options));
    const std::vector<float> engine = model->logits(ids, ids.size());
    const std::vector<float> want = read_floats(*expected, "logits." + std::to_string(i));
    EXPECT_LT(worst_difference(twin.value(), want), tolerance) << "prompt " << i;
    EXPECT_LT(worst_difference(twin.value(), engine), 2.0 * tolerance) << "prompt " << i;
  }
}

// After some training the folder that was written is the model that was trained: what the engine
// says of it is what the trainer says of it.
TEST_P(TwinLogits, OfATrainedModelAreTheEnginesOfTheFolder) {
  const Checkpoint checkpoint = MUST(open_checkpoint(folder()));
  const ModelSpec spec = MUST(read_spec(checkpoint));
  if (!check_trainable_folder(spec).ok() || checkpoint.quantization() != nullptr) return;
  const Json golden = prompts();
  const auto ids = golden["prompts"][0].get<std::vector<std::uint32_t>>();
  TokenData data;
  data.begin_document(LongDocument::kCut);
  for (int times = 0; times < 20; ++times) data.append(ids, true);
  const std::string run =
      fs::temp_directory_path() / ("millrace-twin-" + GetParam() + std::to_string(::getpid()));
  const OrderedJson config = OrderedJson::parse(checkpoint.config().dump());
  const CheckpointSource initial(checkpoint, spec);
  TrainJob job;
  job.spec = &spec;
  job.config = &config;
  job.initial = &initial;
  job.data = {{&data, 1.0}};
  job.folder = run;
  job.options.num_steps = 4;
  job.options.context = std::min<std::size_t>(ids.size(), spec.context_max);
  job.options.step_rows = 2;
  job.options.num_threads = 1;
  job.options.log_steps = 1;
  job.options.schedule = {.kind = ScheduleKind::kConstant, .peak = 1e-3, .warmup_steps = 0};
  const SystemClock clock;
  const auto outcome = run_training(job, {.clock = &clock,
                                          .on_record = [](const TrainRecord&) { return true; },
                                          .is_stopped = [] { return false; }});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome.value().is_finished);

  const Checkpoint trained = MUST(open_checkpoint(run + "/model"));
  EXPECT_EQ(MUST(read_spec(trained)), spec);
  const auto before = twin_logits(spec, initial, ids);
  const auto after = twin_logits(spec, CheckpointSource(trained, spec), ids);
  ASSERT_TRUE(after.ok()) << after.error().message;
  const double tolerance = 8.0 * golden["float32_error"].get<double>();
  EXPECT_GT(worst_difference(after.value(), before.value()), 100.0 * tolerance);
  const auto model = MUST(TestModel::load(run + "/model", {}));
  // Weights of four steps have grown by less than a third, and the errors with them.
  EXPECT_LT(worst_difference(after.value(), model->logits(ids, ids.size())), 3.0 * tolerance);
  fs::remove_all(run);
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, TwinLogits, ::testing::ValuesIn(golden_families()),
                         [](const auto& p) {
                           std::string name = p.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace millrace
