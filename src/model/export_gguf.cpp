// GGUF keys of the families that this program runs.
#include "model/export_gguf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "formats/gguf_sampling.h"
#include "model/export_checks.h"

namespace millrace {
namespace {

constexpr double kSamplingCountMax = 1e9;

struct Family {
  std::string_view architecture;
  std::string_view gguf;
};
constexpr std::array<Family, 6> kFamilies = {{
    {"LlamaForCausalLM", "llama"},
    {"MistralForCausalLM", "llama"},
    {"MixtralForCausalLM", "llama"},
    {"Qwen2ForCausalLM", "qwen2"},
    {"Qwen3ForCausalLM", "qwen3"},
    {"Qwen3MoeForCausalLM", "qwen3moe"},
}};

Result<std::string> gguf_architecture(const ModelSpec& spec) {
  for (const Family& family : kFamilies) {
    if (family.architecture == spec.architecture) return std::string(family.gguf);
  }
  return cannot_hold("GGUF", "architecture " + spec.architecture);
}

// llama.cpp's numbers for general.file_type ("mostly" this type).
std::uint32_t file_type(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      return 0;
  }
}

std::uint32_t u32(std::size_t count) {
  return static_cast<std::uint32_t>(count);  // check_spec() bounds every count by kContextMax.
}

// What llama.cpp's code for an architecture takes for granted.
Status check_assumptions(const ModelSpec& spec, const std::string& name) {
  const std::string format = "GGUF's " + name + " layout";
  TRY(check_layers_alike(spec, format));
  const AttentionSpec& attention = spec.layers.front().attention;
  const bool is_llama = name == "llama";
  if (!is_llama && attention.has_output_bias) return cannot_hold(format, "attention output biases");
  if (attention.has_qkv_bias && !is_llama && name != "qwen2") {
    return cannot_hold(format, "biases of q, k and v");
  }
  for (const LayerSpec& layer : spec.layers) {
    const FeedForwardSpec& feed_forward = layer.feed_forward;
    const bool experts = feed_forward.kind == FeedForwardKind::kExperts;
    if (feed_forward.activation != Activation::kSilu) {
      return cannot_hold(format, "activations other than silu");
    }
    if (feed_forward.has_bias && !is_llama) return cannot_hold(format, "feed-forward biases");
    if (experts && feed_forward.routing.weights != ExpertWeights::kNormalised) {
      return cannot_hold(format, "expert weights that are not normalised (norm_topk_prob false)");
    }
    if (!experts && name == "qwen3moe") {
      return cannot_hold(format, "layers without experts among layers with them");
    }
  }
  return Ok{};
}

class Builder {
 public:
  Builder(const ModelSpec& spec, const ExportFacts& facts, std::string architecture)
      : spec_(&spec), facts_(&facts), architecture_(std::move(architecture)) {}

  Result<GgufExport> build(DType main_dtype) {
    GgufMetadataBuilder& metadata = result_.metadata;
    metadata.add_string("general.architecture", architecture_);
    metadata.add_string("general.type", "model");
    metadata.add_string("general.name", facts_->name);
    metadata.add("general.file_type", file_type(main_dtype));
    constexpr std::uint32_t kQuantizationVersion = 2;
    metadata.add("general.quantization_version", kQuantizationVersion);
    add_sampling();
    add_sizes();
    add_experts();
    add_rope();
    TRY(add_window());
    return std::move(result_);
  }

 private:
  void count(const std::string& key, std::size_t value) {
    result_.metadata.add(architecture_ + "." + key, u32(value));
  }
  void number(const std::string& key, double value) {
    result_.metadata.add(architecture_ + "." + key, static_cast<float>(value));
  }

  void add_sampling() {
    for (const GgufSamplingKey& key : kGgufSamplingKeys) {
      const Json value = facts_->generation.is_object()
                             ? facts_->generation.value(key.hugging_face, Json())
                             : Json();
      if (!value.is_number()) continue;
      if (key.is_count) {
        const double count = std::clamp(value.get<double>(), 0.0, kSamplingCountMax);
        result_.metadata.add(key.gguf, static_cast<std::int32_t>(count));
      } else {
        result_.metadata.add(key.gguf, value.get<float>());
      }
    }
  }

  void add_sizes() {
    const AttentionSpec& attention = spec_->layers.front().attention;
    count("block_count", spec_->layers.size());
    count("context_length", unscaled_positions(*spec_, *facts_));
    count("embedding_length", spec_->hidden);
    count("feed_forward_length", dense_width(*spec_, *facts_));
    count("attention.head_count", attention.num_heads);
    count("attention.head_count_kv", attention.num_kv_heads);
    number("attention.layer_norm_rms_epsilon", spec_->final_norm.eps);
    if (attention.num_heads * attention.head_dim != spec_->hidden) {
      count("attention.key_length", attention.head_dim);
      count("attention.value_length", attention.value_head_dim);
    }
    if (architecture_ != "llama") return;
    count("vocab_size", spec_->vocabulary);
    count("rope.dimension_count", attention.head_dim);
  }

  void add_experts() {
    for (const LayerSpec& layer : spec_->layers) {
      const FeedForwardSpec& feed_forward = layer.feed_forward;
      if (feed_forward.kind != FeedForwardKind::kExperts) continue;
      count("expert_count", feed_forward.num_experts);
      count("expert_used_count", feed_forward.num_selected);
      if (architecture_ == "qwen3moe") count("expert_feed_forward_length", feed_forward.width);
      return;
    }
  }

  void add_rope() {
    const RopeSpec& rope = spec_->ropes[*spec_->layers.front().attention.rope];
    number("rope.freq_base", rope.base);
    if (rope.scaling == RopeScaling::kLinear) {
      result_.metadata.add_string(architecture_ + ".rope.scaling.type", "linear");
      number("rope.scaling.factor", rope.factor);
    }
    if (rope.scaling == RopeScaling::kYarn) add_yarn(rope);
  }

  // llama.cpp multiplies attn_factor with the temperature that the factor asks for.
  void add_yarn(const RopeSpec& rope) {
    constexpr double kBetaFast = 32.0;
    constexpr double kBetaSlow = 1.0;
    result_.metadata.add_string(architecture_ + ".rope.scaling.type", "yarn");
    number("rope.scaling.factor", rope.factor);
    count("rope.scaling.original_context_length", static_cast<std::size_t>(rope.original_context));
    const double temperature = rope.factor > 1.0 ? 0.1 * std::log(rope.factor) + 1.0 : 1.0;
    if (rope.attention_factor != temperature) {
      number("rope.scaling.attn_factor", rope.attention_factor / temperature);
    }
    if (rope.beta_fast == kBetaFast && rope.beta_slow == kBetaSlow) return;
    number("rope.scaling.yarn_beta_fast", rope.beta_fast);
    number("rope.scaling.yarn_beta_slow", rope.beta_slow);
    result_.warnings.push_back("yarn's betas are written; versions of llama.cpp before " +
                               std::string("October 2025 ignore them"));
  }

  // The key exists, but llama.cpp's code for these architectures does not read it.
  Status add_window() {
    const WindowUse windows = TRY(find_windows(*spec_, "GGUF"));
    if (windows.num_sliding == 0) return Ok{};
    if (windows.num_sliding != spec_->layers.size()) {
      return cannot_hold(
          "GGUF's " + architecture_ + " layout",
          "a sliding window of " + std::to_string(windows.window) + " in some layers only");
    }
    count("attention.sliding_window", windows.window);
    result_.warnings.push_back(
        "the sliding window of " + std::to_string(windows.window) + " tokens is written as " +
        architecture_ +
        ".attention.sliding_window, which llama.cpp ignores: past that many tokens it computes "
        "something else than this program");
    return Ok{};
  }

  const ModelSpec* spec_;
  const ExportFacts* facts_;
  std::string architecture_;
  GgufExport result_;
};

}  // namespace

bool has_paired_rows(const ModelSpec& spec) {
  const Result<std::string> architecture = gguf_architecture(spec);
  return architecture.ok() && architecture.value() == "llama";
}

std::vector<float> gguf_rope_factors(const ModelSpec& spec) {
  const std::optional<std::size_t>& index = spec.layers.front().attention.rope;
  if (!index) return {};
  const RopeSpec& rope = spec.ropes[*index];
  std::vector<float> factors;
  if (!rope.frequency_divisors.empty()) {
    for (const double divisor : rope.frequency_divisors) {
      factors.push_back(static_cast<float>(divisor));
    }
    return factors;
  }
  if (rope.scaling != RopeScaling::kLlama3) return {};
  RopeSpec plain = rope;
  plain.scaling = RopeScaling::kNone;
  const std::vector<double> unscaled = inverse_frequencies(plain);
  const std::vector<double> scaled = inverse_frequencies(rope);
  for (std::size_t i = 0; i < scaled.size(); ++i) {
    factors.push_back(static_cast<float>(unscaled[i] / scaled[i]));
  }
  return factors;
}

Result<GgufExport> gguf_metadata_of(const ModelSpec& spec, const ExportFacts& facts,
                                    DType main_dtype) {
  const std::string architecture = TRY(gguf_architecture(spec));
  TRY(check_assumptions(spec, architecture));
  return Builder(spec, facts, architecture).build(main_dtype);
}

}  // namespace millrace
