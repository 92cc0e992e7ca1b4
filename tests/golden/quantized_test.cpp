// Golden quantised checkpoints: every scheme of Hugging Face's against the libraries that define
// it, matrix by matrix and bit for bit, and its logits against transformers in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "formats/quantized_linear.h"
#include "formats/safetensors.h"
#include "support/support_table.h"
#include "support/test_model.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string golden_folder() {
  return std::string(MILLRACE_GOLDEN) + "/quantized";
}

std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (fs::exists(entry.path() / "expected.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// FNV-1a of the values' bytes, as the maker hashes them: equal when every bit is.
std::string hash_of(std::span<const float> values) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const std::byte byte : std::as_bytes(values)) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001B3u;
  }
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// The largest difference of a logit, and the median of |difference| / |expected| over positions.
struct Comparison {
  double worst = 0.0;
  double median_row = 0.0;
};

class GoldenQuantized : public ::testing::TestWithParam<std::string> {
 protected:
  std::string folder() const { return golden_folder() + "/" + GetParam(); }
  Json expected() const {
    return MUST(read_json_file(folder() + "/expected.json"));  // a file of ours
  }

  Comparison run(const TestModelOptions& options) const {
    Comparison comparison;
    auto model = TestModel::load(folder(), options);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    if (!model.ok()) return comparison;
    // Files of ours.
    const auto logits = MUST(SafetensorsFolder::open_file(folder() + "/logits.safetensors"));
    const Json prompts = expected()["prompts"];
    std::vector<double> rows;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const auto ids = prompts[i].get<std::vector<std::uint32_t>>();
      const SourceTensor want = MUST(logits->tensor("logits." + std::to_string(i)));
      const std::vector<float> got = model.value()->logits(ids, ids.size());
      compare(got, want, rows, comparison);
    }
    std::sort(rows.begin(), rows.end());
    if (!rows.empty()) comparison.median_row = rows[rows.size() / 2];
    return comparison;
  }

 private:
  static void compare(std::span<const float> got, const SourceTensor& want,
                      std::vector<double>& rows, Comparison& comparison) {
    ASSERT_EQ(got.size(), want.shape.num_elements());
    const std::size_t width = want.shape[1];
    for (std::size_t begin = 0; begin < got.size(); begin += width) {
      double errors = 0.0;
      double squares = 0.0;
      for (std::size_t i = begin; i < begin + width; ++i) {
        float value = 0.0f;
        std::memcpy(&value, want.bytes.data() + i * sizeof(float), sizeof(float));
        ASSERT_TRUE(std::isfinite(got[i]));
        const double error = double{got[i]} - double{value};
        comparison.worst = std::max(comparison.worst, std::fabs(error));
        errors += error * error;
        squares += double{value} * double{value};
      }
      rows.push_back(std::sqrt(errors / squares));
    }
  }
};

TEST_P(GoldenQuantized, MatricesAreEqualBitForBit) {
  const auto checkpoint = open_checkpoint(folder());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const QuantizationConfig* config = checkpoint.value().quantization();
  ASSERT_NE(config, nullptr);
  const Json want = expected();
  std::size_t num_equal = 0;
  for (const auto& [module, matrix] : want["matrices"].items()) {
    const std::size_t num_rows = matrix["shape"][0];
    const std::size_t num_cols = matrix["shape"][1];
    const auto linear =
        find_quantized_linear(checkpoint.value().weights(), *config, module, num_rows, num_cols);
    ASSERT_TRUE(linear.ok()) << linear.error().message;
    ASSERT_TRUE(linear.value().has_value()) << module;
    std::vector<float> values(num_rows * num_cols);
    decode_quantized_rows(*linear.value(), 0, num_rows, values);
    const bool is_equal = hash_of(values) == matrix["fnv1a"];
    EXPECT_TRUE(is_equal) << module;
    num_equal += is_equal ? 1 : 0;
  }
  record_support({.area = "HF scheme",
                  .name = want["scheme"],
                  .num_equal = num_equal,
                  .num_all = want["matrices"].size(),
                  .note = "matrices equal to the last bit"});
}

// The packed form that is chosen for a scheme's matrices loses nothing: it reads back as the
// values. Zeros may differ in sign where a scale is negative.
TEST_P(GoldenQuantized, PackedMatricesLoseNothing) {
  const auto checkpoint = open_checkpoint(folder());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const auto spec = read_spec(checkpoint.value());
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const auto plan = WeightPlan::create(checkpoint.value(), spec.value(), {});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  Buffer bytes = MUST(Buffer::allocate(plan.value().num_bytes()));
  ThreadTeam team(2);
  KernelContext context(*runnable_cpu_kernels().front(), team);
  ASSERT_TRUE(plan.value().fill(context, bytes.bytes(), [](auto, auto) {}).ok());
  std::string formats;
  for (const WeightSlot& slot : plan.value().slots()) {
    if (slot.stored.quantized == nullptr) continue;
    const std::string format(weight_format_name(slot.format));
    if (formats.find(format) == std::string::npos) formats += " " + format;
    const PackedMatrix matrix = {.format = slot.format,
                                 .num_rows = slot.stored.num_rows,
                                 .num_cols = slot.stored.num_cols,
                                 .data = bytes.bytes().data() + slot.offset};
    std::vector<float> want(matrix.num_rows * matrix.num_cols);
    read_rows(slot.stored, 0, matrix.num_rows, reinterpret_cast<std::byte*>(want.data()));
    std::vector<float> got(matrix.num_cols);
    for (std::size_t row = 0; row < matrix.num_rows; ++row) {
      unpack_row(matrix, row, got.data());
      for (std::size_t col = 0; col < got.size(); ++col)
        ASSERT_EQ(got[col], want[row * got.size() + col]) << slot.stored.name << " " << format;
    }
  }
  std::printf("golden %s: packed as%s\n", GetParam().c_str(), formats.c_str());
  EXPECT_FALSE(formats.empty());
}

// Integer kernels quantise activations too: the same bound as for the models' block types.
TEST_P(GoldenQuantized, OwnKernelsAreClose) {
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    const Comparison comparison = run({.kernels = kernels, .num_threads = 2});
    EXPECT_GT(comparison.median_row, 0.0);
    EXPECT_LT(comparison.median_row, 0.06);
  }
}

// The tolerance of the models' golden test: transformers' own float run is off by `float32_error`
// from its double run; ours sums in another order, so up to eight times that.
TEST_P(GoldenQuantized, LogitsAgreeWithTransformers) {
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    const Comparison comparison =
        run({.kernels = kernels, .num_threads = 2, .format = WeightFormat::kF32});
    EXPECT_GT(comparison.worst, 0.0);
    EXPECT_LT(comparison.worst, 8.0 * expected()["float32_error"].get<double>());
  }
}

// Every other method that checkpoints on the Hub name is refused, with its name in the message.
TEST(QuantizedSchemes, OthersAreRefusedByName) {
  const std::vector<std::pair<std::string, Json>> refused = {
      {"bitsandbytes", {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}}},
      {"HQQ", {{"quant_method", "hqq"}}},
      {"torchao", {{"quant_method", "torchao"}}},
      {"EETQ", {{"quant_method", "eetq"}}},
      {"Quanto", {{"quant_method", "quanto"}}},
      {"AQLM", {{"quant_method", "aqlm"}}},
      {"VPTQ", {{"quant_method", "vptq"}}},
      {"SpQR", {{"quant_method", "spqr"}}},
      {"HIGGS", {{"quant_method", "higgs"}}},
      {"ModelOpt", {{"quant_method", "modelopt"}}},
      {"Quark", {{"quant_method", "quark"}}},
      {"EXL2", {{"quant_method", "exl2"}}},
      {"AWQ gemv",
       {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}, {"version", "gemv"}}},
      {"GPTQ marlin",
       {{"quant_method", "gptq"},
        {"bits", 4},
        {"group_size", 128},
        {"checkpoint_format", "marlin"}}},
      {"compressed-tensors, nvfp4",
       {{"quant_method", "compressed-tensors"}, {"format", "nvfp4-pack-quantized"}}},
      {"compressed-tensors, mxfp4",
       {{"quant_method", "compressed-tensors"}, {"format", "mxfp4-pack-quantized"}}},
      {"compressed-tensors, 2:4 sparse",
       {{"quant_method", "compressed-tensors"}, {"format", "marlin-24"}}},
  };
  for (const auto& [name, quantization] : refused) {
    const auto config =
        read_quantization_config({{"quantization_config", quantization}}, "config.json");
    ASSERT_FALSE(config.ok()) << name;
    EXPECT_EQ(config.error().code, ErrorCode::kUnsupported) << name;
    record_support({.area = "HF scheme",
                    .name = name,
                    .num_equal = 0,
                    .num_all = 0,
                    .note = "refused: " + config.error().message});
  }
}

// Read without their scales, FP8 weights would be other weights.
TEST(QuantizedSchemes, ScalesWithoutAConfigAreRefused) {
  const std::string stored = golden_folder() + "/fp8-block";
  const fs::path folder = fs::path(::testing::TempDir()) / "fp8_without_config";
  fs::create_directories(folder);
  fs::copy(stored + "/model.safetensors", folder, fs::copy_options::overwrite_existing);
  Json config = MUST(read_json_file(stored + "/config.json"));  // a file of ours
  config.erase("quantization_config");
  MUST(write_file((folder / "config.json").string(), config.dump()));  // a folder of our own
  const auto model = TestModel::load(folder.string(), {});
  fs::remove_all(folder);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(model.error().message.find("quantization_config"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(EveryScheme, GoldenQuantized, ::testing::ValuesIn(golden_cases()),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace millrace
