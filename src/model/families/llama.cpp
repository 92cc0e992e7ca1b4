// Llama and those that add a little to it: Mistral, Granite, SmolLM3, OLMo.
#include <cmath>

#include "formats/checkpoint.h"
#include "model/families/experts.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

Status read_llama(const ConfigReader& config, ModelSpec& spec) {
  const bool attention_bias = TRY(config.flag_or("attention_bias", false));
  const bool mlp_bias = TRY(config.flag_or("mlp_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = attention_bias;
    layer.feed_forward.has_bias = mlp_bias;
  }
  return Ok{};
}

// ---- Granite: four multipliers ----

constexpr std::string_view kGraniteOptions[] = {"embedding_multiplier", "residual_multiplier",
                                                "logits_scaling"};

Status read_granite(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_llama(config, spec));
  spec.embedding_scale = static_cast<float>(TRY(read_positive(config, "embedding_multiplier", 1)));
  spec.logit_scale = static_cast<float>(1.0 / TRY(read_positive(config, "logits_scaling", 1)));
  const double residual = TRY(read_positive(config, "residual_multiplier", 1));
  const double attention = TRY(read_positive(config, "attention_multiplier", 1));
  for (LayerSpec& layer : spec.layers) {
    layer.residual_scale = static_cast<float>(residual);
    layer.attention.scale = static_cast<float>(attention);
  }
  return Ok{};
}

Status read_gguf_granite(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  spec.embedding_scale = static_cast<float>(TRY(reader.positive_or("embedding_scale", 1)));
  spec.logit_scale = static_cast<float>(1.0 / TRY(reader.positive_or("logit_scale", 1)));
  const double residual = TRY(reader.positive_or("residual_scale", 1));
  for (LayerSpec& layer : spec.layers) {
    layer.residual_scale = static_cast<float>(residual);
    const double usual = double{layer.attention.scale};
    layer.attention.scale = static_cast<float>(TRY(reader.positive_or("attention.scale", usual)));
  }
  return Ok{};
}

// All layers have experts, whose chosen weights add up to one.
Status read_granite_moe(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_granite(config, spec));
  for (LayerSpec& layer : spec.layers) {
    layer.feed_forward.has_bias = false;
    TRY(read_expert_counts(config, layer.feed_forward));
  }
  return Ok{};
}

// ---- SmolLM3: every fourth layer has no positions ----

constexpr std::string_view kSmolLm3Options[] = {"no_rope_layers"};
constexpr std::size_t kSmolLm3Interval = 4;

// A list with 1 for each layer with rope and 0 for each without.
Status read_smollm3(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_llama(config, spec));
  if (TRY(config.flag_or("use_sliding_window", false))) {
    return config.unsupported("use_sliding_window", "expected false");
  }
  const std::uint64_t interval = TRY(config.count_or("no_rope_layer_interval", kSmolLm3Interval));
  if (interval == 0) return config.wrong("no_rope_layer_interval", "1 or more");
  const Json* list = config.find("no_rope_layers");
  if (list != nullptr && (!list->is_array() || list->size() != spec.layers.size())) {
    return config.wrong("no_rope_layers",
                        "a list of " + std::to_string(spec.layers.size()) + " numbers");
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (list != nullptr && !(*list)[i].is_number_unsigned()) {
      return config.wrong("no_rope_layers", "a list of numbers");
    }
    const bool has_rope = list != nullptr ? (*list)[i] != 0 : (i + 1) % interval != 0;
    if (!has_rope) spec.layers[i].attention.rope.reset();
  }
  return Ok{};
}

// llama.cpp takes the interval for granted.
Status read_gguf_smollm3(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if ((i + 1) % kSmolLm3Interval == 0) spec.layers[i].attention.rope.reset();
  }
  return Ok{};
}

// ---- OLMo: norms without weights; OLMo 2: norms of outputs only, and of all of q and of k ----

constexpr NormSpec kBareNorm = {.eps = 1e-5f, .kind = NormKind::kLayer, .has_weight = false};
constexpr ConfigKeys kOlmoKeys = {.norm_eps = "", .norm = kBareNorm};

Status read_olmo(const ConfigReader& config, ModelSpec& spec) {
  if (config.find("clip_qkv") != nullptr) {
    return config.unsupported("clip_qkv", "expected null");
  }
  return read_llama(config, spec);
}

Status read_gguf_olmo(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  if (TRY(reader.number_or("attention.clamp_kqv", 0.0)) != 0.0) {
    return Error{ErrorCode::kUnsupported, "olmo.attention.clamp_kqv is not supported, expected 0"};
  }
  NormSpec norm = kBareNorm;
  norm.eps = spec.final_norm.eps;
  spec.final_norm = norm;
  for (LayerSpec& layer : spec.layers) layer.attention_norm = layer.feed_forward_norm = norm;
  return Ok{};
}

constexpr ConfigKeys kOlmo2Keys = {.rope = {.default_base = 500000.0}, .norm = {.eps = 1e-5f}};

void norm_outputs_only(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention_norm = layer.feed_forward_norm = std::nullopt;
    layer.attention_post_norm = layer.feed_forward_post_norm = spec.final_norm;
    layer.attention.query_norm = layer.attention.key_norm = spec.final_norm;
    layer.attention.norm_extent = NormExtent::kWidth;
  }
}

Status read_olmo2(const ConfigReader& config, ModelSpec& spec) {
  norm_outputs_only(spec);
  return read_llama(config, spec);
}

// Three of four layers slide, and their rope is not scaled.
constexpr std::size_t kOlmo3Interval = 4;
constexpr ConfigKeys kOlmo3Keys = {
    .rope = {.default_base = 500000.0, .layer_type = "full_attention"}, .norm = {.eps = 1e-5f}};

Status read_olmo3(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_olmo2(config, spec));
  const auto pattern = [](const ConfigReader&, std::size_t i) {
    return (i + 1) % kOlmo3Interval != 0;
  };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), pattern));
  RopeKeys keys = kOlmo3Keys.rope;
  keys.layer_type = "sliding_attention";
  keys.reads_rope_scaling = false;
  const std::size_t head_dim = spec.layers.front().attention.head_dim;
  const RopeConfig local = TRY(read_rope_config(config, head_dim, spec.context_max, keys));
  const std::size_t local_rope = rope_index(spec, local.rope);
  const std::uint64_t window = TRY(config.count_or("sliding_window", 4096));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!sliding[i]) continue;
    slide(spec.layers[i], window);
    spec.layers[i].attention.rope = local_rope;
  }
  return Ok{};
}

// A window tells OLMo 3 from OLMo 2, which share a name.
Status read_gguf_olmo2(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  norm_outputs_only(spec);
  const std::uint64_t window = TRY(reader.count_or("attention.sliding_window", 0));
  if (window == 0) return Ok{};
  RopeSpec local = spec.ropes.front();
  local.scaling = RopeScaling::kNone;
  local.factor = local.attention_factor = 1.0;
  local.original_context = 0.0;
  const std::size_t local_rope = rope_index(spec, local);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    AttentionSpec& attention = spec.layers[i].attention;
    attention.kind = AttentionKind::kFull;
    attention.window = 0;
    if ((i + 1) % kOlmo3Interval == 0) continue;
    slide(spec.layers[i], window);
    attention.rope = local_rope;
  }
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "LlamaForCausalLM", .read = read_llama},
    {.architecture = "MistralForCausalLM", .read = read_window_everywhere},
    {.architecture = "GraniteForCausalLM", .read = read_granite, .own_options = kGraniteOptions},
    {.architecture = "GraniteMoeForCausalLM",
     .read = read_granite_moe,
     .own_options = kGraniteOptions},
    {.architecture = "SmolLM3ForCausalLM", .read = read_smollm3, .own_options = kSmolLm3Options},
    {.architecture = "OlmoForCausalLM", .read = read_olmo, .keys = &kOlmoKeys},
    {.architecture = "Olmo2ForCausalLM", .read = read_olmo2, .keys = &kOlmo2Keys},
    {.architecture = "Olmo3ForCausalLM", .read = read_olmo3, .keys = &kOlmo3Keys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "llama", .architecture = "LlamaForCausalLM", .with_experts = "MixtralForCausalLM"},
    {.name = "granite", .architecture = "GraniteForCausalLM", .read = read_gguf_granite},
    {.name = "granitemoe",
     .architecture = "GraniteMoeForCausalLM",
     .with_experts = "GraniteMoeForCausalLM",
     .read = read_gguf_granite},
    {.name = "smollm3", .architecture = "SmolLM3ForCausalLM", .read = read_gguf_smollm3},
    {.name = "olmo",
     .architecture = "OlmoForCausalLM",
     .norm = NormKind::kLayer,
     .read = read_gguf_olmo},
    {.name = "olmo2", .architecture = "Olmo2ForCausalLM", .read = read_gguf_olmo2},
};

}  // namespace

std::span<const Family> llama_families() {
  return kFamilies;
}

std::span<const GgufFamily> llama_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
