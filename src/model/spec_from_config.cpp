// config.json of the Hugging Face families that this program runs, one small reader per family.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/config_reader.h"
#include "model/read_spec.h"
#include "model/rope_config.h"

namespace millrace {
namespace {

// Options of other families. A file of a family below that sets one asks for mathematics that is
// not done here, so anything but the neutral value is refused by name.
const Json& neutral_values() {
  static const Json values = {
      {"quantization_config", nullptr},
      {"attn_logit_softcapping", nullptr},
      {"final_logit_softcapping", nullptr},
      {"attention_chunk_size", nullptr},
      {"logit_scale", 1.0},
      {"embedding_multiplier", 1.0},
      {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},
      {"use_qk_norm", false},
      {"qk_layernorm", false},
      {"alibi", false},
      {"is_encoder_decoder", false},
      {"no_rope_layers", nullptr},
      {"layernorm_type", nullptr},
  };
  return values;
}

Status refuse_foreign_options(const ConfigReader& config) {
  for (const auto& [key, neutral] : neutral_values().items()) {
    const Json* found = config.find(key);
    if (found != nullptr && *found != neutral) return config.unsupported(key, "");
  }
  return Ok{};
}

Result<Activation> read_activation(const ConfigReader& config) {
  static constexpr std::array<std::pair<std::string_view, Activation>, 7> kNames = {{
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kRelu2},
  }};
  const std::string name = TRY(config.text_or("hidden_act", "silu"));
  for (const auto& [known, activation] : kNames) {
    if (known == name) return activation;
  }
  return config.unsupported("hidden_act",
                            "expected silu, gelu, gelu_new, gelu_pytorch_tanh, relu or relu2");
}

// What all families below share; every layer alike.
Result<ModelSpec> read_common(const ConfigReader& config) {
  ModelSpec spec;
  spec.vocabulary = TRY(config.count("vocab_size"));
  spec.hidden = TRY(config.count("hidden_size"));
  spec.final_norm.eps = static_cast<float>(TRY(config.number_or("rms_norm_eps", 1e-6)));
  spec.has_tied_embeddings = TRY(config.flag_or("tie_word_embeddings", false));

  LayerSpec layer;
  layer.attention_norm = layer.feed_forward_norm = spec.final_norm;
  AttentionSpec& attention = layer.attention;
  attention.num_heads = TRY(config.count("num_attention_heads"));
  attention.num_kv_heads = TRY(config.count_or("num_key_value_heads", attention.num_heads));
  if (attention.num_heads == 0) return config.wrong("num_attention_heads", "1 or more");
  attention.head_dim = TRY(config.count_or("head_dim", spec.hidden / attention.num_heads));
  if (attention.head_dim == 0 || attention.head_dim > kHeadDimMax) {
    return config.wrong("head_dim", "1 to " + std::to_string(kHeadDimMax));
  }
  attention.value_head_dim = attention.head_dim;
  attention.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(attention.head_dim)));
  const RopeConfig rope = TRY(read_rope_config(config, attention.head_dim));
  spec.context_max = rope.context_max;
  attention.rope = rope_index(spec, rope.rope);
  layer.feed_forward.width = TRY(config.count("intermediate_size"));
  layer.feed_forward.activation = TRY(read_activation(config));

  const std::uint64_t num_layers = TRY(config.count("num_hidden_layers"));
  if (num_layers == 0 || num_layers > kLayersMax) {
    return config.wrong("num_hidden_layers", "1 to " + std::to_string(kLayersMax));
  }
  spec.layers.assign(num_layers, layer);
  return spec;
}

// Sliding layers as `layer_types` lists them or, in older files, as `is_sliding` says.
template <class IsSliding>
Status read_windows(const ConfigReader& config, ModelSpec& spec, IsSliding is_sliding) {
  const Json* types = config.find("layer_types");
  if (types != nullptr && (!types->is_array() || types->size() != spec.layers.size())) {
    return config.wrong("layer_types",
                        "a list of " + std::to_string(spec.layers.size()) + " names");
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    bool sliding = is_sliding(i);
    if (types != nullptr) {
      const Json& type = (*types)[i];
      if (type != "full_attention" && type != "sliding_attention") {
        return config.unsupported("layer_types", "expected full_attention or sliding_attention");
      }
      sliding = type == "sliding_attention";
    }
    if (!sliding) continue;
    spec.layers[i].attention.kind = AttentionKind::kSliding;
    spec.layers[i].attention.window = TRY(config.count("sliding_window"));
  }
  return Ok{};
}

Status read_llama(const ConfigReader& config, ModelSpec& spec) {
  const bool attention_bias = TRY(config.flag_or("attention_bias", false));
  const bool mlp_bias = TRY(config.flag_or("mlp_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = attention_bias;
    layer.feed_forward.has_bias = mlp_bias;
  }
  return Ok{};
}

Status read_mistral(const ConfigReader& config, ModelSpec& spec) {
  const bool sliding = config.find("sliding_window") != nullptr;
  return read_windows(config, spec, [sliding](std::size_t) { return sliding; });
}

// Layers from max_window_layers on are sliding, when the switch is on.
Status read_qwen_windows(const ConfigReader& config, ModelSpec& spec) {
  const bool on = TRY(config.flag_or("use_sliding_window", false));
  const std::uint64_t first = TRY(config.count_or("max_window_layers", spec.layers.size()));
  return read_windows(config, spec, [on, first](std::size_t i) { return on && i >= first; });
}

Status read_qwen2(const ConfigReader& config, ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) layer.attention.has_qkv_bias = true;
  return read_qwen_windows(config, spec);
}

Status read_qwen3(const ConfigReader& config, ModelSpec& spec) {
  const bool attention_bias = TRY(config.flag_or("attention_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = attention_bias;
    layer.attention.query_norm = layer.attention.key_norm = layer.attention_norm;
  }
  return read_qwen_windows(config, spec);
}

// Softmax over all experts, top k, renormalised: the same as softmax over the k logits.
Status read_mixtral(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_mistral(config, spec));
  const std::uint64_t num_experts = TRY(config.count("num_local_experts"));
  const std::uint64_t num_selected = TRY(config.count("num_experts_per_tok"));
  for (LayerSpec& layer : spec.layers) {
    layer.feed_forward.kind = FeedForwardKind::kExperts;
    layer.feed_forward.num_experts = num_experts;
    layer.feed_forward.num_selected = num_selected;
  }
  return Ok{};
}

Result<std::vector<std::uint64_t>> read_dense_layers(const ConfigReader& config) {
  std::vector<std::uint64_t> layers;
  const Json* list = config.find("mlp_only_layers");
  if (list == nullptr) return layers;
  if (!list->is_array()) return config.wrong("mlp_only_layers", "a list of layer numbers");
  for (const Json& layer : *list) {
    if (!layer.is_number_unsigned())
      return config.wrong("mlp_only_layers", "a list of layer numbers");
    layers.push_back(layer.get<std::uint64_t>());
  }
  return layers;
}

// Every decoder_sparse_step-th layer has experts, except those that are listed as dense.
Status read_qwen3_moe(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_qwen3(config, spec));
  const std::uint64_t step = TRY(config.count_or("decoder_sparse_step", 1));
  if (step == 0) return config.wrong("decoder_sparse_step", "1 or more");
  const std::vector<std::uint64_t> dense = TRY(read_dense_layers(config));
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  experts.kind = FeedForwardKind::kExperts;
  experts.width = TRY(config.count("moe_intermediate_size"));
  experts.num_experts = TRY(config.count("num_experts"));
  experts.num_selected = TRY(config.count("num_experts_per_tok"));
  experts.routing.weights = TRY(config.flag_or("norm_topk_prob", false))
                                ? ExpertWeights::kNormalised
                                : ExpertWeights::kScores;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (std::find(dense.begin(), dense.end(), i) != dense.end() || (i + 1) % step != 0) continue;
    spec.layers[i].feed_forward = experts;
  }
  return Ok{};
}

struct Family {
  std::string_view architecture;
  Status (*read)(const ConfigReader&, ModelSpec&);
};
constexpr std::array<Family, 6> kFamilies = {{
    {"LlamaForCausalLM", read_llama},
    {"MistralForCausalLM", read_mistral},
    {"MixtralForCausalLM", read_mixtral},
    {"Qwen2ForCausalLM", read_qwen2},
    {"Qwen3ForCausalLM", read_qwen3},
    {"Qwen3MoeForCausalLM", read_qwen3_moe},
}};

std::string joined_architectures() {
  std::string names;
  for (const Family& family : kFamilies) {
    names += (names.empty() ? "" : ", ") + std::string(family.architecture);
  }
  return names;
}

Result<const Family*> find_family(const ConfigReader& config) {
  const Json* list = config.find("architectures");
  if (list == nullptr || !list->is_array() || list->empty() || !list->front().is_string()) {
    return config.wrong("architectures", "a list with one name");
  }
  const std::string name = list->front().get<std::string>();
  for (const Family& family : kFamilies) {
    if (family.architecture == name) return &family;
  }
  return config.unsupported("architectures", "this program runs " + joined_architectures());
}

// An id or a list of ids.
Status add_ids(const ConfigReader& config, std::string_view key, std::vector<std::uint32_t>& ids) {
  const Json* value = config.find(key);
  if (value == nullptr) return Ok{};
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kVocabularyMax) {
      return config.wrong(key, "token ids");
    }
    const auto token = id.get<std::uint32_t>();
    if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
  }
  return Ok{};
}

Status read_special_ids(const ConfigReader& config, const Json& generation_config,
                        ModelSpec& spec) {
  TRY(add_ids(config, "eos_token_id", spec.eos_ids));
  if (generation_config.is_object()) {
    TRY(add_ids(ConfigReader(generation_config, "generation_config.json"), "eos_token_id",
                spec.eos_ids));
  }
  std::vector<std::uint32_t> bos;
  TRY(add_ids(config, "bos_token_id", bos));
  if (!bos.empty()) spec.bos_id = bos.front();
  return Ok{};
}

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.architecture);
  return names;
}

Result<ModelSpec> spec_from_config(const Json& config, const Json& generation_config,
                                   const std::string& name) {
  const ConfigReader reader(config, name);
  const Family* family = TRY(find_family(reader));
  TRY(refuse_foreign_options(reader));
  ModelSpec spec = TRY(read_common(reader));
  spec.architecture = family->architecture;
  TRY(family->read(reader, spec));
  TRY(read_special_ids(reader, generation_config, spec));
  Status checked = check_spec(spec);
  if (!checked.ok()) return with_context(std::move(checked).error(), name);
  return spec;
}

}  // namespace millrace
