// Golden logits: every family's tiny checkpoint against transformers in double precision, in every
// file form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/json.h"
#include "formats/safetensors.h"
#include "support/support_table.h"
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
  return file.find("q8_0") != std::string::npos || file.find("q4_") != std::string::npos ||
         file.find("mxfp4") != std::string::npos;
}

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (!fs::exists(entry.path() / "prompts.json")) continue;
    const std::string folder = entry.path().string();
    const std::string family = entry.path().filename().string();
    cases.push_back({family, folder, folder + "/logits.safetensors", is_block_file(family)});
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

// What a run of all prompts came to against the expected logits.
struct Comparison {
  double worst = 0.0;                // largest difference of any logit
  std::vector<double> row_relative;  // per position: |difference| / |expected|, as vectors

  double median_row() const {
    std::vector<double> sorted = row_relative;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

void compare_rows(std::span<const float> got, std::span<const float> want, std::size_t width,
                  Comparison& comparison) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t begin = 0; begin < got.size(); begin += width) {
    double error_squares = 0.0;
    double squares = 0.0;
    for (std::size_t i = begin; i < begin + width; ++i) {
      ASSERT_TRUE(std::isfinite(got[i]));
      const double error = std::fabs(double{got[i]} - double{want[i]});
      comparison.worst = std::max(comparison.worst, error);
      error_squares += error * error;
      squares += double{want[i]} * double{want[i]};
    }
    comparison.row_relative.push_back(std::sqrt(error_squares / squares));
  }
}

// The context that prompt `index` asks the model to be configured for; nothing for its own.
std::optional<std::size_t> context_of(const Json& prompts, std::size_t index) {
  if (!prompts.contains("contexts") || prompts["contexts"][index] == 0) return std::nullopt;
  return prompts["contexts"][index].get<std::size_t>();
}

// Logits of every prompt, by a model that is configured as the prompt asks; nothing on failure.
std::vector<std::vector<float>> logits_of(const std::string& path, const Json& prompts,
                                          TestModelOptions options) {
  std::vector<std::vector<float>> all;
  std::unique_ptr<TestModel> model;
  for (std::size_t i = 0; i < prompts["prompts"].size(); ++i) {
    const std::optional<std::size_t> context = context_of(prompts, i);
    if (model == nullptr || context != options.context) {
      options.context = context;
      auto loaded = TestModel::load(path, options);
      EXPECT_TRUE(loaded.ok()) << path << ": " << (loaded.ok() ? "" : loaded.error().message);
      if (!loaded.ok()) return {};
      model = std::move(loaded).value();
    }
    const auto ids = prompts["prompts"][i].get<std::vector<std::uint32_t>>();
    all.push_back(model->logits(ids, ids.size()));
  }
  return all;
}

Comparison run_prompts(const GoldenCase& golden, const Json& prompts,
                       const TestModelOptions& options) {
  Comparison comparison;
  const auto expected = MUST(SafetensorsFolder::open_file(golden.logits));  // a file of ours
  const std::vector<std::vector<float>> logits = logits_of(golden.path, prompts, options);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::vector<float> want = read_floats(*expected, "logits." + std::to_string(i));
    compare_rows(logits[i], want, want.size() / prompts["prompts"][i].size(), comparison);
  }
  return comparison;
}

// Roundings of a float forward pass: each sum adds gamma(E + F) relative to its magnitudes, and
// what that comes to depends on the model. transformers' own float32 run is off by `float32_error`
// from its double run, in this very model; ours sums in another order, so up to eight times that.
double float_tolerance(const Json& prompts) {
  return 8.0 * prompts["float32_error"].get<double>();
}

class GoldenLogits : public ::testing::TestWithParam<GoldenCase> {
 protected:
  Json prompts() const {
    // A file of ours.
    return MUST(read_json_file(golden_folder() + "/" + GetParam().family + "/prompts.json"));
  }
};

TEST_P(GoldenLogits, AgreeWithTransformers) {
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    TestModelOptions options;
    options.kernels = kernels;
    options.num_threads = 2;
    // Block-quantised weights are unpacked to f32 without loss here; their own kernels come below.
    if (GetParam().is_int) options.format = WeightFormat::kF32;
    const Comparison comparison = run_prompts(GetParam(), prompts(), options);
    ASSERT_FALSE(comparison.row_relative.empty());
    std::printf("golden %s %s: %zu positions, worst %.2e\n", std::string(kernels->isa).c_str(),
                GetParam().path.substr(golden_folder().size()).c_str(),
                comparison.row_relative.size(), comparison.worst);
    EXPECT_LT(comparison.worst, float_tolerance(prompts()));
  }
}

// Integer kernels quantise activations to 8 bits per group of 32: an error of 1/254 of the group's
// largest value at most, 1/254/sqrt(3) in the mean, about 0.5 % of a typical value, in the input of
// each of some 15 matrices in a row; that random-walks to 2-4 % here. A wrong scale, sign or order
// gives 100 %. The median, because where a router's choice is close an expert may change, and with
// it the whole row.
TEST_P(GoldenLogits, OfIntegerKernelsAreClose) {
  if (!GetParam().is_int) return;
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    TestModelOptions options;
    options.kernels = kernels;
    options.num_threads = 2;
    const Comparison comparison = run_prompts(GetParam(), prompts(), options);
    ASSERT_FALSE(comparison.row_relative.empty());
    std::printf("golden %s %s: median error of a row %.2e\n", std::string(kernels->isa).c_str(),
                GetParam().path.substr(golden_folder().size()).c_str(), comparison.median_row());
    EXPECT_LT(comparison.median_row(), 0.06);
  }
}

// Where a GGUF file stores the folder's own values, both forms are the same model: the same bits,
// but for numbers that GGUF keeps as f32 and config.json as text (rope's factors).
TEST_P(GoldenLogits, AreTheSameInBothForms) {
  const std::string folder = golden_folder() + "/" + GetParam().family;
  if (GetParam().path == folder || GetParam().is_int) return;
  if (GetParam().logits != folder + "/logits.safetensors") return;
  const auto of_file = logits_of(GetParam().path, prompts(), {});
  const auto of_folder = logits_of(folder, prompts(), {});
  ASSERT_EQ(of_file.size(), of_folder.size());
  ASSERT_FALSE(of_file.empty());
  const Json config = MUST(read_json_file(folder + "/config.json"));  // a file of ours
  const Json scaling = config.value("rope_scaling", Json::object());
  const std::string type = scaling.value("rope_type", scaling.value("type", "default"));
  const ModelSpec file_spec = MUST(read_spec(MUST(open_checkpoint(GetParam().path))));
  const ModelSpec folder_spec = MUST(read_spec(MUST(open_checkpoint(folder))));  // files of ours
  EXPECT_EQ(file_spec.context_max, folder_spec.context_max);
  const bool has_factors = type == "llama3" || type == "longrope";
  for (std::size_t i = 0; i < of_file.size(); ++i) {
    if (!has_factors) {
      EXPECT_EQ(of_file[i], of_folder[i]) << "prompt " << i;
    }
    const std::size_t num_tokens = prompts()["prompts"][i].size();
    const std::size_t width = of_file[i].size() / num_tokens;
    for (std::size_t t = 0; t < num_tokens; ++t) {
      const auto best = [&](const std::vector<float>& logits) {
        const float* row = logits.data() + t * width;
        return std::max_element(row, row + width) - row;
      };
      EXPECT_EQ(best(of_file[i]), best(of_folder[i])) << "prompt " << i << " token " << t;
    }
  }
}

// ---- What the golden files are too small or too round to show ----

// The root of 3072, which bfloat16 would make 55.5: activations are f32 whatever the weights are.
TEST(Families, GemmaScalesEmbeddingsInTheTypeOfItsActivations) {
  const Json config = {{"architectures", {"GemmaForCausalLM"}},
                       {"vocab_size", 8},
                       {"hidden_size", 3072},
                       {"intermediate_size", 8},
                       {"num_hidden_layers", 1},
                       {"num_attention_heads", 16},
                       {"max_position_embeddings", 8},
                       {"torch_dtype", "bfloat16"}};
  // A complete config.
  const float scale = MUST(spec_from_config(config, nullptr, "config.json")).embedding_scale;
  EXPECT_FLOAT_EQ(scale, 55.425625f);
}

TEST(Families, RopeIsOneChoiceForTheConfiguredContext) {
  RopeSpec rope;
  rope.rotary_dim = 4;
  rope.original_context = 32;
  rope.factor = 2;
  const std::vector<double> plain = inverse_frequencies(rope, 1000);
  rope.scaling = RopeScaling::kDynamic;
  EXPECT_EQ(inverse_frequencies(rope, 32), plain);
  // At twice the original context the base grows to 10000 * (2 * 2 - 1)^(4 / 2).
  EXPECT_DOUBLE_EQ(inverse_frequencies(rope, 64)[1], 1.0 / std::sqrt(90000.0));
  rope.scaling = RopeScaling::kLongrope;
  rope.short_divisors = {1, 2};
  rope.long_divisors = {4, 8};
  EXPECT_DOUBLE_EQ(inverse_frequencies(rope, 32)[1], plain[1] / 2);
  EXPECT_DOUBLE_EQ(inverse_frequencies(rope, 33)[1], plain[1] / 8);
}

// Options that ask for mathematics that is not done, and lies.
TEST(Families, RefuseOptionsByName) {
  const auto message_of = [](const std::string& family, const Json& change) {
    // A file of ours.
    Json config = MUST(read_json_file(golden_folder() + "/" + family + "/config.json"));
    config.update(change);
    const Result<ModelSpec> spec = spec_from_config(config, nullptr, "config.json");
    return spec.ok() ? std::string("accepted") : spec.error().message;
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(message_of("olmo", {{"clip_qkv", 8.0}}), HasSubstr("clip_qkv"));
  EXPECT_THAT(message_of("phi2", {{"qk_layernorm", true}}), HasSubstr("qk_layernorm"));
  EXPECT_THAT(message_of("llama2", {{"residual_multiplier", 0.5}}),
              HasSubstr("residual_multiplier"));
  EXPECT_THAT(message_of("llama2", {{"final_logit_softcapping", 30.0}}),
              HasSubstr("final_logit_softcapping"));
  EXPECT_THAT(message_of("gemma2", {{"final_logit_softcapping", -1.0}}),
              HasSubstr("final_logit_softcapping"));
  EXPECT_THAT(message_of("gemma3", {{"sliding_window_pattern", 0}}),
              HasSubstr("sliding_window_pattern"));
  EXPECT_THAT(message_of("granite", {{"logits_scaling", 0}}), HasSubstr("logits_scaling"));
  EXPECT_THAT(message_of("smollm3", {{"no_rope_layers", {1, 1}}}), HasSubstr("no_rope_layers"));
  EXPECT_THAT(
      message_of("phi3-longrope",
                 {{"rope_scaling",
                   {{"type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", {1.0}}}}}),
      HasSubstr("frequency factors"));
  EXPECT_THAT(
      message_of("llama-dynamic", {{"rope_scaling", {{"type", "dynamic"}, {"factor", 0.5}}}}),
      HasSubstr("dynamic"));
  EXPECT_THAT(message_of("llama2", {{"rope_scaling", {{"type", "spiral"}}}}), HasSubstr("spiral"));
}

// ---- The table of families ----

// What config.json or the GGUF file calls the architecture.
std::string architecture_of(const GoldenCase& golden) {
  if (golden.path.ends_with(".gguf")) {
    const Checkpoint checkpoint = MUST(open_checkpoint(golden.path));  // a file of ours
    return "GGUF " + std::string(MUST(checkpoint.gguf_metadata()->get<std::string_view>(
                         "general.architecture")));
  }
  // A file of ours.
  return MUST(read_json_file(golden.path + "/config.json"))["architectures"][0];
}

// Well known, and not run: each must be refused by its name.
constexpr std::string_view kRefused[] = {
    "ArcticForCausalLM",
    "BaichuanForCausalLM",
    "BitnetForCausalLM",
    "BloomForCausalLM",
    "ChatGLMModel",
    "CodeGenForCausalLM",
    "Cohere2ForCausalLM",

    "DbrxForCausalLM",
    "Exaone4ForCausalLM",
    "ExaoneForCausalLM",
    "FalconForCausalLM",
    "FalconH1ForCausalLM",
    "FalconMambaForCausalLM",
    "Gemma3nForConditionalGeneration",
    "Glm4ForCausalLM",
    "Glm4MoeForCausalLM",
    "GlmForCausalLM",
    "GPTBigCodeForCausalLM",
    "GPTJForCausalLM",
    "GPTNeoForCausalLM",

    "InternLM2ForCausalLM",
    "JambaForCausalLM",
    "Llama4ForCausalLM",
    "Mamba2ForCausalLM",
    "MambaForCausalLM",
    "MiniCPM3ForCausalLM",
    "MiniCPMForCausalLM",
    "MptForCausalLM",
    "NemotronForCausalLM",
    "OPTForCausalLM",
    "PersimmonForCausalLM",
    "PhimoeForCausalLM",
    "QWenLMHeadModel",
    "Qwen2VLForConditionalGeneration",
    "Qwen3NextForCausalLM",
    "RecurrentGemmaForCausalLM",
    "RwkvForCausalLM",

    "T5ForConditionalGeneration",
    "XverseForCausalLM",
};

// A row for every architecture that is run, with how many of its golden files agree, and for every
// known one that is refused. No architecture without a golden file.
TEST(FamilyTable, HasAGoldenFileForEveryArchitecture) {
  std::map<std::string, SupportRow> rows;
  for (const std::string& name : supported_architectures()) rows[name].name = name;
  for (const std::string& name : supported_gguf_architectures()) {
    rows["GGUF " + name].name = "GGUF " + name;
  }
  for (const GoldenCase& golden : golden_cases()) {
    const std::string name = architecture_of(golden);
    ASSERT_TRUE(rows.contains(name)) << name;
    // A file of ours.
    const Json prompts =
        MUST(read_json_file(golden_folder() + "/" + golden.family + "/prompts.json"));
    TestModelOptions options;
    if (golden.is_int) options.format = WeightFormat::kF32;
    const Comparison comparison = run_prompts(golden, prompts, options);
    SupportRow& row = rows[name];
    ++row.num_all;
    if (!comparison.row_relative.empty() && comparison.worst < float_tolerance(prompts)) {
      ++row.num_equal;
    }
  }
  for (auto& [name, row] : rows) {
    row.area = "family";
    row.note = "files within tolerance";
    record_support(row);
    EXPECT_GT(row.num_all, 0u) << name << " has no golden file";
    EXPECT_EQ(row.num_equal, row.num_all) << name;
  }
}

TEST(FamilyTable, NamesWhatItRefuses) {
  for (const std::string_view name : kRefused) {
    const Json config = {{"architectures", {name}}};
    const Result<ModelSpec> spec = spec_from_config(config, nullptr, "config.json");
    ASSERT_FALSE(spec.ok()) << name;
    EXPECT_EQ(spec.error().code, ErrorCode::kUnsupported) << name;
    EXPECT_NE(spec.error().message.find(name), std::string::npos) << spec.error().message;
    record_support({.area = "family",
                    .name = std::string(name),
                    .num_equal = 0,
                    .num_all = 0,
                    .note = "refused by name"});
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, GoldenLogits, ::testing::ValuesIn(golden_cases()),
                         [](const auto& row) {
                           std::string name = row.param.family + "_" +
                                              fs::path(row.param.path).filename().string();
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace millrace
