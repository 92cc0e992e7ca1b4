// Families with layer norms: GPT-2, GPT-NeoX, StarCoder2, StableLM, Cohere.
#include "formats/checkpoint.h"
#include "model/families/family.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

constexpr NormSpec kNorm = {.eps = 1e-5f, .kind = NormKind::kLayer, .has_bias = true};

void use_plain_feed_forward(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) layer.feed_forward.kind = FeedForwardKind::kPlain;
}

struct Biases {
  bool attention = true;
  bool feed_forward = true;
};

void set_biases(ModelSpec& spec, const Biases& biases) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = biases.attention;
    layer.feed_forward.has_bias = biases.feed_forward;
  }
}

// ---- GPT-2: learned positions ----

constexpr ConfigKeys kGpt2Keys = {.hidden = {"n_embd"},
                                  .layers = {"n_layer"},
                                  .heads = {"n_head"},
                                  .width = {"n_inner"},
                                  .width_of_hidden = 4,
                                  .positions = {"n_positions"},
                                  .has_rope = false,
                                  .norm_eps = "layer_norm_epsilon",
                                  .norm = kNorm,
                                  .activation = "activation_function",
                                  .default_activation = "gelu_new"};

Status read_gpt2(const ConfigReader& config, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  set_biases(spec, {});
  spec.num_learned_positions = spec.context_max;
  if (TRY(config.flag_or("add_cross_attention", false))) {
    return config.unsupported("add_cross_attention", "expected false");
  }
  const bool scales = TRY(config.flag_or("scale_attn_weights", true));
  const bool by_layer = TRY(config.flag_or("scale_attn_by_inverse_layer_idx", false));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    AttentionSpec& attention = spec.layers[i].attention;
    const auto depth = static_cast<double>(i + 1);
    const double dim = scales ? static_cast<double>(attention.head_dim) : 1.0;
    attention.scale = inverse_root(by_layer ? dim * depth * depth : dim);
  }
  return Ok{};
}

Status read_gguf_gpt2(const GgufReader&, const WeightSource& weights, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  set_biases(spec, {});
  const TensorInfo* positions = weights.find(gguf_name(TensorRole::kPositions));
  if (positions == nullptr || positions->shape.rank() != 2) {
    return Error{ErrorCode::kCorruptData,
                 weights.path() + ": no tensor position_embd.weight of two dimensions"};
  }
  spec.num_learned_positions = positions->shape[0];
  spec.ropes.clear();
  for (LayerSpec& layer : spec.layers) layer.attention.rope.reset();
  return Ok{};
}

// ---- StarCoder2 ----

constexpr ConfigKeys kStarcoder2Keys = {
    .norm_eps = "norm_epsilon", .norm = kNorm, .default_activation = "gelu_pytorch_tanh"};

Status read_starcoder2(const ConfigReader& config, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  const bool bias = TRY(config.flag_or("use_bias", true));
  set_biases(spec, {.attention = bias, .feed_forward = bias});
  return read_window_everywhere(config, spec);
}

Status read_gguf_starcoder2(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  return Ok{};
}

// ---- GPT-NeoX: both parts side by side, each with a norm of its own ----

constexpr ConfigKeys kNeoxKeys = {
    .rope = {.base = "rotary_emb_base", .part = "rotary_pct", .default_part = 0.25},
    .norm_eps = "layer_norm_eps",
    .norm = kNorm,
    .default_activation = "gelu"};

void read_residual(ModelSpec& spec, ResidualKind residual) {
  for (LayerSpec& layer : spec.layers) layer.residual = residual;
}

Status read_neox(const ConfigReader& config, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  set_biases(spec, {.attention = TRY(config.flag_or("attention_bias", true))});
  read_residual(spec, TRY(config.flag_or("use_parallel_residual", true))
                          ? ResidualKind::kParallel
                          : ResidualKind::kSequential);
  return Ok{};
}

Status read_gguf_neox(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  use_plain_feed_forward(spec);
  read_residual(spec, TRY(reader.flag_or("use_parallel_residual", true))
                          ? ResidualKind::kParallel
                          : ResidualKind::kSequential);
  return Ok{};
}

// ---- StableLM: gated, q, k and v may have biases; side by side there is one norm ----

constexpr ConfigKeys kStableLmKeys = {
    .rope = {.default_part = 0.25}, .norm_eps = "layer_norm_eps", .norm = kNorm};

void share_norm(ModelSpec& spec) {
  read_residual(spec, ResidualKind::kParallel);
  for (LayerSpec& layer : spec.layers) layer.feed_forward_norm.reset();
}

Status read_stablelm(const ConfigReader& config, ModelSpec& spec) {
  const bool bias = TRY(config.flag_or("use_qkv_bias", false));
  for (LayerSpec& layer : spec.layers) layer.attention.has_qkv_bias = bias;
  if (TRY(config.flag_or("use_parallel_residual", false))) share_norm(spec);
  return Ok{};
}

Status read_gguf_stablelm(const GgufReader& reader, const WeightSource& weights, ModelSpec& spec) {
  if (weights.find(gguf_name(TensorRole::kQueryNorm, 0)) != nullptr) {
    return Error{ErrorCode::kUnsupported,
                 "stablelm with norms of q and k (qk_layernorm) is not supported"};
  }
  if (TRY(reader.flag_or("use_parallel_residual", true))) share_norm(spec);
  return Ok{};
}

// ---- Cohere: side by side, of one norm without bias; rope turns adjacent elements ----

constexpr NormSpec kUnbiasedNorm = {.eps = 1e-5f, .kind = NormKind::kLayer};
constexpr std::string_view kCohereOptions[] = {"logit_scale"};
constexpr ConfigKeys kCohereKeys = {.norm_eps = "layer_norm_eps", .norm = kUnbiasedNorm};

void turn_adjacent(ModelSpec& spec) {
  share_norm(spec);
  for (RopeSpec& rope : spec.ropes) rope.pairs = RopePairs::kAdjacent;
}

Status read_cohere(const ConfigReader& config, ModelSpec& spec) {
  turn_adjacent(spec);
  spec.logit_scale = static_cast<float>(TRY(read_positive(config, "logit_scale", 0.0625)));
  const bool bias = TRY(config.flag_or("attention_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = bias;
  }
  return Ok{};
}

Status read_gguf_cohere(const GgufReader& reader, const WeightSource& weights, ModelSpec& spec) {
  if (weights.find(gguf_name(TensorRole::kQueryNorm, 0)) != nullptr) {
    return Error{ErrorCode::kUnsupported,
                 "command-r with norms of q and k (use_qk_norm) is not supported"};
  }
  spec.final_norm.has_bias = false;
  for (LayerSpec& layer : spec.layers) layer.attention_norm = spec.final_norm;
  turn_adjacent(spec);
  spec.logit_scale = static_cast<float>(TRY(reader.positive_or("logit_scale", 0.0625)));
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "GPT2LMHeadModel", .read = read_gpt2, .keys = &kGpt2Keys},
    {.architecture = "GPTNeoXForCausalLM", .read = read_neox, .keys = &kNeoxKeys},
    {.architecture = "Starcoder2ForCausalLM", .read = read_starcoder2, .keys = &kStarcoder2Keys},
    {.architecture = "StableLmForCausalLM", .read = read_stablelm, .keys = &kStableLmKeys},
    {.architecture = "CohereForCausalLM",
     .read = read_cohere,
     .own_options = kCohereOptions,
     .keys = &kCohereKeys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "gpt2",
     .architecture = "GPT2LMHeadModel",
     .norm = NormKind::kLayer,
     .activation = Activation::kGeluTanh,
     .read = read_gguf_gpt2},
    {.name = "gptneox",
     .architecture = "GPTNeoXForCausalLM",
     .norm = NormKind::kLayer,
     .activation = Activation::kGelu,
     .read = read_gguf_neox},
    {.name = "starcoder2",
     .architecture = "Starcoder2ForCausalLM",
     .norm = NormKind::kLayer,
     .activation = Activation::kGeluTanh,
     .read = read_gguf_starcoder2},
    {.name = "stablelm",
     .architecture = "StableLmForCausalLM",
     .norm = NormKind::kLayer,
     .read = read_gguf_stablelm},
    {.name = "command-r",
     .architecture = "CohereForCausalLM",
     .norm = NormKind::kLayer,
     .read = read_gguf_cohere},
};

}  // namespace

std::span<const Family> gpt_families() {
  return kFamilies;
}

std::span<const GgufFamily> gpt_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
