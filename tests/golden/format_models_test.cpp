// A tiny checkpoint in every block type of GGUF: logits against transformers in double, on the
// values that the file stands for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/json.h"
#include "formats/safetensors.h"
#include "support/test_model.h"

namespace millrace {
namespace {

std::string golden_folder() {
  return std::string(MILLRACE_GOLDEN) + "/formats";
}

Json prompts_file() {
  return MUST(read_json_file(golden_folder() + "/prompts.json"));  // a file of ours
}

std::vector<std::string> golden_types() {
  std::vector<std::string> names;
  const Json file = prompts_file();
  for (const auto& [name, error] : file["float32_error"].items()) names.push_back(name);
  return names;
}

std::vector<float> expected_logits(const std::string& name) {
  // A file of ours.
  const auto file = MUST(SafetensorsFolder::open_file(golden_folder() + "/logits.safetensors"));
  const SourceTensor tensor = MUST(file->tensor(name));  // a file of ours
  std::vector<float> values(tensor.shape.num_elements());
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

double norm(const float* values, const float* origin, std::size_t count) {
  double squares = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = double{values[i]} - (origin == nullptr ? 0.0 : double{origin[i]});
    squares += value * value;
  }
  return std::sqrt(squares);
}

// What a run of all prompts came to against the expected logits.
struct Comparison {
  double worst = 0;                  // largest difference of any logit
  std::vector<double> row_relative;  // per position: |difference| / |expected|, as vectors

  double median_row() {
    std::sort(row_relative.begin(), row_relative.end());
    return row_relative[row_relative.size() / 2];
  }
};

class FormatModels : public ::testing::TestWithParam<std::string> {
 protected:
  Comparison run(const CpuKernels& kernels, std::optional<WeightFormat> format) const {
    TestModelOptions options;
    options.kernels = &kernels;
    options.num_threads = 2;
    options.format = format;
    Comparison comparison;
    auto model = TestModel::load(golden_folder() + "/" + GetParam() + ".gguf", options);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    if (!model.ok()) return comparison;
    const std::size_t width = model.value()->spec().vocabulary;
    const Json prompts = prompts_file();
    for (std::size_t i = 0; i < prompts["prompts"].size(); ++i) {
      const auto ids = prompts["prompts"][i].get<std::vector<std::uint32_t>>();
      const std::vector<float> got = model.value()->logits(ids, ids.size());
      const std::vector<float> want = expected_logits(GetParam() + "." + std::to_string(i));
      EXPECT_EQ(got.size(), want.size());
      for (std::size_t at = 0; at < std::min(got.size(), want.size()); at += width) {
        for (std::size_t v = at; v < at + width; ++v) {
          comparison.worst = std::max(comparison.worst, std::abs(double{got[v]} - double{want[v]}));
        }
        comparison.row_relative.push_back(norm(&got[at], &want[at], width) /
                                          norm(&want[at], nullptr, width));
      }
    }
    return comparison;
  }
};

INSTANTIATE_TEST_SUITE_P(EveryType, FormatModels, ::testing::ValuesIn(golden_types()),
                         [](const auto& test) { return test.param; });

// Unpacked to f32: transformers' own float32 run is off by `float32_error`; ours sums in another
// order, so up to eight times that.
TEST_P(FormatModels, AgreeInFloat) {
  const double tolerance = 8 * prompts_file()["float32_error"][GetParam()].get<double>();
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    const Comparison comparison = run(*kernels, WeightFormat::kF32);
    ASSERT_EQ(comparison.row_relative.size(), 30u);
    EXPECT_LT(comparison.worst, tolerance) << kernels->isa;
  }
}

// As they are loaded: the weights are the very same (GoldenBlocks.PackWithoutLoss), but activations
// are rounded to 8 bits in groups of 32. Of normal values that is an error of 2.1 / 127 / sqrt(12)
// = 0.5 % of their spread in each product; five products follow each other, whose errors add up as
// a random walk to 1.1 %, and both factors of the gate and both sides of the attention's scores
// have theirs, about doubling it. A wrong scale, minimum, sign or order gives 100 %.
TEST_P(FormatModels, AgreeAsTheyAreLoaded) {
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    Comparison comparison = run(*kernels, std::nullopt);
    ASSERT_EQ(comparison.row_relative.size(), 30u);
    std::printf("golden %s %s: median error of a row %.2e\n", std::string(kernels->isa).c_str(),
                GetParam().c_str(), comparison.median_row());
    EXPECT_LT(comparison.median_row(), 0.025) << kernels->isa;
  }
}

}  // namespace
}  // namespace millrace
