// Families whose speciality is their experts: Qwen2-MoE and OLMoE.
#include "model/families/experts.h"

#include <algorithm>

namespace millrace {

Status read_expert_counts(const ConfigReader& config, FeedForwardSpec& feed_forward) {
  feed_forward.kind = FeedForwardKind::kExperts;
  // Newer files of some families say num_local_experts, older ones num_experts.
  const bool is_local =
      config.find("num_local_experts") != nullptr && config.find("num_experts") == nullptr;
  feed_forward.num_experts = TRY(config.count(is_local ? "num_local_experts" : "num_experts"));
  feed_forward.num_selected = TRY(config.count("num_experts_per_tok"));
  return Ok{};
}

Status read_normalised(const ConfigReader& config, FeedForwardSpec& feed_forward) {
  const bool is_normalised = TRY(config.flag_or("norm_topk_prob", false));
  feed_forward.routing.weights =
      is_normalised ? ExpertWeights::kNormalised : ExpertWeights::kScores;
  return Ok{};
}

namespace {

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

}  // namespace

Status place_sparse_layers(const ConfigReader& config, const FeedForwardSpec& experts,
                           ModelSpec& spec) {
  const std::uint64_t step = TRY(config.count_or("decoder_sparse_step", 1));
  if (step == 0) return config.wrong("decoder_sparse_step", "1 or more");
  const std::vector<std::uint64_t> dense = TRY(read_dense_layers(config));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (std::find(dense.begin(), dense.end(), i) != dense.end() || (i + 1) % step != 0) continue;
    spec.layers[i].feed_forward = experts;
  }
  return Ok{};
}

namespace {

// ---- Qwen2-MoE ----

// Of the first max_window_layers every other one slides, when the switch is on.
Status read_qwen2_moe_windows(const ConfigReader& config, ModelSpec& spec) {
  TRY(config.flag_or("use_sliding_window", false));
  TRY(config.count_or("max_window_layers", 28));
  const auto every_other = [](const ConfigReader& file, std::size_t i) {
    constexpr std::size_t kDefaultLayers = 28;
    const Json* on = file.find("use_sliding_window");
    const Json* count = file.find("max_window_layers");
    const std::size_t num_layers = count == nullptr ? kDefaultLayers : count->get<std::size_t>();
    return on != nullptr && on->get<bool>() && i % 2 == 0 && i < num_layers;
  };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), every_other));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sliding[i]) slide(spec.layers[i], TRY(config.count_or("sliding_window", 4096)));
  }
  return Ok{};
}

Status read_qwen2_moe(const ConfigReader& config, ModelSpec& spec) {
  const bool has_bias = TRY(config.flag_or("qkv_bias", true));
  for (LayerSpec& layer : spec.layers) layer.attention.has_qkv_bias = has_bias;
  TRY(read_qwen2_moe_windows(config, spec));
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  TRY(read_expert_counts(config, experts));
  TRY(read_normalised(config, experts));
  experts.width = TRY(config.count("moe_intermediate_size"));
  experts.shared_width = TRY(config.count("shared_expert_intermediate_size"));
  experts.has_shared_gate = true;
  return place_sparse_layers(config, experts, spec);
}

Status read_gguf_qwen2_moe(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    FeedForwardSpec& experts = layer.feed_forward;
    experts.routing.weights = ExpertWeights::kScores;
    experts.has_shared_gate = true;
    experts.shared_width = TRY(reader.count("expert_shared_feed_forward_length"));
  }
  return Ok{};
}

// ---- OLMoE ----

void norm_whole_width(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention.query_norm = layer.attention.key_norm = spec.final_norm;
    layer.attention.norm_extent = NormExtent::kWidth;
  }
}

constexpr ConfigKeys kOlmoeKeys = {.norm = {.eps = 1e-5f}};

Status read_olmoe(const ConfigReader& config, ModelSpec& spec) {
  if (config.find("clip_qkv") != nullptr) {
    return config.unsupported("clip_qkv", "queries, keys and values are not clipped here");
  }
  norm_whole_width(spec);
  const bool has_bias = TRY(config.flag_or("attention_bias", false));
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  TRY(read_expert_counts(config, experts));
  TRY(read_normalised(config, experts));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = has_bias;
    layer.feed_forward = experts;
  }
  return Ok{};
}

Status read_gguf_olmoe(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  norm_whole_width(spec);
  for (LayerSpec& layer : spec.layers) {
    layer.feed_forward.routing.weights = ExpertWeights::kScores;
  }
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "Qwen2MoeForCausalLM", .read = read_qwen2_moe},
    {.architecture = "OlmoeForCausalLM", .read = read_olmoe, .keys = &kOlmoeKeys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "qwen2moe",
     .architecture = "Qwen2MoeForCausalLM",
     .with_experts = "Qwen2MoeForCausalLM",
     .read = read_gguf_qwen2_moe},
    {.name = "olmoe",
     .architecture = "OlmoeForCausalLM",
     .with_experts = "OlmoeForCausalLM",
     .read = read_gguf_olmoe},
};

}  // namespace

std::span<const Family> expert_families() {
  return kFamilies;
}

std::span<const GgufFamily> expert_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
