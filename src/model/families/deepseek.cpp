// DeepSeek V2 and V3 and models built like them: latent attention, shared and grouped experts.
#include <cmath>
#include <string>

#include "model/families/experts.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

// A head's rotated part takes the place of head_dim, so that rope is read for it.
constexpr ConfigKeys kKeys = {.head_dim = {"qk_rope_head_dim", 64}};

// The norms of the latents do not follow rms_norm_eps.
constexpr NormSpec kLatentNorm = {.eps = 1e-6f};

// ---- Attention ----

// 1 / sqrt(head), times the square of yarn's temperature where mscale_all_dim says so: DeepSeek's
// own code and transformers'.
Result<float> read_scale(const ConfigReader& config, std::size_t head_dim) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  auto scaling = TRY(config.object("rope_parameters"));
  if (!scaling) scaling = TRY(config.object("rope_scaling"));
  if (!scaling) return static_cast<float>(scale);
  const std::string legacy = TRY(scaling->text_or("type", "default"));
  const std::string type = TRY(scaling->text_or("rope_type", legacy));
  const double all_dim = TRY(scaling->number_or("mscale_all_dim", 0.0));
  if (type == "default" || all_dim == 0.0) return static_cast<float>(scale);
  const double factor = TRY(scaling->number("factor"));
  const double temperature = factor <= 1.0 ? 1.0 : 0.1 * all_dim * std::log(factor) + 1.0;
  return static_cast<float>(scale * temperature * temperature);
}

// Attention as the cache and the kernels see it.
void set_latent(const LatentSpec& latent, AttentionSpec& attention) {
  attention.latent = latent;
  attention.num_kv_heads = 1;
  attention.head_dim = latent.rotary_dim + latent.rank;
  attention.value_head_dim = latent.rank;
}

Status read_attention(const ConfigReader& config, std::size_t default_query_rank, ModelSpec& spec) {
  LatentSpec latent;
  latent.rank = TRY(config.count_or("kv_lora_rank", 512));
  latent.rotary_dim = spec.layers.front().attention.head_dim;
  latent.plain_dim = TRY(config.count_or("qk_nope_head_dim", 128));
  latent.value_dim = TRY(config.count_or("v_head_dim", 128));
  if (config.find("q_lora_rank") != nullptr) {
    latent.query_rank = TRY(config.count("q_lora_rank"));
  } else if (!config.has("q_lora_rank")) {
    latent.query_rank = default_query_rank;
  }
  latent.norm = kLatentNorm;
  const bool has_bias = TRY(config.flag_or("attention_bias", false));
  const float scale = TRY(read_scale(config, latent.plain_dim + latent.rotary_dim));
  for (LayerSpec& layer : spec.layers) {
    set_latent(latent, layer.attention);
    layer.attention.scale = scale;
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = has_bias;
  }
  return Ok{};
}

// ---- Experts ----

// Defaults of what a file does not say.
struct ExpertDefaults {
  std::size_t first_sparse = 0;
  std::size_t num_experts = 64;
  std::size_t num_shared = 2;
  double weight_scale = 1.0;
};

Status read_groups(const ConfigReader& config, std::size_t groups, std::size_t selected,
                   RoutingSpec& routing) {
  routing.num_groups = TRY(config.count_or("n_group", groups));
  routing.num_groups_selected = TRY(config.count_or("topk_group", selected));
  return Ok{};
}

// The experts of the layers that have them; `routing` is what the family says of it.
Status read_experts(const ConfigReader& config, const ExpertDefaults& defaults,
                    const RoutingSpec& routing, ModelSpec& spec) {
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  experts.kind = FeedForwardKind::kExperts;
  experts.routing = routing;
  experts.routing.weight_scale =
      static_cast<float>(TRY(config.number_or("routed_scaling_factor", defaults.weight_scale)));
  experts.num_experts = TRY(config.count_or("n_routed_experts", defaults.num_experts));
  experts.num_selected = TRY(config.count("num_experts_per_tok"));
  experts.width = TRY(config.count("moe_intermediate_size"));
  const std::uint64_t num_shared = TRY(config.count_or("n_shared_experts", defaults.num_shared));
  if (experts.width > kFeedForwardMax || num_shared > kExpertsMax) {
    return config.wrong("n_shared_experts", "shared experts within limits");
  }
  experts.shared_width = num_shared * experts.width;
  const std::uint64_t first = TRY(config.count_or("first_k_dense_replace", defaults.first_sparse));
  const std::uint64_t step = TRY(config.count_or("moe_layer_freq", 1));
  if (step == 0) return config.wrong("moe_layer_freq", "1 or more");
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (i >= first && i % step == 0) spec.layers[i].feed_forward = experts;
  }
  return Ok{};
}

Status expect_text(const ConfigReader& config, std::string_view key, std::string_view expected) {
  const std::string found = TRY(config.text_or(key, std::string(expected)));
  if (found == expected) return Ok{};
  return config.unsupported(key, "expected " + std::string(expected));
}

Status read_v2(const ConfigReader& config, ModelSpec& spec) {
  for (RopeSpec& rope : spec.ropes) rope.pairs = RopePairs::kAdjacent;
  TRY(read_attention(config, 1536, spec));
  TRY(expect_text(config, "scoring_func", "softmax"));
  if (TRY(config.flag_or("norm_topk_prob", false))) {
    return config.unsupported("norm_topk_prob", "implementations differ in what it means for V2");
  }
  if (TRY(config.flag_or("mlp_bias", false))) return config.unsupported("mlp_bias", "");
  RoutingSpec routing{.weights = ExpertWeights::kScores};
  const std::string method = TRY(config.text_or("topk_method", "greedy"));
  if (method == "group_limited_greedy") {
    TRY(read_groups(config, 1, 1, routing));
  } else if (method != "greedy") {
    return config.unsupported("topk_method", "expected greedy or group_limited_greedy");
  }
  return read_experts(config, {}, routing, spec);
}

Status read_v3(const ConfigReader& config, ModelSpec& spec) {
  const bool adjacent = TRY(config.flag_or("rope_interleave", true));
  for (RopeSpec& rope : spec.ropes) {
    rope.pairs = adjacent ? RopePairs::kAdjacent : RopePairs::kHalves;
  }
  TRY(read_attention(config, 1536, spec));
  TRY(expect_text(config, "scoring_func", "sigmoid"));
  TRY(expect_text(config, "topk_method", "noaux_tc"));
  RoutingSpec routing{.scores = ExpertScores::kSigmoid,
                      .has_choice_bias = true,
                      .group_rank = GroupRank::kSumOfTwo};
  const bool is_normalised = TRY(config.flag_or("norm_topk_prob", true));
  routing.weights = is_normalised ? ExpertWeights::kNormalised : ExpertWeights::kScores;
  TRY(read_groups(config, 8, 4, routing));
  const ExpertDefaults defaults{
      .first_sparse = 3, .num_experts = 256, .num_shared = 1, .weight_scale = 2.5};
  return read_experts(config, defaults, routing, spec);
}

// ---- GGUF ----

// Its two layouts name the lengths of heads differently: newer files say what the cache holds under
// key_length and what the weights have under key_length_mla.
Status read_gguf_attention(const GgufReader& reader, ModelSpec& spec) {
  LatentSpec latent;
  latent.rank = TRY(reader.count("attention.kv_lora_rank"));
  latent.rotary_dim = TRY(reader.count("rope.dimension_count"));
  const bool has_both = reader.has("attention.key_length_mla");
  const std::uint64_t head =
      TRY(reader.count(has_both ? "attention.key_length_mla" : "attention.key_length"));
  latent.value_dim =
      TRY(reader.count(has_both ? "attention.value_length_mla" : "attention.value_length"));
  if (head <= latent.rotary_dim) {
    return Error{ErrorCode::kCorruptData,
                 "heads of " + std::to_string(head) + " elements, of which " +
                     std::to_string(latent.rotary_dim) + " are rotated, have no plain part"};
  }
  latent.plain_dim = head - latent.rotary_dim;
  if (reader.has("attention.q_lora_rank")) {
    latent.query_rank = TRY(reader.count("attention.q_lora_rank"));
  }
  latent.norm = kLatentNorm;
  // cos and sin are not scaled: the temperature is in the scores alone.
  RopeSpec& rope = spec.ropes.front();
  rope.pairs = RopePairs::kAdjacent;
  rope.attention_factor = 1.0;
  double temperature = 1.0;
  if (rope.scaling == RopeScaling::kYarn && rope.factor > 1.0) {
    const double log_factor = TRY(reader.number_or("rope.scaling.yarn_log_multiplier", 0.0));
    temperature += log_factor * std::log(rope.factor);
  }
  const double scale = temperature * temperature / std::sqrt(static_cast<double>(head));
  for (LayerSpec& layer : spec.layers) {
    set_latent(latent, layer.attention);
    layer.attention.scale = static_cast<float>(scale);
  }
  return Ok{};
}

Result<RoutingSpec> read_gguf_routing(const GgufReader& reader) {
  constexpr std::uint64_t kSoftmax = 1;
  constexpr std::uint64_t kSigmoid = 2;
  RoutingSpec routing;
  const std::uint64_t scores = TRY(reader.count_or("expert_gating_func", kSoftmax));
  if (scores != kSoftmax && scores != kSigmoid) {
    return Error{ErrorCode::kUnsupported, "expert_gating_func " + std::to_string(scores) +
                                              " is not supported: expected 1 (softmax) or 2 "
                                              "(sigmoid)"};
  }
  if (scores == kSigmoid) {
    routing.scores = ExpertScores::kSigmoid;
    routing.group_rank = GroupRank::kSumOfTwo;
  }
  const bool is_normalised = TRY(reader.flag_or("expert_weights_norm", false));
  routing.weights = is_normalised ? ExpertWeights::kNormalised : ExpertWeights::kScores;
  const double scale = TRY(reader.number_or("expert_weights_scale", 1.0));
  routing.weight_scale = scale == 0.0 ? 1.0f : static_cast<float>(scale);
  routing.num_groups = TRY(reader.count_or("expert_group_count", 1));
  routing.num_groups_selected = TRY(reader.count_or("expert_group_used_count", routing.num_groups));
  return routing;
}

Status read_gguf(const GgufReader& reader, const WeightSource& weights, ModelSpec& spec) {
  TRY(read_gguf_attention(reader, spec));
  const RoutingSpec routing = TRY(read_gguf_routing(reader));
  const std::uint64_t num_shared = TRY(reader.count_or("expert_shared_count", 0));
  if (num_shared > kExpertsMax) {
    return Error{ErrorCode::kCorruptData, "expert_shared_count is " + std::to_string(num_shared) +
                                              ", expected " + std::to_string(kExpertsMax) +
                                              " at most"};
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    FeedForwardSpec& experts = spec.layers[i].feed_forward;
    if (experts.kind != FeedForwardKind::kExperts) continue;
    experts.routing = routing;
    experts.routing.has_choice_bias =
        weights.find(gguf_name(TensorRole::kChoiceBias, i)) != nullptr;
    if (experts.width <= kFeedForwardMax) experts.shared_width = num_shared * experts.width;
    if (routing.scores == ExpertScores::kSigmoid) {
      spec.architecture = "DeepseekV3ForCausalLM";
    }
  }
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "DeepseekV2ForCausalLM", .read = read_v2, .keys = &kKeys},
    {.architecture = "DeepseekV3ForCausalLM", .read = read_v3, .keys = &kKeys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "deepseek2",
     .architecture = "DeepseekV2ForCausalLM",
     .with_experts = "DeepseekV2ForCausalLM",
     .read = read_gguf},
};

}  // namespace

std::span<const Family> deepseek_families() {
  return kFamilies;
}

std::span<const GgufFamily> deepseek_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
