// GGUF metadata of the architectures that this program runs, and the header of llama2.c files.
#include <cmath>
#include <cstring>
#include <span>

#include "model/families/family.h"
#include "model/read_spec.h"
#include "model/spec_archive.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

Status read_rope_scaling(const GgufReader& reader, std::size_t context, RopeSpec& rope) {
  const std::string type = TRY(reader.text_or("rope.scaling.type", "none"));
  const double factor = TRY(reader.number_or("rope.scaling.factor", 0.0));
  if (type == "none" || factor == 0.0) return Ok{};
  rope.factor = factor;
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    return Ok{};
  }
  if (type != "yarn") {
    return Error{ErrorCode::kUnsupported, "rope.scaling.type \"" + type +
                                              "\" is not supported: expected none, linear or yarn"};
  }
  rope.scaling = RopeScaling::kYarn;
  rope.original_context =
      static_cast<double>(TRY(reader.count_or("rope.scaling.original_context_length", context)));
  rope.beta_fast = TRY(reader.number_or("rope.scaling.yarn_beta_fast", 32.0));
  rope.beta_slow = TRY(reader.number_or("rope.scaling.yarn_beta_slow", 1.0));
  const double temperature = factor > 1.0 ? 0.1 * std::log(factor) + 1.0 : 1.0;
  rope.attention_factor = temperature * TRY(reader.number_or("rope.scaling.attn_factor", 1.0)) *
                          TRY(reader.number_or("rope.scaling.yarn_attn_factor", 1.0));
  return Ok{};
}

// rope_freqs.weight divides each frequency: how GGUF stores Llama 3's scaling.
Status read_frequency_divisors(const WeightSource& weights, RopeSpec& rope) {
  if (weights.find("rope_freqs.weight") == nullptr) return Ok{};
  const SourceTensor tensor = TRY(weights.tensor("rope_freqs.weight"));
  if (tensor.dtype != DType::kF32 || tensor.shape.num_elements() != rope.rotary_dim / 2) {
    return Error{ErrorCode::kCorruptData, "rope_freqs.weight is " +
                                              std::string(dtype_name(tensor.dtype)) + " " +
                                              to_string(tensor.shape) + ", expected f32 [" +
                                              std::to_string(rope.rotary_dim / 2) + "]"};
  }
  std::vector<float> divisors(rope.rotary_dim / 2);
  std::memcpy(divisors.data(), tensor.bytes.data(), tensor.bytes.size());
  for (const float divisor : divisors) {
    if (!(divisor > 0.0f) || !std::isfinite(divisor)) {
      return Error{ErrorCode::kCorruptData, "rope_freqs.weight holds " + std::to_string(divisor) +
                                                ", expected positive numbers"};
    }
    rope.frequency_divisors.push_back(divisor);
  }
  return Ok{};
}

// Linear and yarn scaling are there to reach further than context_length says.
Result<RopeSpec> read_rope(const GgufReader& reader, const WeightSource& weights,
                           std::size_t head_dim, std::size_t context) {
  RopeSpec rope;
  rope.rotary_dim = TRY(reader.count_or("rope.dimension_count", head_dim));
  if (rope.rotary_dim > head_dim) {
    return Error{ErrorCode::kCorruptData,
                 "rope.dimension_count is " + std::to_string(rope.rotary_dim) +
                     ", the head dimension is " + std::to_string(head_dim)};
  }
  rope.base = TRY(reader.number_or("rope.freq_base", 10000.0));
  TRY(read_rope_scaling(reader, context, rope));
  TRY(read_frequency_divisors(weights, rope));
  return rope;
}

// Head counts, widths and biases of every layer.
Status read_layers(const GgufReader& reader, const WeightSource& weights, Activation activation,
                   ModelSpec& spec) {
  const std::size_t num_layers = spec.layers.size();
  const auto heads = TRY(reader.per_layer("attention.head_count", num_layers));
  const auto kv_heads = TRY(reader.per_layer("attention.head_count_kv", num_layers, heads.front()));
  const auto widths = TRY(reader.per_layer("feed_forward_length", num_layers));
  if (heads.front() == 0) {
    return Error{ErrorCode::kCorruptData, "attention.head_count is 0, expected 1 or more"};
  }
  const std::uint64_t head_dim =
      TRY(reader.count_or("attention.key_length", spec.hidden / heads.front()));
  const std::uint64_t value_dim = TRY(reader.count_or("attention.value_length", head_dim));
  if (head_dim == 0 || head_dim > kHeadDimMax) {
    return Error{ErrorCode::kCorruptData, "attention.key_length is " + std::to_string(head_dim) +
                                              ", expected 1 to " + std::to_string(kHeadDimMax)};
  }
  const RopeSpec rope = TRY(read_rope(reader, weights, head_dim, spec.context_max));
  const std::size_t rope_at = rope_index(spec, rope);
  spec.context_max = TRY(stretched_context(rope, spec.context_max));
  const std::uint64_t window = TRY(reader.count_or("attention.sliding_window", 0));
  for (std::size_t i = 0; i < num_layers; ++i) {
    LayerSpec& layer = spec.layers[i];
    layer.attention_norm = layer.feed_forward_norm = spec.final_norm;
    layer.attention.num_heads = heads[i];
    layer.attention.num_kv_heads = kv_heads[i];
    layer.attention.head_dim = head_dim;
    layer.attention.value_head_dim = value_dim;
    layer.attention.scale = inverse_root(static_cast<double>(head_dim));
    layer.attention.rope = rope_at;
    if (window > 0) {
      layer.attention.kind = AttentionKind::kSliding;
      layer.attention.window = window;
    }
    const auto has = [&](TensorRole role) { return weights.find(gguf_name(role, i)) != nullptr; };
    layer.attention.has_qkv_bias =
        has(TensorRole::kQueryBias) ||
        weights.find(gguf_fused_name(TensorRole::kQueryBias, i)) != nullptr;
    layer.attention.has_output_bias = has(TensorRole::kAttentionOutputBias);
    layer.feed_forward.has_bias = has(TensorRole::kDownBias);
    layer.feed_forward.width = widths[i];
    layer.feed_forward.activation = activation;
  }
  return Ok{};
}

// Layers with a router have experts; the others are dense.
Status read_experts(const GgufReader& reader, const WeightSource& weights, ModelSpec& spec) {
  const std::uint64_t num_experts = TRY(reader.count_or("expert_count", 0));
  if (num_experts == 0) return Ok{};
  const std::uint64_t num_selected = TRY(reader.count("expert_used_count"));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (weights.find(gguf_name(TensorRole::kRouter, i)) == nullptr) continue;
    FeedForwardSpec& feed_forward = spec.layers[i].feed_forward;
    feed_forward.kind = FeedForwardKind::kExperts;
    feed_forward.width = TRY(reader.count_or("expert_feed_forward_length", feed_forward.width));
    feed_forward.num_experts = num_experts;
    feed_forward.num_selected = num_selected;
  }
  return Ok{};
}

std::vector<const GgufFamily*> all_families() {
  std::vector<const GgufFamily*> families;
  for (const std::span<const GgufFamily> rows :
       {llama_gguf_families(), qwen_gguf_families(), gemma_gguf_families(), phi_gguf_families(),
        gpt_gguf_families(), expert_gguf_families(), deepseek_gguf_families(),
        gpt_oss_gguf_families()}) {
    for (const GgufFamily& family : rows) families.push_back(&family);
  }
  return families;
}

Result<const GgufFamily*> find_family(std::string_view name) {
  std::string known;
  for (const GgufFamily* family : all_families()) {
    if (family->name == name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family->name);
  }
  return Error{ErrorCode::kUnsupported, "GGUF architecture \"" + std::string(name) +
                                            "\" is not supported: this program runs " + known};
}

Result<std::string> read_architecture(const GgufReader& reader, const GgufFamily& family) {
  const bool experts = TRY(reader.count_or("expert_count", 0)) > 0;
  if (experts && family.with_experts.empty()) {
    return Error{ErrorCode::kUnsupported, "GGUF architecture \"" + std::string(family.name) +
                                              "\" with experts is not supported"};
  }
  return std::string(experts ? family.with_experts : family.architecture);
}

Result<NormSpec> read_norm(const GgufReader& reader, const GgufFamily& family) {
  NormSpec norm;
  norm.kind = family.norm;
  const bool is_rms = family.norm == NormKind::kRms;
  norm.has_bias = !is_rms;
  norm.eps = static_cast<float>(TRY(reader.number_or(
      is_rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-5)));
  return norm;
}

Status read_special_ids(const GgufMetadata& metadata, ModelSpec& spec) {
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    const auto id = TRY(metadata.get_optional<std::uint64_t>(key));
    if (id && *id < spec.vocabulary) spec.eos_ids.push_back(static_cast<std::uint32_t>(*id));
  }
  const auto bos = TRY(metadata.get_optional<std::uint64_t>("tokenizer.ggml.bos_token_id"));
  if (bos && *bos < spec.vocabulary) spec.bos_id = static_cast<std::uint32_t>(*bos);
  return Ok{};
}

}  // namespace

std::vector<std::string> supported_gguf_architectures() {
  std::vector<std::string> names;
  for (const GgufFamily* family : all_families()) names.emplace_back(family->name);
  return names;
}

Result<ModelSpec> spec_from_gguf(const GgufMetadata& metadata, const WeightSource& weights) {
  const std::string_view name = TRY(metadata.get<std::string_view>("general.architecture"));
  const GgufReader reader(metadata, std::string(name));
  ModelSpec spec;
  const GgufFamily* family = TRY(find_family(name));
  spec.architecture = TRY(read_architecture(reader, *family));
  const TensorInfo* embedding = weights.find(gguf_name(TensorRole::kEmbedding));
  if (embedding == nullptr || embedding->shape.rank() != 2) {
    return Error{ErrorCode::kCorruptData,
                 weights.path() + ": no tensor token_embd.weight of two dimensions"};
  }
  spec.vocabulary = embedding->shape[0];
  spec.hidden = TRY(reader.count("embedding_length"));
  spec.context_max = TRY(reader.count("context_length"));
  spec.final_norm = TRY(read_norm(reader, *family));
  spec.has_tied_embeddings = weights.find(gguf_name(TensorRole::kOutput)) == nullptr;
  const std::uint64_t num_layers = TRY(reader.count("block_count"));
  if (num_layers == 0 || num_layers > kLayersMax) {
    return Error{ErrorCode::kCorruptData, weights.path() + ": block_count is " +
                                              std::to_string(num_layers) + ", expected 1 to " +
                                              std::to_string(kLayersMax)};
  }
  spec.layers.resize(num_layers);
  TRY(read_layers(reader, weights, family->activation, spec));
  TRY(read_experts(reader, weights, spec));
  if (family->read != nullptr) TRY(family->read(reader, weights, spec));
  TRY(read_special_ids(metadata, spec));
  Status checked = check_spec(spec);
  if (!checked.ok()) return with_context(std::move(checked).error(), weights.path());
  return spec;
}

ModelSpec spec_from_llama2c(const Llama2cConfig& config) {
  ModelSpec spec;
  spec.architecture = "LlamaForCausalLM";
  spec.vocabulary = config.vocabulary_size;
  spec.hidden = config.hidden_size;
  spec.context_max = config.context_tokens;
  spec.final_norm.eps = static_cast<float>(Llama2cConfig::kNormEps);
  spec.has_tied_embeddings = config.shares_classifier;
  spec.bos_id = 1;  // Fixed by the format, as is the end.
  spec.eos_ids = {2};
  RopeSpec rope;
  rope.rotary_dim = config.head_dim();
  rope.base = Llama2cConfig::kRopeTheta;
  LayerSpec layer;
  layer.attention_norm = layer.feed_forward_norm = spec.final_norm;
  layer.attention.num_heads = config.num_heads;
  layer.attention.num_kv_heads = config.num_kv_heads;
  layer.attention.head_dim = layer.attention.value_head_dim = config.head_dim();
  layer.attention.scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim())));
  layer.attention.rope = rope_index(spec, rope);
  layer.feed_forward.width = config.feed_forward_size;
  spec.layers.assign(config.num_layers, layer);
  return spec;
}

Result<ModelSpec> read_spec(const Checkpoint& checkpoint) {
  switch (checkpoint.kind()) {
    case CheckpointKind::kHuggingFace: {
      ModelSpec spec = TRY(spec_from_config(checkpoint.config(), checkpoint.generation_config(),
                                            checkpoint.folder() + "/config.json"));
      // Files of shared weights hold them once, whether the config repeats it or not.
      const std::string output = hugging_face_name(TensorRole::kOutput, spec.architecture);
      if (!checkpoint.config().contains("tie_word_embeddings")) {
        spec.has_tied_embeddings = checkpoint.weights().find(output) == nullptr;
      }
      return spec;
    }
    case CheckpointKind::kGguf:
      return spec_from_gguf(*checkpoint.gguf_metadata(), checkpoint.weights());
    case CheckpointKind::kPacked:
      return read_spec_archive(checkpoint.packed()->section(PackedSection::kSpec),
                               checkpoint.path() + ": spec");
    case CheckpointKind::kLlama2c: {
      ModelSpec spec = spec_from_llama2c(*checkpoint.llama2c_config());
      TRY(check_spec(spec));
      return spec;
    }
  }
  CHECK(false);
}

}  // namespace millrace
