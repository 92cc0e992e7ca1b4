// Golden adapters: PEFT folders on tiny models against PEFT and transformers in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/lora_adapter.h"
#include "support/test_model.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string adapters_folder() {
  return std::string(MILLRACE_GOLDEN) + "/adapters";
}

struct Golden {
  std::string folder;
  Json facts;
  std::string model;
  std::vector<std::uint32_t> prompt;

  explicit Golden(const std::string& name)
      : folder(adapters_folder() + "/" + name),
        facts(MUST(read_json_file(folder + "/golden.json"))),  // files of ours
        model(std::string(MILLRACE_GOLDEN) + "/models/" + facts["model"].get<std::string>()),
        prompt(facts["prompt"].get<std::vector<std::uint32_t>>()) {}

  std::vector<float> expected(const std::string& what) const {
    const auto source = MUST(SafetensorsFolder::open_file(folder + "/expected.safetensors"));
    const SourceTensor tensor = MUST(source->tensor(what));
    std::vector<float> values(tensor.shape.num_elements());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  // As for the models: what transformers' own float32 run is off by, eight times.
  double tolerance(const char* what) const {
    return 8.0 * facts["float32_errors"][what].get<double>();
  }
};

std::vector<std::string> adapter_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(adapters_folder())) {
    if (fs::exists(entry.path() / "adapter_config.json")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

double worst_difference(std::span<const float> got, std::span<const float> want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0;
  for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    if (!std::isfinite(got[i])) return HUGE_VAL;
    worst = std::max(worst, std::abs(double{got[i]} - double{want[i]}));
  }
  return worst;
}

class GoldenAdapters : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenAdapters, AgreeWithPeft) {
  const Golden golden(GetParam());
  const std::vector<float> want = golden.expected("logits");
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    TestModelOptions options;
    options.kernels = kernels;
    options.num_threads = 1;
    options.adapter_rank_max = 32;
    const auto model = MUST(TestModel::load(golden.model, options));
    const auto adapter = MUST(LoraAdapter::load(golden.folder, model->spec(), {.rank_max = 32}, 1));
    const std::vector<float> got =
        model->logits(golden.prompt, golden.prompt.size(), 0, adapter.get());
    const double worst = worst_difference(got, want);
    std::printf("adapter %s %s: worst %.2e, allowed %.2e\n", std::string(kernels->isa).c_str(),
                GetParam().c_str(), worst, golden.tolerance("logits"));
    EXPECT_LT(worst, golden.tolerance("logits"));
    // Several threads give the same, bit for bit.
    options.num_threads = 3;
    const auto team = MUST(TestModel::load(golden.model, options));
    EXPECT_EQ(team->logits(golden.prompt, golden.prompt.size(), 0, adapter.get()), got);
    options.num_threads = 1;
    // So do chunks; without the adapter it is something else.
    for (const std::size_t chunk : {1u, 7u, 16u}) {
      EXPECT_EQ(model->logits(golden.prompt, chunk, 0, adapter.get()), got) << chunk;
    }
    const std::vector<float> plain = model->logits(golden.prompt, golden.prompt.size());
    EXPECT_GT(worst_difference(plain, want), 0.3);
    // A decoder that is planned for adapters gives the bits of one that is not.
    options.adapter_rank_max = 0;
    const auto without = MUST(TestModel::load(golden.model, options));
    EXPECT_EQ(without->logits(golden.prompt, golden.prompt.size()), plain);
  }
}

INSTANTIATE_TEST_SUITE_P(Peft, GoldenAdapters, ::testing::ValuesIn(adapter_names()),
                         [](const auto& name) {
                           std::string text = name.param;
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

// q and k of a GGUF file are put back in Hugging Face's order, which is the adapters'.
TEST(GoldenAdapters, FitTheSameModelInGguf) {
  for (const char* name : {"llama-all", "qwen2-all", "phi3-fused", "gemma2-all"}) {
    const Golden golden(name);
    std::string file;
    for (const auto& entry : fs::directory_iterator(golden.model)) {
      if (entry.path().filename() == "model-bf16.gguf") file = entry.path().string();
    }
    if (file.empty()) continue;
    const auto model = MUST(TestModel::load(file, {.adapter_rank_max = 16}));
    const auto adapter = MUST(LoraAdapter::load(golden.folder, model->spec(), {}, 1));
    const std::vector<float> got =
        model->logits(golden.prompt, golden.prompt.size(), 0, adapter.get());
    EXPECT_LT(worst_difference(got, golden.expected("logits")), golden.tolerance("logits")) << name;
  }
}

}  // namespace
}  // namespace millrace
