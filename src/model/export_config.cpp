// config.json, one small writer per family; the mirror image of spec_from_config.cpp.
#include "model/export_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "formats/gguf_sampling.h"
#include "model/export_checks.h"
#include "model/export_rope.h"

namespace millrace {
namespace {

struct Family {
  std::string_view architecture;
  std::string_view model_type;
};
constexpr std::array<Family, 6> kFamilies = {{
    {"LlamaForCausalLM", "llama"},
    {"MistralForCausalLM", "mistral"},
    {"MixtralForCausalLM", "mixtral"},
    {"Qwen2ForCausalLM", "qwen2"},
    {"Qwen3ForCausalLM", "qwen3"},
    {"Qwen3MoeForCausalLM", "qwen3_moe"},
}};

Result<std::string> model_type_of(const std::string& architecture) {
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return std::string(family.model_type);
  }
  return cannot_hold("config.json", "architecture " + architecture);
}

std::string activation_name(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return "silu";
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_pytorch_tanh";
    case Activation::kRelu:
      return "relu";
    case Activation::kRelu2:
      return "relu2";
  }
  CHECK(false);
}

const LayerSpec* expert_layer(const ModelSpec& spec) {
  for (const LayerSpec& layer : spec.layers) {
    if (layer.feed_forward.kind == FeedForwardKind::kExperts) return &layer;
  }
  return nullptr;
}

// ---- Which biases an architecture has ----

Status check_biases(const ModelSpec& spec) {
  const std::string& name = spec.architecture;
  const AttentionSpec& attention = spec.layers.front().attention;
  const bool all_attention = attention.has_qkv_bias && attention.has_output_bias;
  const bool no_attention = !attention.has_qkv_bias && !attention.has_output_bias;
  const bool switchable =
      name == "LlamaForCausalLM" || name == "Qwen3ForCausalLM" || name == "Qwen3MoeForCausalLM";
  if (switchable && !all_attention && !no_attention) {
    return cannot_hold(name, "biases on some of q, k, v and the attention output only");
  }
  if (name == "Qwen2ForCausalLM" && (!attention.has_qkv_bias || attention.has_output_bias)) {
    return cannot_hold(name, "other attention biases than those of q, k and v");
  }
  if ((name == "MistralForCausalLM" || name == "MixtralForCausalLM") && !no_attention) {
    return cannot_hold(name, "attention biases");
  }
  if (name != "LlamaForCausalLM" && spec.layers.front().feed_forward.has_bias) {
    return cannot_hold(name, "feed-forward biases");
  }
  return Ok{};
}

Status check_norms(const ModelSpec& spec) {
  const AttentionSpec& attention = spec.layers.front().attention;
  const bool has_norms = attention.query_norm && attention.key_norm;
  const bool has_some = attention.query_norm || attention.key_norm;
  const bool wants = spec.architecture.starts_with("Qwen3");
  if (wants ? !has_norms : has_some) {
    return cannot_hold(spec.architecture, wants ? "heads without norms" : "norms on heads");
  }
  return Ok{};
}

// ---- The keys ----

void add_attention(const ModelSpec& spec, OrderedJson& config) {
  const AttentionSpec& attention = spec.layers.front().attention;
  config["num_attention_heads"] = attention.num_heads;
  config["num_key_value_heads"] = attention.num_kv_heads;
  const bool usual = attention.num_heads * attention.head_dim == spec.hidden;
  // Qwen2's configs have no such key; Qwen3's default is not hidden / heads.
  if (!usual || spec.architecture != "Qwen2ForCausalLM") config["head_dim"] = attention.head_dim;
}

OrderedJson ids_json(const std::vector<std::uint32_t>& ids) {
  if (ids.size() == 1) return ids.front();
  return OrderedJson(ids);
}

void add_special_ids(const ModelSpec& spec, OrderedJson& config) {
  config["bos_token_id"] = spec.bos_id ? OrderedJson(*spec.bos_id) : OrderedJson(nullptr);
  config["eos_token_id"] = spec.eos_ids.empty() ? OrderedJson(nullptr) : ids_json(spec.eos_ids);
}

Status add_mistral_window(const ModelSpec& spec, OrderedJson& config) {
  const WindowUse windows = TRY(find_windows(spec, spec.architecture));
  if (windows.num_sliding == 0) {
    config["sliding_window"] = nullptr;
    return Ok{};
  }
  if (windows.num_sliding != spec.layers.size()) {
    return cannot_hold(spec.architecture, "a sliding window in some layers only");
  }
  config["sliding_window"] = windows.window;
  return Ok{};
}

Status add_qwen_windows(const ModelSpec& spec, OrderedJson& config) {
  const WindowUse windows = TRY(find_windows(spec, spec.architecture));
  config["use_sliding_window"] = windows.num_sliding > 0;
  config["sliding_window"] =
      windows.num_sliding > 0 ? OrderedJson(windows.window) : OrderedJson(nullptr);
  config["max_window_layers"] = windows.num_sliding > 0 ? windows.first : spec.layers.size();
  if (windows.num_sliding == 0 || windows.is_suffix) return Ok{};
  OrderedJson types = OrderedJson::array();
  for (const LayerSpec& layer : spec.layers) {
    const bool sliding = layer.attention.kind == AttentionKind::kSliding;
    types.push_back(sliding ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = std::move(types);
  return Ok{};
}

Status add_llama(const ModelSpec& spec, OrderedJson& config) {
  config["attention_bias"] = spec.layers.front().attention.has_qkv_bias;
  config["mlp_bias"] = spec.layers.front().feed_forward.has_bias;
  const WindowUse windows = TRY(find_windows(spec, spec.architecture));
  if (windows.num_sliding == 0) return Ok{};
  return cannot_hold(spec.architecture, "a sliding window");
}

Status add_mixtral(const ModelSpec& spec, OrderedJson& config) {
  const LayerSpec* experts = expert_layer(spec);
  for (const LayerSpec& layer : spec.layers) {
    if (layer.feed_forward.kind != FeedForwardKind::kExperts) {
      return cannot_hold(spec.architecture, "layers without experts");
    }
  }
  config["num_local_experts"] = experts->feed_forward.num_experts;
  config["num_experts_per_tok"] = experts->feed_forward.num_selected;
  return add_mistral_window(spec, config);
}

void add_qwen3_moe(const ModelSpec& spec, OrderedJson& config) {
  const FeedForwardSpec& experts = expert_layer(spec)->feed_forward;
  config["num_experts"] = experts.num_experts;
  config["num_experts_per_tok"] = experts.num_selected;
  config["moe_intermediate_size"] = experts.width;
  config["norm_topk_prob"] = experts.routing.weights == ExpertWeights::kNormalised;
  config["decoder_sparse_step"] = 1;
  OrderedJson dense = OrderedJson::array();
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (spec.layers[i].feed_forward.kind != FeedForwardKind::kExperts) dense.push_back(i);
  }
  config["mlp_only_layers"] = std::move(dense);
}

Status add_family(const ModelSpec& spec, OrderedJson& config) {
  const std::string& name = spec.architecture;
  const bool wants_experts = name == "MixtralForCausalLM" || name == "Qwen3MoeForCausalLM";
  if (wants_experts != (expert_layer(spec) != nullptr)) {
    return cannot_hold(name, wants_experts ? "a model without experts" : "experts");
  }
  if (name == "LlamaForCausalLM") return add_llama(spec, config);
  if (name == "MistralForCausalLM") return add_mistral_window(spec, config);
  if (name == "MixtralForCausalLM") return add_mixtral(spec, config);
  if (name != "Qwen2ForCausalLM") {
    config["attention_bias"] = spec.layers.front().attention.has_qkv_bias;
  }
  if (name == "Qwen3MoeForCausalLM") add_qwen3_moe(spec, config);
  return add_qwen_windows(spec, config);
}

}  // namespace

std::string torch_dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    case DType::kF64:
      return "float64";
    default:
      return "float32";
  }
}

Result<std::string> hugging_face_architecture(const ModelSpec& spec) {
  TRY(model_type_of(spec.architecture));
  if (spec.architecture != "LlamaForCausalLM") return spec.architecture;
  const WindowUse windows = TRY(find_windows(spec, "config.json"));
  return std::string(windows.num_sliding > 0 ? "MistralForCausalLM" : "LlamaForCausalLM");
}

Result<OrderedJson> config_json_of(const ModelSpec& spec, const ExportFacts& facts, DType dtype) {
  OrderedJson config;
  config["architectures"] = OrderedJson::array({spec.architecture});
  config["model_type"] = TRY(model_type_of(spec.architecture));
  TRY(check_layers_alike(spec, spec.architecture));
  TRY(check_biases(spec));
  TRY(check_norms(spec));
  config["vocab_size"] = spec.vocabulary;
  config["hidden_size"] = spec.hidden;
  config["intermediate_size"] = dense_width(spec, facts);
  config["num_hidden_layers"] = spec.layers.size();
  add_attention(spec, config);
  config["hidden_act"] = activation_name(spec.layers.front().feed_forward.activation);
  config["max_position_embeddings"] = unscaled_positions(spec, facts);
  config["rms_norm_eps"] = json_number(spec.final_norm.eps);
  TRY(add_rope_config(spec.ropes[*spec.layers.front().attention.rope], config));
  TRY(add_family(spec, config));
  config["tie_word_embeddings"] = spec.has_tied_embeddings;
  add_special_ids(spec, config);
  config["torch_dtype"] = torch_dtype_name(dtype);
  return config;
}

OrderedJson generation_config_json_of(const ModelSpec& spec, const ExportFacts& facts) {
  OrderedJson config;
  add_special_ids(spec, config);
  for (const GgufSamplingKey& key : kGgufSamplingKeys) {
    if (!facts.generation.is_object()) break;
    const auto found = facts.generation.find(key.hugging_face);
    if (found != facts.generation.end() && found->is_number()) config[key.hugging_face] = *found;
  }
  return config;
}

}  // namespace millrace
