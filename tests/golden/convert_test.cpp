// Conversions of every golden model: against independently written GGUF files, and round trips.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "formats/checkpoint.h"
#include "formats/decode.h"
#include "model/export.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string golden_folder() {
  return std::string(MILLRACE_GOLDEN) + "/models";
}

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_folder())) {
    if (fs::exists(entry.path() / "prompts.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A folder that goes away with the test.
class ConvertTest : public ::testing::TestWithParam<std::string> {
 protected:
  ConvertTest() {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("millrace_convert_" + std::to_string(::getpid()) + "_" +
                                           std::to_string(std::hash<std::string>{}(name)));
    fs::create_directories(folder_);
  }
  ~ConvertTest() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

Result<ExportReport> convert(const std::string& source, const std::string& destination,
                             ExportOptions options) {
  const Checkpoint checkpoint = TRY(open_checkpoint(source));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  const ExportFacts facts = TRY(read_export_facts(checkpoint));
  const CheckpointSource tensors(checkpoint, spec);
  const ExportModel model{.spec = &spec, .facts = &facts, .source = &tensors};
  std::uint64_t last = 0;
  ExportReport report = TRY(export_model(model, {}, destination, options,
                                         [&](std::uint64_t done, std::uint64_t total) -> Status {
                                           EXPECT_LE(done, total);
                                           last = done;
                                           return Ok{};
                                         }));
  EXPECT_EQ(last, report.num_bytes);
  return report;
}

ExportOptions to_gguf(std::optional<DType> format = std::nullopt) {
  return {.layout = ExportLayout::kGguf, .format = format};
}
ExportOptions to_folder(std::optional<DType> format = std::nullopt) {
  return {.layout = ExportLayout::kHuggingFace, .format = format};
}

// The golden GGUF files hold a made-up tokenizer and a name of their own; everything else must be
// the same, key by key, type by type.
void expect_same_metadata(const GgufMetadata& got, const GgufMetadata& want) {
  const auto is_compared = [](const std::string& key) {
    return !key.starts_with("tokenizer.") && key != "general.name";
  };
  std::set<std::string> keys;
  for (const GgufEntry& entry : want.entries()) {
    if (!is_compared(entry.key)) continue;
    keys.insert(entry.key);
    const GgufValue* value = got.find(entry.key);
    ASSERT_NE(value, nullptr) << entry.key;
    EXPECT_EQ(value->type, entry.value.type) << entry.key;
    ASSERT_EQ(value->payload.size(), entry.value.payload.size()) << entry.key;
    EXPECT_EQ(std::memcmp(value->payload.data(), entry.value.payload.data(), value->payload.size()),
              0)
        << entry.key;
  }
  for (const GgufEntry& entry : got.entries()) {
    if (!is_compared(entry.key)) continue;
    EXPECT_TRUE(keys.contains(entry.key)) << entry.key << " is extra";
  }
}

void expect_same_tensors(const WeightSource& got, const WeightSource& want) {
  EXPECT_EQ(got.tensors().size(), want.tensors().size());
  for (const TensorInfo& tensor : want.tensors()) {
    const TensorInfo* found = got.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->type_name, tensor.type_name) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    ASSERT_EQ(found->bytes.size(), tensor.bytes.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(found->bytes.data(), tensor.bytes.data(), tensor.bytes.size()), 0)
        << tensor.name;
  }
}

std::vector<float> decoded(const WeightSource& source, const std::string& name) {
  const SourceTensor tensor = MUST(source.tensor(name));  // compared with a listing before
  std::vector<float> values(tensor.shape.num_elements());
  decode(tensor.dtype, tensor.bytes, values);
  return values;
}

// Rounding to q4_0 leaves ties open: whether x / d is rounded to float before 8.5 is added differs
// between implementations. Where values differ, both are equally near to the original, up to that
// rounding: 2^-24 of 16 steps.
void expect_equally_near(const WeightSource& got, const WeightSource& want,
                         const WeightSource& truth) {
  ASSERT_EQ(got.tensors().size(), want.tensors().size());
  std::size_t num_ties = 0;
  std::size_t num_values = 0;
  for (const TensorInfo& tensor : want.tensors()) {
    const std::vector<float> a = decoded(got, tensor.name);
    const std::vector<float> b = decoded(want, tensor.name);
    const std::vector<float> x = decoded(truth, tensor.name);
    ASSERT_EQ(a.size(), b.size()) << tensor.name;
    num_values += a.size();
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] == b[i]) continue;
      ++num_ties;
      const double step = std::fabs(double{a[i]} - double{b[i]});
      // The stored scale is rounded to f16, 2^-11 of up to 8 steps.
      EXPECT_NEAR(std::fabs(a[i] - x[i]), std::fabs(b[i] - x[i]), step * 0x1.0p-7)
          << tensor.name << " " << i;
    }
  }
  EXPECT_LT(num_ties * 100, num_values);  // One value in a hundred, at most.
}

// Whether this program writes the family's architecture; it reads more.
bool is_written(const std::string& family) {
  static const std::set<std::string> written = {"LlamaForCausalLM",   "MistralForCausalLM",
                                                "MixtralForCausalLM", "Qwen2ForCausalLM",
                                                "Qwen3ForCausalLM",   "Qwen3MoeForCausalLM"};
  // A file of ours.
  const Json config = MUST(read_json_file(golden_folder() + "/" + family + "/config.json"));
  return family != "llama-dynamic" && written.contains(config["architectures"][0]);
}

// What GGUF cannot say, and the words of the refusal.
std::string refusal_of(const std::string& family) {
  if (family == "llama-dynamic") return "cannot hold rope scaling by the length of the context";
  if (!is_written(family)) return "cannot hold architecture ";
  if (family == "qwen2-window") return "a sliding window of 8 in some layers only";
  if (family == "qwen3-moe-mixed") return "layers without experts among layers with them";
  return "";
}

// "model-q8_0.gguf" names its type.
std::optional<DType> format_in_name(const std::string& file) {
  const std::size_t begin = file.find('-') + 1;
  return dtype_from_name(file.substr(begin, file.find('.') - begin));
}

TEST_P(ConvertTest, WritesTheSameGgufAsTheIndependentWriter) {
  if (!is_written(GetParam())) GTEST_SKIP() << GetParam() << " is not written";
  const std::string folder = golden_folder() + "/" + GetParam();
  const Json prompts = MUST(read_json_file(folder + "/prompts.json"));  // a file of ours
  std::size_t num_compared = 0;
  for (const Json& row : prompts.value("gguf", Json::array())) {
    const std::string file = row["file"];
    const std::optional<DType> format = format_in_name(file);
    if (!format) continue;  // a copy with another version number
    const auto report = convert(folder, at(file), to_gguf(format));
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_TRUE(report.value().warnings.empty());
    const auto got = MUST(GgufFile::open(at(file)));              // just written
    const auto want = MUST(GgufFile::open(folder + "/" + file));  // a file of ours
    expect_same_metadata(got->metadata(), want->metadata());
    ++num_compared;
    if (format != DType::kQ4_0) {
      expect_same_tensors(*got, *want);
      continue;
    }
    MUST(convert(folder, at("truth.gguf"), to_gguf(DType::kF32)));  // as above
    expect_equally_near(*got, *want, *MUST(GgufFile::open(at("truth.gguf"))));
  }
  if (num_compared == 0) GTEST_SKIP() << GetParam() << " has no independent GGUF file";
}

// Numbers that GGUF keeps as floats come back rounded to them.
void round_as_gguf(ModelSpec& spec) {
  for (RopeSpec& rope : spec.ropes) {
    for (double* number : {&rope.base, &rope.factor, &rope.beta_fast, &rope.beta_slow}) {
      *number = static_cast<double>(static_cast<float>(*number));
    }
  }
}

void expect_same_spec(ModelSpec got, ModelSpec want) {
  round_as_gguf(want);
  ASSERT_EQ(got.ropes.size(), want.ropes.size());
  for (std::size_t i = 0; i < got.ropes.size(); ++i) {
    // Stored as a float, relative to the temperature.
    EXPECT_NEAR(got.ropes[i].attention_factor, want.ropes[i].attention_factor, 1e-6);
    got.ropes[i].attention_factor = want.ropes[i].attention_factor;
  }
  EXPECT_TRUE(got == want);
}

TEST_P(ConvertTest, RoundTripThroughGgufKeepsEveryBit) {
  const std::string folder = golden_folder() + "/" + GetParam();
  const auto written = convert(folder, at("model.gguf"), to_gguf());
  const std::string refusal = refusal_of(GetParam());
  if (!refusal.empty()) {
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(written.error().message.find(refusal), std::string::npos) << written.error().message;
    EXPECT_FALSE(fs::exists(at("model.gguf")));
    return;
  }
  ASSERT_TRUE(written.ok()) << written.error().message;

  const Checkpoint original = MUST(open_checkpoint(folder));  // a file of ours
  ModelSpec want = MUST(read_spec(original));
  const DType dtype = written.value().main_dtype;
  const auto back = convert(at("model.gguf"), at("back"), to_folder(dtype));
  ASSERT_TRUE(back.ok()) << back.error().message;
  const Checkpoint checkpoint = MUST(open_checkpoint(at("back")));
  // GGUF's llama is one architecture; a window makes it Mistral's again.
  if (GetParam() == "mistral-full") want.architecture = "LlamaForCausalLM";
  expect_same_spec(MUST(read_spec(checkpoint)), want);
  expect_same_tensors(checkpoint.weights(), original.weights());
}

TEST_P(ConvertTest, FolderToShardedFolderKeepsEveryBit) {
  const std::string folder = golden_folder() + "/" + GetParam();
  if (!is_written(GetParam())) {
    const auto refused = convert(folder, at("copy"), to_folder());
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(refused.error().message.find("cannot hold "), std::string::npos)
        << refused.error().message;
    EXPECT_FALSE(fs::exists(at("copy")));
    return;
  }
  ExportOptions options = to_folder();
  options.shard_bytes_max = 20'000;
  const auto report = convert(folder, at("copy"), options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(fs::exists(at("copy/model.safetensors.index.json")));
  const Checkpoint original = MUST(open_checkpoint(folder));  // a file of ours
  const Checkpoint copy = MUST(open_checkpoint(at("copy")));
  EXPECT_TRUE(MUST(read_spec(copy)) == MUST(read_spec(original)));
  expect_same_tensors(copy.weights(), original.weights());
  EXPECT_TRUE(unused_tensors(original, MUST(read_spec(original))).empty());
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, ConvertTest, ::testing::ValuesIn(families()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- Refusals and the appearance of outputs ----

class ConvertOutput : public ConvertTest {};

TEST_F(ConvertOutput, RefusesWhatIsThere) {
  const std::string source = golden_folder() + "/smollm";
  ASSERT_TRUE(convert(source, at("model.gguf"), to_gguf()).ok());
  auto again = convert(source, at("model.gguf"), to_gguf());
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("exists already"), std::string::npos);
  ExportOptions replace = to_gguf();
  replace.overwrite = Overwrite::kReplace;
  EXPECT_TRUE(convert(source, at("model.gguf"), replace).ok());
}

TEST_F(ConvertOutput, ReplacesOnlyFoldersThatHoldCheckpoints) {
  const std::string source = golden_folder() + "/smollm";
  ASSERT_TRUE(convert(source, at("model"), to_folder()).ok());
  EXPECT_FALSE(convert(source, at("model"), to_folder()).ok());
  ExportOptions replace = to_folder(DType::kF32);
  replace.overwrite = Overwrite::kReplace;
  ASSERT_TRUE(convert(source, at("model/"), replace).ok());
  const Json config = MUST(read_json_file(at("model/config.json")));
  EXPECT_EQ(config["torch_dtype"], "float32");

  fs::create_directories(at("home/letters"));
  const auto refused = convert(source, at("home"), replace);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("is not replaced"), std::string::npos);
  EXPECT_TRUE(fs::exists(at("home/letters")));
}

TEST_F(ConvertOutput, QuantisedFoldersAreRefusedWithAHint) {
  const auto refused = convert(golden_folder() + "/llama3", at("folder"), to_folder(DType::kQ8_0));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("write GGUF"), std::string::npos);
  const auto kept = convert(golden_folder() + "/llama3/model-q8_0.gguf", at("folder"), to_folder());
  ASSERT_FALSE(kept.ok());
  EXPECT_NE(kept.error().message.find("f32, f16 or bf16"), std::string::npos);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 0);
}

// 48 columns are no multiple of 32: those matrices keep bf16, and the report counts them.
TEST_F(ConvertOutput, MatricesThatDoNotFitABlockKeepTheirType) {
  const auto report =
      convert(golden_folder() + "/mistral-full", at("m.gguf"), to_gguf(DType::kQ8_0));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().num_kept, 6u);  // o_proj of 4 heads of 12 and down_proj, in 3 layers
  const auto file = MUST(GgufFile::open(at("m.gguf")));
  EXPECT_EQ(file->find("blk.0.ffn_down.weight")->type_name, "BF16");
  EXPECT_EQ(file->find("blk.0.ffn_up.weight")->type_name, "Q8_0");
}

TEST_F(ConvertOutput, WindowIsKeptAndWarnedAbout) {
  const auto report = convert(golden_folder() + "/mistral", at("m.gguf"), to_gguf());
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report.value().warnings.size(), 1u);
  EXPECT_NE(report.value().warnings[0].find("sliding window of 8"), std::string::npos);
  const Checkpoint checkpoint = MUST(open_checkpoint(at("m.gguf")));
  const ModelSpec spec = MUST(read_spec(checkpoint));
  EXPECT_EQ(spec.layers[2].attention.window, 8u);
}

// llama.cpp's keys on the way there, generation_config.json's on the way back.
TEST_F(ConvertOutput, RecommendedSamplingGoesAlong) {
  fs::copy(golden_folder() + "/smollm", at("model"), fs::copy_options::recursive);
  ASSERT_TRUE(write_file(at("model/generation_config.json"),
                         R"({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "do_sample": true,)"
                         R"( "repetition_penalty": "much"})")
                  .ok());
  ASSERT_TRUE(convert(at("model"), at("m.gguf"), to_gguf()).ok());
  const Checkpoint gguf = MUST(open_checkpoint(at("m.gguf")));
  const auto temperature = gguf.gguf_metadata()->get<double>("general.sampling.temp");
  ASSERT_TRUE(temperature.ok());
  EXPECT_FLOAT_EQ(static_cast<float>(temperature.value()), 0.6f);
  const Json expected = {{"temperature", 0.6}, {"top_k", 20}, {"top_p", 0.95}};
  EXPECT_EQ(gguf.generation_config(), expected);
  ASSERT_TRUE(convert(at("m.gguf"), at("back"), to_folder()).ok());
  const Json back = MUST(read_json_file(at("back/generation_config.json")));
  EXPECT_EQ(back["temperature"], 0.6);
  EXPECT_EQ(back["top_k"], 20);
  EXPECT_EQ(back["top_p"], 0.95);
  EXPECT_FALSE(back.contains("repetition_penalty"));
}

}  // namespace
}  // namespace millrace
