// Conversions of trained models and their tokenizers, and metadata against what another converter
// wrote for published models.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_write_gguf.h"
#include "formats/tokenizer_write_json.h"
#include "model/export.h"
#include "model/export_gguf.h"
#include "model/public_shapes.h"
#include "model/random_weights.h"
#include "model/read_spec.h"
#include "support/shared_data.h"
#include "text/byte_tokenizer.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

class SharedData : public ::testing::Test {
 protected:
  SharedData() {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ =
        fs::temp_directory_path() / ("millrace_convert_" + std::to_string(::getpid()) + "_" + name);
    fs::create_directories(folder_);
  }
  ~SharedData() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

Result<TokenizerSpec> tokenizer_of(const Checkpoint& checkpoint) {
  if (checkpoint.gguf_metadata() != nullptr) {
    return load_tokenizer_spec(*checkpoint.gguf_metadata());
  }
  return load_tokenizer_spec(checkpoint.folder());
}

// What `millrace convert` does.
Status convert(const std::string& source, const std::string& destination, ExportLayout layout) {
  const Checkpoint checkpoint = TRY(open_checkpoint(source));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  const ExportFacts facts = TRY(read_export_facts(checkpoint));
  const CheckpointSource tensors(checkpoint, spec);
  const TokenizerSpec tokenizer = TRY(tokenizer_of(checkpoint));
  ExportCompanions companions;
  companions.files = {{"tokenizer.json", TRY(tokenizer_json_of(tokenizer)).dump()},
                      {"tokenizer_config.json", tokenizer_config_json_of(tokenizer, 512).dump()}};
  companions.add_gguf_keys = [&](GgufMetadataBuilder& metadata) -> Status {
    const auto notes = TRY(add_tokenizer_metadata(
        tokenizer, {.num_rows = spec.vocabulary, .bos_id = spec.bos_id, .eos_ids = spec.eos_ids},
        metadata));
    EXPECT_TRUE(notes.empty());
    return Ok{};
  };
  const ExportModel model{.spec = &spec, .facts = &facts, .source = &tensors};
  TRY(export_model(model, companions, destination, {.layout = layout},
                   [](std::uint64_t, std::uint64_t) -> Status { return Ok{}; }));
  return Ok{};
}

// The model and its tokenizer are the same, whatever the formats: tensors by role and in one order
// of rows, and the ids of a text.
void expect_same_model(const std::string& got_path, const std::string& want_path) {
  SCOPED_TRACE(got_path + " against " + want_path);
  const Checkpoint got = MUST(open_checkpoint(got_path));
  const Checkpoint want = MUST(open_checkpoint(want_path));
  const ModelSpec got_spec = MUST(read_spec(got));
  const ModelSpec want_spec = MUST(read_spec(want));
  EXPECT_TRUE(got_spec == want_spec);
  const CheckpointSource got_tensors(got, got_spec);
  const CheckpointSource want_tensors(want, want_spec);
  for (const RequiredTensor& tensor : required_tensors(want_spec)) {
    ASSERT_EQ(MUST(got_tensors.dtype(tensor)), DType::kF32);
    std::vector<float> a(tensor.shape.num_elements());
    std::vector<float> b(a.size());
    MUST(got_tensors.read(tensor, 0, tensor.shape[0], std::as_writable_bytes(std::span(a))));
    MUST(want_tensors.read(tensor, 0, tensor.shape[0], std::as_writable_bytes(std::span(b))));
    ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0)
        << hugging_face_name(tensor.key.role, want_spec.architecture, tensor.key.layer);
  }
  const std::string text =
      MUST(read_file(MILLRACE_SHARED_DATA "/models/stories260k/reference.json", 1u << 20)) +
      " Once upon a time, Zo\xC3\xAB saw a \xF0\x9F\x8E\xA9.\n\tThe  end.";
  const Tokenizer got_tokenizer = MUST(Tokenizer::create(MUST(tokenizer_of(got))));
  const Tokenizer want_tokenizer = MUST(Tokenizer::create(MUST(tokenizer_of(want))));
  const auto ids = MUST(want_tokenizer.encode(text));
  EXPECT_EQ(MUST(got_tokenizer.encode(text)), ids);
  EXPECT_EQ(MUST(got_tokenizer.decode(ids)), MUST(want_tokenizer.decode(ids)));
  EXPECT_EQ(got_tokenizer.end_of_generation_ids().size(),
            want_tokenizer.end_of_generation_ids().size());
}

TEST_F(SharedData, TrainedModelsInAllDirections) {
  MILLRACE_NEEDS_SHARED_DATA("models");
  for (const std::string name : {"stories260k", "babyllama"}) {
    const std::string source = std::string(MILLRACE_SHARED_DATA "/models/") + name;
    const std::string gguf = source + "/" + name + "-f32.gguf";
    const auto run = [](const Status& status) {
      ASSERT_TRUE(status.ok()) << status.error().message;
    };
    run(convert(source, at(name + ".gguf"), ExportLayout::kGguf));
    expect_same_model(at(name + ".gguf"), source);
    expect_same_model(at(name + ".gguf"), gguf);
    run(convert(gguf, at(name), ExportLayout::kHuggingFace));
    expect_same_model(at(name), source);
    run(convert(at(name), at(name + "-2.gguf"), ExportLayout::kGguf));
    expect_same_model(at(name + "-2.gguf"), gguf);
    const std::string llama2c = source + "/" + name + ".llama2c.bin";
    if (!fs::exists(llama2c)) continue;
    run(convert(llama2c, at(name + "-3.gguf"), ExportLayout::kGguf));
    expect_same_model(at(name + "-3.gguf"), source);
    run(convert(llama2c, at(name + "-3"), ExportLayout::kHuggingFace));
    expect_same_model(at(name + "-3"), source);
  }
}

// ---- Published vocabularies ----

Result<TokenizerSpec> load_at(const std::string& path) {
  if (fs::is_directory(path)) return load_tokenizer_spec(path);
  return load_tokenizer_spec(TRY(GgufFile::open(path))->metadata());
}

// A text with every kind of character, from the vocabularies' own tests.
std::string test_text() {
  return MUST(
      read_file(MILLRACE_SHARED_DATA "/tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf.inp", 1u << 20));
}

TEST_F(SharedData, PublishedTokenizersSurviveBothForms) {
  MILLRACE_NEEDS_SHARED_DATA("tokenizers");
  const std::string text = test_text();
  for (const std::string name :
       {"qwen2", "llama3", "llama2-hf", "ggml-vocab/ggml-vocab-gpt-2.gguf",
        "ggml-vocab/ggml-vocab-llama-spm.gguf", "ggml-vocab/ggml-vocab-starcoder.gguf",
        "ggml-vocab/ggml-vocab-deepseek-coder.gguf"}) {
    SCOPED_TRACE(name);
    const auto loaded = load_at(std::string(MILLRACE_SHARED_DATA "/tokenizers/") + name);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    const TokenizerSpec& spec = loaded.value();
    const auto ids = MUST(MUST(Tokenizer::create(spec)).encode(text));

    const std::string folder = at(fs::path(name).stem());
    fs::create_directories(folder);
    const auto json = tokenizer_json_of(spec);
    ASSERT_TRUE(json.ok()) << json.error().message;
    MUST(write_file(folder + "/tokenizer.json", json.value().dump()));
    MUST(write_file(folder + "/tokenizer_config.json", tokenizer_config_json_of(spec, 1).dump()));
    const auto from_json = load_at(folder);
    ASSERT_TRUE(from_json.ok()) << from_json.error().message;
    EXPECT_EQ(MUST(MUST(Tokenizer::create(from_json.value())).encode(text)), ids);

    GgufMetadataBuilder metadata;
    const auto notes = add_tokenizer_metadata(
        spec, {.num_rows = spec.pieces.size() + 64, .bos_id = {}, .eos_ids = {}}, metadata);
    ASSERT_TRUE(notes.ok()) << notes.error().message;
    auto writer = MUST(create_gguf(folder + ".gguf", metadata, {}));
    MUST(writer->finish());
    const auto from_gguf = load_at(folder + ".gguf");
    ASSERT_TRUE(from_gguf.ok()) << from_gguf.error().message;
    EXPECT_EQ(MUST(MUST(Tokenizer::create(from_gguf.value())).encode(text)), ids);
  }
}

// ---- What another converter wrote for published models ----

struct Published {
  const char* file;
  const char* config;  // The model's config.json, but for what no key comes from.
  // Keys of its program alone, or that it leaves out.
  std::set<std::string> not_compared;
};

const Published kPublished[] = {
    {"Meta-Llama-3-8B-Instruct.json",
     R"({"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
         "intermediate_size": 14336, "max_position_embeddings": 8192, "num_attention_heads": 32,
         "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
         "rope_theta": 500000.0, "vocab_size": 128256, "tie_word_embeddings": false})",
     {}},
    {"Mistral-7B-Instruct-v0.2.json",
     R"({"architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
         "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
         "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
         "rope_theta": 1000000.0, "sliding_window": null, "vocab_size": 32000})",
     {}},
    {"Mixtral-8x7B-Instruct-v0.1.json",
     R"({"architectures": ["MixtralForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
         "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
         "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
         "num_local_experts": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
         "sliding_window": null, "vocab_size": 32000})",
     {}},
    {"Qwen2.5-0.5B-Instruct.json",
     R"({"architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896,
         "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
         "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
         "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
         "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936})",
     {"general.parameter_count"}},
};

std::string text_of(const GgufValue& value) {
  if (const auto text = value.as_string()) return std::string(*text);
  if (const auto number = value.as_unsigned()) return std::to_string(*number);
  char text[64];
  std::snprintf(text, sizeof(text), "%g", value.as_float().value_or(-1.0));
  return text;
}

class PublishedMetadata : public SharedData, public ::testing::WithParamInterface<Published> {};

// Stored by hand with a comma too many in one of them.
Result<Json> read_expected(const std::string& path) {
  std::string text = TRY(read_file(path, 1u << 20));
  const std::size_t last = text.find_last_not_of(" \n}");
  if (last != std::string::npos && text[last] == ',') text[last] = ' ';
  return parse_json(text, path);
}

TEST_P(PublishedMetadata, KeysValuesAndTensorNamesAgree) {
  MILLRACE_NEEDS_SHARED_DATA("configs");
  const Published& published = GetParam();
  const ModelSpec spec = MUST(spec_from_config(Json::parse(published.config), nullptr, "config"));
  const ExportTensors plan =
      MUST(plan_export_tensors(spec, RandomWeights(0), ExportLayout::kGguf, DType::kF16));
  const GgufExport gguf = MUST(gguf_metadata_of(spec, {}, plan.main_dtype));
  auto writer = MUST(create_gguf(at("keys.gguf"), gguf.metadata, {}));
  MUST(writer->finish());
  const auto file = MUST(GgufFile::open(at("keys.gguf")));
  std::set<std::string> names;
  for (const ExportTensor& tensor : plan.tensors) names.insert(tensor.declaration.name);

  const auto expected =
      read_expected(std::string(MILLRACE_SHARED_DATA "/configs/ollama-convert/") + published.file);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  std::size_t num_keys = 0;
  std::size_t num_tensors = 0;
  for (const auto& [key, value] : expected.value().items()) {
    if (key.starts_with("tokenizer.") || published.not_compared.contains(key)) continue;
    if (key.ends_with(".weight") || key.ends_with(".bias")) {
      EXPECT_TRUE(names.contains(key)) << key;
      ++num_tensors;
      continue;
    }
    const GgufValue* found = file->metadata().find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(text_of(*found), value == "1e+06" ? "1e+06" : value.get<std::string>()) << key;
    ++num_keys;
  }
  EXPECT_EQ(num_tensors, names.size());
  EXPECT_GE(num_keys, 10u);
}

INSTANTIATE_TEST_SUITE_P(Models, PublishedMetadata, ::testing::ValuesIn(kPublished),
                         [](const auto& param) {
                           std::string name = param.param.file;
                           name.resize(name.find(".json"));
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

// ---- Models with random weights ----

TEST_F(SharedData, RandomModelsOpenAndHaveTheirShape) {
  for (const char* name : {"stories260k", "smollm2-135m", "qwen3-0.6b", "qwen2.5-0.5b"}) {
    SCOPED_TRACE(name);
    const PublicShape& shape = *MUST(find_public_shape(name));
    ModelSpec spec = MUST(spec_of(shape, {.num_layers = 1, .vocabulary = 300}));
    spec.bos_id = kByteTokenizerBos;
    spec.eos_ids = {kByteTokenizerEos};
    const ExportFacts facts = facts_of(shape);
    const RandomWeights weights(3);
    const ExportModel model{.spec = &spec, .facts = &facts, .source = &weights};
    const auto no_progress = [](std::uint64_t, std::uint64_t) -> Status { return Ok{}; };
    for (const auto& [path, options] :
         {std::pair<std::string, ExportOptions>{at(name), {.format = DType::kBF16}},
          {at(name) + ".gguf", {.layout = ExportLayout::kGguf, .format = DType::kQ4_0}}}) {
      const auto written = export_model(model, {}, path, options, no_progress);
      ASSERT_TRUE(written.ok()) << written.error().message;
      const Checkpoint checkpoint = MUST(open_checkpoint(path));
      const auto read = read_spec(checkpoint);
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_TRUE(read.value() == spec);
      EXPECT_TRUE(unused_tensors(checkpoint, read.value()).empty());
      EXPECT_EQ(checkpoint.weights().num_parameters(), count_parameters(spec).total);
    }
  }
}

}  // namespace
}  // namespace millrace
