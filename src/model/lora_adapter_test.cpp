// Adapter folders that lie, and those that ask for what is not done.
#include "model/lora_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "model/lora_config.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

Json plain_config() {
  return {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}, {"target_modules", {"q_proj"}}};
}

std::string config_error(const Json& change) {
  Json config = plain_config();
  config.update(change);
  const auto parsed = parse_lora_config(config.dump(), "adapter_config.json");
  return parsed.ok() ? "accepted" : parsed.error().message;
}

TEST(LoraConfig, RefusesByNameWhatItDoesNotDo) {
  EXPECT_EQ(config_error(Json::object()), "accepted");
  EXPECT_THAT(config_error({{"peft_type", "IA3"}}), HasSubstr("IA3 is not LORA"));
  EXPECT_THAT(config_error({{"use_dora", true}}), HasSubstr("DoRA is not implemented"));
  EXPECT_THAT(config_error({{"modules_to_save", {"lm_head"}}}), HasSubstr("modules_to_save"));
  EXPECT_THAT(config_error({{"bias", "all"}}), HasSubstr("trained biases"));
  EXPECT_THAT(config_error({{"lora_bias", true}}), HasSubstr("lora_bias"));
  EXPECT_THAT(config_error({{"layer_replication", {{0, 2}}}}), HasSubstr("layer_replication"));
  EXPECT_THAT(config_error({{"trainable_token_indices", {1}}}), HasSubstr("trainable_token"));
  EXPECT_THAT(config_error({{"init_lora_weights", "pissa_niter_4"}}), HasSubstr("pissa_niter_4"));
  EXPECT_THAT(config_error({{"brand_new_option", 3}}), HasSubstr("brand_new_option"));
  // What says nothing is as if it were left out.
  EXPECT_EQ(config_error({{"brand_new_option", nullptr},
                          {"other_option", false},
                          {"use_dora", false},
                          {"modules_to_save", Json::array()},
                          {"init_lora_weights", "gaussian"}}),
            "accepted");
}

TEST(LoraConfig, RefusesWrongFields) {
  EXPECT_THAT(config_error({{"r", 0}}), HasSubstr("ranks of 1 to 1024"));
  EXPECT_THAT(config_error({{"r", 1.5}}), HasSubstr("ranks of 1 to 1024"));
  EXPECT_THAT(config_error({{"r", "8"}}), HasSubstr("\"r\""));
  EXPECT_THAT(config_error({{"lora_alpha", 1e300}}), HasSubstr("lora_alpha"));
  EXPECT_THAT(config_error({{"target_modules", 3}}), HasSubstr("target_modules"));
  EXPECT_THAT(config_error({{"target_modules", {1}}}), HasSubstr("expected names"));
  EXPECT_THAT(config_error({{"target_modules", "(a"}}), HasSubstr("without its )"));
  EXPECT_THAT(config_error({{"rank_pattern", {{"a", 5000}}}}), HasSubstr("rank_pattern"));
  EXPECT_THAT(config_error({{"alpha_pattern", {{"a{2}", 1}}}}), HasSubstr("counted repetition"));
  EXPECT_FALSE(parse_lora_config("[]", "x").ok());
  EXPECT_FALSE(parse_lora_config("{", "x").ok());
  EXPECT_EQ(parse_lora_config(std::string(300 << 10, ' '), "x").error().code, ErrorCode::kTooLarge);
}

TEST(LoraConfig, ScalesByPatternAndKind) {
  // The order of the file counts.
  const std::string text = R"({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true,
      "rank_pattern": {"z.q_proj": 4, "q_proj": 9}, "alpha_pattern": {"^model.q_proj": 5}})";
  const LoraConfig config = MUST(parse_lora_config(text, "x"));  // valid
  EXPECT_EQ(config.rank_of("model.k_proj"), 16u);
  EXPECT_EQ(config.rank_of("model.q_proj"), 9u);
  EXPECT_EQ(config.rank_of("model.z.q_proj"), 4u);
  EXPECT_DOUBLE_EQ(config.scale_of("model.k_proj"), 8.0 / 4.0);
  EXPECT_DOUBLE_EQ(config.scale_of("model.q_proj"), 5.0 / 3.0);
  EXPECT_DOUBLE_EQ(config.scale_of("model.z.q_proj"), 8.0 / 2.0);
  EXPECT_TRUE(config.targets("anything"));
}

// ---- Folders ----

ModelSpec tiny_spec(const Json& change = Json::object()) {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"vocab_size", 8},
                 {"hidden_size", 8},
                 {"intermediate_size", 12},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 2},
                 {"num_key_value_heads", 1},
                 {"max_position_embeddings", 16},
                 {"rms_norm_eps", 1e-5},
                 {"hidden_act", "silu"}};
  config.update(change);
  return MUST(spec_from_config(config, nullptr, "config.json"));  // complete
}

struct Tensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::string type = "F32";
  float value = 0.5f;
};

const std::string kLayer = "base_model.model.model.layers.0.self_attn.";

std::vector<Tensor> good_tensors() {
  return {{kLayer + "q_proj.lora_A.weight", {4, 8}}, {kLayer + "q_proj.lora_B.weight", {8, 4}}};
}

class AdapterFolder {
 public:
  AdapterFolder() {
    std::string pattern = ::testing::TempDir() + "/adapter-XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~AdapterFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  AdapterFolder(const AdapterFolder&) = delete;
  AdapterFolder& operator=(const AdapterFolder&) = delete;
  const std::string& path() const { return path_; }

  void write_config(const Json& config) {
    MUST(write_file(path_ + "/adapter_config.json", config.dump()));  // a folder of ours
  }
  void write_tensors(const std::vector<Tensor>& tensors) {
    Json header = Json::object();
    std::string data;
    for (const Tensor& tensor : tensors) {
      std::size_t count = 1;
      for (const std::size_t extent : tensor.shape) count *= extent;
      const std::size_t begin = data.size();
      for (std::size_t i = 0; i < count; ++i) {
        std::string bytes(sizeof(float), '\0');
        std::memcpy(bytes.data(), &tensor.value, bytes.size());
        data += bytes;
      }
      header[tensor.name] = {
          {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    std::uint64_t length = text.size();
    std::string image(sizeof(length), '\0');
    std::memcpy(image.data(), &length, sizeof(length));
    MUST(write_file(path_ + "/adapter_model.safetensors", image + text + data));  // as above
  }

 private:
  std::string path_;
};

std::string load_error(const std::vector<Tensor>& tensors, const Json& config = plain_config(),
                       const ModelSpec& spec = tiny_spec(), const LoraLimits& limits = {}) {
  AdapterFolder folder;
  folder.write_config(config);
  folder.write_tensors(tensors);
  const auto loaded = LoraAdapter::load(folder.path(), spec, limits, 1);
  return loaded.ok() ? "accepted" : loaded.error().message;
}

TEST(LoraAdapter, LoadsWhatIsRight) {
  AdapterFolder folder;
  folder.write_config(plain_config());
  folder.write_tensors(good_tensors());
  const ModelSpec spec = tiny_spec();
  const auto adapter = MUST(LoraAdapter::load(folder.path(), spec, {}, 9));  // right
  EXPECT_EQ(adapter->id(), 9u);
  EXPECT_EQ(adapter->rank_max(), 4u);
  ASSERT_EQ(adapter->pairs().size(), 2 * kNumLoraSlots);
  std::size_t num_pairs = 0;
  for (const LoraPair& pair : adapter->pairs()) num_pairs += pair.down.num_rows > 0 ? 1 : 0;
  EXPECT_EQ(num_pairs, 1u);
  const LoraPair& query = adapter->pairs()[lora_index(0, LoraSlot::kQuery)];
  EXPECT_EQ(query.scale, 2.0f);
  EXPECT_EQ(query.up.num_rows, 8u);
  // A bare model's names, as for embeddings.
  std::vector<Tensor> bare = good_tensors();
  for (Tensor& tensor : bare)
    tensor.name.replace(0, kLayer.size(), "base_model.model.layers.1.self_attn.");
  EXPECT_EQ(load_error(bare), "accepted");
}

TEST(LoraAdapter, RefusesTensorsThatDoNotFit) {
  std::vector<Tensor> tensors = good_tensors();
  tensors[0].shape = {4, 9};
  EXPECT_THAT(load_error(tensors), HasSubstr("has shape [4, 9], expected [4, 8]"));
  tensors = good_tensors();
  tensors[1].shape = {9, 4};
  EXPECT_THAT(load_error(tensors), HasSubstr("has shape [9, 4], expected [8, 4]"));
  tensors = good_tensors();
  tensors[1].shape = {32};
  EXPECT_THAT(load_error(tensors), HasSubstr("expected [8, 4]"));
  tensors = good_tensors();
  tensors[1].type = "I32";
  EXPECT_THAT(load_error(tensors), HasSubstr("expected f32, f16 or bf16"));
  tensors = good_tensors();
  tensors[1].value = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(load_error(tensors), HasSubstr("holds a value that is not finite"));
  tensors = good_tensors();
  tensors.pop_back();
  EXPECT_THAT(load_error(tensors), HasSubstr("stands alone, expected"));
  EXPECT_THAT(load_error({}), HasSubstr("holds no adapted modules"));
  // The same module under two names.
  tensors = good_tensors();
  for (Tensor tensor : good_tensors()) {
    tensor.name.replace(0, kLayer.size(), "base_model.model.layers.0.self_attn.");
    tensors.push_back(tensor);
  }
  EXPECT_THAT(load_error(tensors), HasSubstr("is adapted twice"));
}

TEST(LoraAdapter, RefusesModulesByName) {
  const auto refusal = [](const std::string& stem, std::size_t rows, std::size_t cols) {
    Json config = plain_config();
    config.erase("target_modules");
    return load_error({{"base_model.model." + stem + ".lora_A.weight", {4, cols}},
                       {"base_model.model." + stem + ".lora_B.weight", {rows, 4}}},
                      config);
  };
  EXPECT_THAT(refusal("lm_head", 8, 8), HasSubstr("adapts lm_head, which is none"));
  EXPECT_THAT(refusal("model.layers.2.self_attn.q_proj", 8, 8), HasSubstr("which is none"));
  EXPECT_EQ(refusal("model.layers.1.mlp.down_proj", 8, 12), "accepted");
  EXPECT_THAT(load_error({{kLayer + "k_proj.lora_A.weight", {4, 8}},
                          {kLayer + "k_proj.lora_B.weight", {4, 4}}}),
              HasSubstr("which target_modules does not name"));
  EXPECT_THAT(load_error({{kLayer + "q_proj.lora_magnitude_vector", {8}}}), HasSubstr("DoRA"));
  EXPECT_THAT(load_error({{"base_model.model.model.embed_tokens.lora_embedding_A", {4, 8}}}),
              HasSubstr("adapts embeddings"));
  EXPECT_THAT(load_error({{"base_model.model.lm_head.weight", {8, 8}}}), HasSubstr("is no pair"));
  // Experts and latent attention have nothing that an adapter may add to.
  const ModelSpec experts = tiny_spec({{"architectures", {"MixtralForCausalLM"}},
                                       {"model_type", "mixtral"},
                                       {"num_local_experts", 2},
                                       {"num_experts_per_tok", 1}});
  Json config = plain_config();
  config.erase("target_modules");
  const std::string expert = "base_model.model.model.layers.0.block_sparse_moe.experts.0.w1";
  EXPECT_THAT(
      load_error({{expert + ".lora_A.weight", {4, 8}}, {expert + ".lora_B.weight", {12, 4}}},
                 config, experts),
      HasSubstr("which is none of this model's projections"));
  EXPECT_EQ(load_error(good_tensors(), plain_config(), experts), "accepted");
}

TEST(LoraAdapter, KeepsToItsLimits) {
  Json config = plain_config();
  config["r"] = 5;
  EXPECT_THAT(load_error(good_tensors(), config), HasSubstr("has shape [4, 8], expected [5, 8]"));
  EXPECT_THAT(load_error(good_tensors(), plain_config(), tiny_spec(), {.rank_max = 3}),
              HasSubstr("has rank 4, at most 3 are configured"));
  // A panel of 16 rows of 8, and one of 16 rows of 4, of floats.
  EXPECT_THAT(load_error(good_tensors(), plain_config(), tiny_spec(), {.bytes_max = 767}),
              HasSubstr("needs 768 bytes, there is room for 767"));
  EXPECT_EQ(load_error(good_tensors(), plain_config(), tiny_spec(), {.bytes_max = 768}),
            "accepted");
}

TEST(LoraAdapter, RefusesFoldersWithoutIt) {
  AdapterFolder folder;
  EXPECT_EQ(LoraAdapter::load(folder.path(), tiny_spec(), {}, 1).error().code,
            ErrorCode::kNotFound);
  folder.write_config(plain_config());
  EXPECT_FALSE(LoraAdapter::load(folder.path(), tiny_spec(), {}, 1).ok());
  MUST(write_file(folder.path() + "/adapter_model.bin", "PK"));  // a folder of ours
  EXPECT_THAT(LoraAdapter::load(folder.path(), tiny_spec(), {}, 1).error().message,
              HasSubstr("is a PyTorch pickle"));
}

}  // namespace
}  // namespace millrace
