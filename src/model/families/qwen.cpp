// Qwen 2 and 3, and the families whose only speciality is experts.
#include "model/families/experts.h"

namespace millrace {
namespace {

// Layers from max_window_layers on are sliding, when the switch is on.
Status read_windows(const ConfigReader& config, ModelSpec& spec) {
  TRY(config.flag_or("use_sliding_window", false));
  TRY(config.count_or("max_window_layers", spec.layers.size()));
  const auto from_first_on = [](const ConfigReader& file, std::size_t i) {
    const Json* on = file.find("use_sliding_window");
    const Json* first = file.find("max_window_layers");
    return on != nullptr && on->get<bool>() && first != nullptr && i >= first->get<std::size_t>();
  };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), from_first_on));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sliding[i]) slide(spec.layers[i], TRY(config.count("sliding_window")));
  }
  return Ok{};
}

Status read_qwen2(const ConfigReader& config, ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) layer.attention.has_qkv_bias = true;
  return read_windows(config, spec);
}

Status read_qwen3(const ConfigReader& config, ModelSpec& spec) {
  const bool attention_bias = TRY(config.flag_or("attention_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = attention_bias;
    layer.attention.query_norm = layer.attention.key_norm = layer.attention_norm;
  }
  return read_windows(config, spec);
}

Status read_gguf_qwen3(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention.query_norm = layer.attention.key_norm = spec.final_norm;
  }
  return Ok{};
}

// Softmax over all experts, top k, renormalised: the same as softmax over the k logits.
Status read_mixtral(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_window_everywhere(config, spec));
  for (LayerSpec& layer : spec.layers) TRY(read_expert_counts(config, layer.feed_forward));
  return Ok{};
}

Status read_qwen3_moe(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_qwen3(config, spec));
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  TRY(read_expert_counts(config, experts));
  TRY(read_normalised(config, experts));
  experts.width = TRY(config.count("moe_intermediate_size"));
  return place_sparse_layers(config, experts, spec);
}

constexpr Family kFamilies[] = {
    {.architecture = "Qwen2ForCausalLM", .read = read_qwen2},
    {.architecture = "Qwen3ForCausalLM", .read = read_qwen3},
    {.architecture = "MixtralForCausalLM", .read = read_mixtral},
    {.architecture = "Qwen3MoeForCausalLM", .read = read_qwen3_moe},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "qwen2", .architecture = "Qwen2ForCausalLM"},
    {.name = "qwen3", .architecture = "Qwen3ForCausalLM", .read = read_gguf_qwen3},
    {.name = "qwen3moe",
     .architecture = "Qwen3MoeForCausalLM",
     .with_experts = "Qwen3MoeForCausalLM",
     .read = read_gguf_qwen3},
};

}  // namespace

std::span<const Family> qwen_families() {
  return kFamilies;
}

std::span<const GgufFamily> qwen_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
