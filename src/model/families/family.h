// What a family of models is to the readers of config.json and GGUF: a row with one small function.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/config_reader.h"
#include "model/gguf_reader.h"
#include "model/model_spec.h"
#include "model/rope_config.h"

namespace millrace {

// A count in config.json and what a file that does not say it means; 0: it must.
struct CountKey {
  std::string_view name;
  std::size_t fallback = 0;
};

// What a family calls the fields that all have, where it differs from most.
struct ConfigKeys {
  CountKey vocabulary = {"vocab_size"};
  CountKey hidden = {"hidden_size"};
  CountKey layers = {"num_hidden_layers"};
  CountKey heads = {"num_attention_heads"};
  CountKey kv_heads = {"num_key_value_heads"};  // absent: as many as heads, or the fallback
  CountKey head_dim = {"head_dim"};             // absent: hidden / heads, or the fallback
  CountKey width = {"intermediate_size"};
  std::size_t width_of_hidden = 0;  // absent width: this many times hidden
  CountKey positions = {"max_position_embeddings"};
  bool has_rope = true;
  RopeKeys rope = {};
  std::string_view norm_eps = "rms_norm_eps";
  NormSpec norm = {.eps = 1e-6f};
  std::string_view activation = "hidden_act";
  std::string_view default_activation = "silu";
};

struct Family {
  std::string_view architecture;  // what config.json calls it
  // On a spec whose layers are alike, with norms of their inputs only, full attention and a gated
  // feed-forward part: adds what is special.
  Status (*read)(const ConfigReader&, ModelSpec&);
  // Options that would be refused by name, but for this family, whose reader takes them.
  std::span<const std::string_view> own_options = {};
  const ConfigKeys* keys = nullptr;  // null: as most have them
  // Of tensors; empty: as `architecture`.
  std::string_view runs_as = {};
  // The object of config.json that holds the language model; empty: all of it.
  std::string_view part = {};
};

// The same for GGUF.
struct GgufFamily {
  std::string_view name;               // general.architecture
  std::string_view architecture;       // Hugging Face's name for it
  std::string_view with_experts = {};  // likewise when expert_count is set; empty: refused
  NormKind norm = NormKind::kRms;      // layer norms have biases
  Activation activation = Activation::kSilu;
  Status (*read)(const GgufReader&, const WeightSource&, ModelSpec&) = nullptr;
};

// The rows of each file of this folder.
std::span<const Family> llama_families();
std::span<const Family> qwen_families();
std::span<const Family> gemma_families();
std::span<const Family> phi_families();
std::span<const Family> gpt_families();
std::span<const Family> expert_families();
std::span<const Family> deepseek_families();
std::span<const Family> gpt_oss_families();
std::span<const GgufFamily> llama_gguf_families();
std::span<const GgufFamily> qwen_gguf_families();
std::span<const GgufFamily> gemma_gguf_families();
std::span<const GgufFamily> phi_gguf_families();
std::span<const GgufFamily> gpt_gguf_families();
std::span<const GgufFamily> expert_gguf_families();
std::span<const GgufFamily> deepseek_gguf_families();
std::span<const GgufFamily> gpt_oss_gguf_families();

// ---- What several readers need ----

Result<Activation> read_activation(const ConfigReader& config, std::string_view key,
                                   std::string_view fallback);

// Makes a layer's attention sliding.
void slide(LayerSpec& layer, std::size_t window);

// Whether layer i slides: as `layer_types` lists, or else as `is_sliding` says.
Result<std::vector<bool>> read_sliding(const ConfigReader& config, std::size_t num_layers,
                                       bool (*is_sliding)(const ConfigReader&, std::size_t layer));

// The sliding window in all layers, when there is one.
Status read_window_everywhere(const ConfigReader& config, ModelSpec& spec);

// 1 / sqrt(x), as every attention scale is taken.
float inverse_root(double x);

// A number greater than zero; kCorruptData otherwise.
Result<double> read_positive(const ConfigReader& config, std::string_view key, double fallback);

}  // namespace millrace
