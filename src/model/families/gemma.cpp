// Gemma 1, 2 and 3 (its text part).
#include <cmath>

#include "formats/checkpoint.h"
#include "model/families/family.h"

namespace millrace {
namespace {

constexpr float kNormOffset = 1.0f;
constexpr std::string_view kOptions[] = {"attn_logit_softcapping", "final_logit_softcapping"};
constexpr std::string_view kTanh = "gelu_pytorch_tanh";
constexpr NormSpec kNorm = {.eps = 1e-6f, .weight_offset = kNormOffset};
constexpr ConfigKeys kGemmaKeys = {.head_dim = {"head_dim", 256}, .norm = kNorm};
constexpr ConfigKeys kGemma2Keys = {.head_dim = {"head_dim", 256},
                                    .norm = kNorm,
                                    .activation = "hidden_activation",
                                    .default_activation = kTanh};
// The text parts of published files leave out what equals the class's defaults.
constexpr ConfigKeys kGemma3Keys = {
    .vocabulary = {"vocab_size", 262208},
    .hidden = {"hidden_size", 2304},
    .layers = {"num_hidden_layers", 26},
    .heads = {"num_attention_heads", 8},
    .kv_heads = {"num_key_value_heads", 4},
    .head_dim = {"head_dim", 256},
    .width = {"intermediate_size", 9216},
    .positions = {"max_position_embeddings", 131072},
    .rope = {.default_base = 1e6, .layer_type = "full_attention", .stretches_positions = false},
    .norm = kNorm,
    .activation = "hidden_activation",
    .default_activation = kTanh};

// sqrt(hidden). The reference rounds it to the type that it computes in, which is f32 here.
void scale_embeddings(ModelSpec& spec) {
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.hidden)));
}

Status read_biases(const ConfigReader& config, ModelSpec& spec) {
  const bool bias = TRY(config.flag_or("attention_bias", false));
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = bias;
  }
  return Ok{};
}

// "gelu" in the first files means its approximation, too.
Status read_gemma(const ConfigReader& config, ModelSpec& spec) {
  const std::string older = TRY(config.text_or("hidden_act", std::string(kTanh)));
  const std::string name = TRY(config.text_or("hidden_activation", older));
  if (name != "gelu" && name != kTanh) {
    return config.unsupported("hidden_activation", "expected gelu_pytorch_tanh");
  }
  for (LayerSpec& layer : spec.layers) layer.feed_forward.activation = Activation::kGeluTanh;
  TRY(read_biases(config, spec));
  scale_embeddings(spec);
  return Ok{};
}

void norm_outputs_too(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention_post_norm = layer.feed_forward_post_norm = spec.final_norm;
  }
}

Status read_softcaps(const ConfigReader& config, ModelSpec& spec) {
  if (config.find("final_logit_softcapping") != nullptr) {
    spec.logit_softcap =
        static_cast<float>(TRY(read_positive(config, "final_logit_softcapping", 0)));
  }
  if (config.find("attn_logit_softcapping") == nullptr) return Ok{};
  const double cap = TRY(read_positive(config, "attn_logit_softcapping", 0));
  for (LayerSpec& layer : spec.layers) layer.attention.softcap = static_cast<float>(cap);
  return Ok{};
}

// What Gemma 2 and 3 share.
Status read_both(const ConfigReader& config, ModelSpec& spec) {
  norm_outputs_too(spec);
  TRY(read_softcaps(config, spec));
  TRY(read_biases(config, spec));
  const double scalar = TRY(read_positive(config, "query_pre_attn_scalar", 256));
  for (LayerSpec& layer : spec.layers) layer.attention.scale = inverse_root(scalar);
  scale_embeddings(spec);
  return Ok{};
}

Status read_gemma2(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_both(config, spec));
  const auto every_other = [](const ConfigReader&, std::size_t i) { return i % 2 == 0; };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), every_other));
  const std::uint64_t window = TRY(config.count_or("sliding_window", 4096));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sliding[i]) slide(spec.layers[i], window);
  }
  return Ok{};
}

Status read_gemma3(const ConfigReader& config, ModelSpec& spec) {
  TRY(read_both(config, spec));
  if (TRY(config.flag_or("use_bidirectional_attention", false))) {
    return config.unsupported("use_bidirectional_attention", "expected false");
  }
  const std::uint64_t interval = TRY(config.count_or("sliding_window_pattern", 6));
  if (interval == 0) return config.wrong("sliding_window_pattern", "1 or more");
  const auto pattern = [](const ConfigReader& file, std::size_t i) {
    const Json* stated = file.find("sliding_window_pattern");
    return (i + 1) % (stated != nullptr ? stated->get<std::size_t>() : 6) != 0;
  };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), pattern));
  RopeKeys keys;
  keys.base = "rope_local_base_freq";
  keys.layer_type = "sliding_attention";
  keys.reads_rope_scaling = false;
  const std::size_t head_dim = spec.layers.front().attention.head_dim;
  const RopeConfig local = TRY(read_rope_config(config, head_dim, spec.context_max, keys));
  const std::size_t local_rope = rope_index(spec, local.rope);
  const std::uint64_t window = TRY(config.count_or("sliding_window", 4096));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    AttentionSpec& attention = spec.layers[i].attention;
    attention.query_norm = attention.key_norm = spec.final_norm;
    if (!sliding[i]) continue;
    slide(spec.layers[i], window);
    attention.rope = local_rope;
  }
  return Ok{};
}

// ---- GGUF: its norms have the one added ----

Status read_gguf_gemma(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  scale_embeddings(spec);
  return Ok{};
}

// The largest of each generation scales scores by the width of a head that it would have if heads
// filled the hidden size. GGUF does not say so; llama.cpp tells it by the number of layers.
void scale_scores(ModelSpec& spec, std::size_t num_layers_of_largest) {
  if (spec.layers.size() != num_layers_of_largest) return;
  for (LayerSpec& layer : spec.layers) {
    layer.attention.scale = inverse_root(static_cast<double>(spec.hidden) /
                                         static_cast<double>(layer.attention.num_heads));
  }
}

// Every `interval`-th layer is full when `full_first` is the offset of the first.
void slide_but(ModelSpec& spec, std::size_t interval, std::size_t first_full, std::size_t window) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    spec.layers[i].attention.kind = AttentionKind::kFull;
    spec.layers[i].attention.window = 0;
    if (i % interval != first_full) slide(spec.layers[i], window);
  }
}

Status read_gguf_gemma2(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  constexpr std::size_t kLayersOf27b = 46;
  scale_embeddings(spec);
  norm_outputs_too(spec);
  scale_scores(spec, kLayersOf27b);
  // The first converters wrote none of these; the numbers are those of all published models.
  slide_but(spec, 2, 1, TRY(reader.count_or("attention.sliding_window", 4096)));
  spec.logit_softcap = static_cast<float>(TRY(reader.positive_or("final_logit_softcapping", 30.0)));
  const double cap = TRY(reader.positive_or("attn_logit_softcapping", 50.0));
  for (LayerSpec& layer : spec.layers) layer.attention.softcap = static_cast<float>(cap);
  return Ok{};
}

Status read_gguf_gemma3(const GgufReader& reader, const WeightSource&, ModelSpec& spec) {
  constexpr std::size_t kLayersOf27b = 62;
  scale_embeddings(spec);
  norm_outputs_too(spec);
  scale_scores(spec, kLayersOf27b);
  const std::uint64_t interval = TRY(reader.count_or("attention.sliding_window_pattern", 6));
  if (interval == 0 || interval > kLayersMax) {
    return Error{ErrorCode::kCorruptData, "gemma3.attention.sliding_window_pattern is " +
                                              std::to_string(interval) + ", expected 1 to " +
                                              std::to_string(kLayersMax)};
  }
  slide_but(spec, interval, interval - 1, TRY(reader.count("attention.sliding_window")));
  RopeSpec local = spec.ropes.front();
  local.scaling = RopeScaling::kNone;
  local.factor = 1.0;
  local.base = TRY(reader.positive_or("rope.freq_base_swa", 10000.0));
  const std::size_t local_rope = rope_index(spec, local);
  for (LayerSpec& layer : spec.layers) {
    layer.attention.query_norm = layer.attention.key_norm = spec.final_norm;
    if (layer.attention.kind == AttentionKind::kSliding) layer.attention.rope = local_rope;
  }
  // Its context has been stretched already.
  spec.context_max = TRY(reader.count("context_length"));
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "GemmaForCausalLM", .read = read_gemma, .keys = &kGemmaKeys},
    {.architecture = "Gemma2ForCausalLM",
     .read = read_gemma2,
     .own_options = kOptions,
     .keys = &kGemma2Keys},
    {.architecture = "Gemma3ForCausalLM",
     .read = read_gemma3,
     .own_options = kOptions,
     .keys = &kGemma3Keys},
    {.architecture = "Gemma3ForConditionalGeneration",
     .read = read_gemma3,
     .own_options = kOptions,
     .keys = &kGemma3Keys,
     .runs_as = "Gemma3ForCausalLM",
     .part = "text_config"},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "gemma",
     .architecture = "GemmaForCausalLM",
     .activation = Activation::kGeluTanh,
     .read = read_gguf_gemma},
    {.name = "gemma2",
     .architecture = "Gemma2ForCausalLM",
     .activation = Activation::kGeluTanh,
     .read = read_gguf_gemma2},
    {.name = "gemma3",
     .architecture = "Gemma3ForCausalLM",
     .activation = Activation::kGeluTanh,
     .read = read_gguf_gemma3},
};

}  // namespace

std::span<const Family> gemma_families() {
  return kFamilies;
}

std::span<const GgufFamily> gemma_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
