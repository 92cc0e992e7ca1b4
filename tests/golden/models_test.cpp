// Golden logits: every family's tiny checkpoint against transformers in double precision, in every
// file form.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "formats/safetensors.h"
#include "support/test_model.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

struct GoldenCase {
  std::string family;
  std::string path;     // what is opened
  std::string logits;   // the file of expected logits
  bool is_int = false;  // block-quantised weights, whose kernels quantise activations too
};

std::string golden_folder() {
  return std::string(MILLRACE_GOLDEN) + "/models";
}

bool is_block_file(const std::string& file) {
  return file.find("q8_0") != std::string::npos || file.find("q4_") != std::string::npos;
}

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (!fs::exists(entry.path() / "prompts.json")) continue;
    const std::string folder = entry.path().string();
    const std::string family = entry.path().filename().string();
    cases.push_back({family, folder, folder + "/logits.safetensors"});
    const Json prompts = MUST(read_json_file(folder + "/prompts.json"));  // a file of ours
    for (const Json& row : prompts.value("gguf", Json::array())) {
      const std::string file = row["file"];
      cases.push_back({family, folder + "/" + file, folder + "/" + row["logits"].get<std::string>(),
                       is_block_file(file)});
    }
  }
  std::sort(cases.begin(), cases.end(),
            [](const GoldenCase& a, const GoldenCase& b) { return a.path < b.path; });
  return cases;
}

std::vector<float> read_floats(const WeightSource& source, const std::string& name) {
  const SourceTensor tensor = MUST(source.tensor(name));  // a file of ours
  std::vector<float> values(tensor.shape.num_elements());
  CHECK(tensor.dtype == DType::kF32);
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class GoldenLogits : public ::testing::TestWithParam<GoldenCase> {};

// float rounding of a forward pass of L layers: each of the about 20 L sums adds gamma(E + F)
// relative to its magnitudes. transformers' own float32 run is off by `float32_error` (stored with
// the logits), which measures how these roundings add up in this very model; ours sums in another
// order, so eight times that.
double float_tolerance(const Json& prompts) {
  return 8.0 * prompts["float32_error"].get<double>();
}

TEST_P(GoldenLogits, AgreeWithTransformers) {
  const GoldenCase& golden = GetParam();
  const Json prompts =
      MUST(read_json_file(golden_folder() + "/" + golden.family + "/prompts.json"));
  const auto expected = MUST(SafetensorsFile::open(golden.logits));
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    auto model = TestModel::load(golden.path, {.kernels = kernels, .num_threads = 2});
    ASSERT_TRUE(model.ok()) << model.error().message;
    double worst = 0.0;
    double largest = 0.0;
    double error_squares = 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < prompts["prompts"].size(); ++i) {
      const auto ids = prompts["prompts"][i].get<std::vector<std::uint32_t>>();
      const std::vector<float> got = model.value()->logits(ids, ids.size());
      const std::vector<float> want = read_floats(*expected, "logits." + std::to_string(i));
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t j = 0; j < got.size(); ++j) {
        const double error = std::fabs(double{got[j]} - double{want[j]});
        ASSERT_TRUE(std::isfinite(got[j]));
        worst = std::max(worst, error);
        largest = std::max(largest, std::fabs(double{want[j]}));
        error_squares += error * error;
        squares += double{want[j]} * double{want[j]};
      }
    }
    const double relative = std::sqrt(error_squares / squares);
    std::printf("golden %s %s: worst %.2e of %.2f, relative %.2e\n", kernels->isa,
                fs::path(golden.path).filename().c_str(), worst, largest, relative);
    if (golden.is_int) {
      // Activations in 8 bits per group of 32: an error of at most 1/254 of the group's largest
      // value in each input, 1/254/sqrt(3) in the mean; over about 7 matrices a layer and a few
      // layers that random-walks to some per cent. A wrong scale, order or sign gives 1.
      EXPECT_LT(relative, 0.05);
    } else {
      EXPECT_LT(worst, float_tolerance(prompts));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, GoldenLogits, ::testing::ValuesIn(golden_cases()),
                         [](const auto& info) {
                           std::string name = info.param.family + "_" +
                                              fs::path(info.param.path).filename().string();
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace millrace
