// gpt-oss: attention sinks, windows in every other layer, experts with biases and a clamped gate.
#include <cmath>

#include "model/families/experts.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

constexpr double kRopeBase = 150000.0;
constexpr ConfigKeys kKeys = {
    .head_dim = {"head_dim", 64}, .rope = {.default_base = kRopeBase}, .norm = {.eps = 1e-5f}};

bool slides(std::size_t layer) {
  return layer % 2 == 0;
}

// What both kinds of files take for granted.
void set_usual(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.attention.has_sinks = true;
    layer.feed_forward.clamp = ClampedGate{};
    layer.feed_forward.has_bias = true;
    layer.feed_forward.routing.has_bias = true;
  }
}

// The scaling that transformers means when a file has none.
void set_default_scaling(RopeSpec& rope) {
  rope.scaling = RopeScaling::kYarn;
  rope.factor = 32.0;
  rope.original_context = 4096.0;
  rope.has_whole_bounds = false;
  rope.attention_factor = 0.1 * std::log(rope.factor) + 1.0;
}

constexpr std::string_view kOwnOptions[] = {"quantization_config"};

Status read(const ConfigReader& config, ModelSpec& spec) {
  if (const auto quantisation = TRY(config.object("quantization_config"))) {
    // Which tensors are packed is seen by their names.
    const std::string method = TRY(quantisation->text("quant_method"));
    if (method != "mxfp4") return quantisation->unsupported("quant_method", "expected mxfp4");
  }
  if (config.find("rope_scaling") == nullptr && config.find("rope_parameters") == nullptr) {
    for (RopeSpec& rope : spec.ropes) set_default_scaling(rope);
  }
  set_usual(spec);
  const auto usual = [](const ConfigReader&, std::size_t i) { return slides(i); };
  const std::vector<bool> sliding = TRY(read_sliding(config, spec.layers.size(), usual));
  const bool has_bias = TRY(config.flag_or("attention_bias", true));
  FeedForwardSpec experts = spec.layers.front().feed_forward;
  TRY(read_expert_counts(config, experts));
  experts.clamp->limit = static_cast<float>(TRY(read_positive(config, "swiglu_limit", 7.0)));
  experts.clamp->steepness = static_cast<float>(TRY(config.number_or("swiglu_alpha", 1.702)));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sliding[i]) slide(spec.layers[i], TRY(config.count_or("sliding_window", 128)));
    spec.layers[i].attention.has_qkv_bias = spec.layers[i].attention.has_output_bias = has_bias;
    spec.layers[i].feed_forward = experts;
  }
  return Ok{};
}

Status read_gguf(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  set_usual(spec);
  // The model's bounds are not whole, which its files do not say.
  for (RopeSpec& rope : spec.ropes) rope.has_whole_bounds = false;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (slides(i)) continue;
    spec.layers[i].attention.kind = AttentionKind::kFull;
    spec.layers[i].attention.window = 0;
  }
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "GptOssForCausalLM", .read = read, .own_options = kOwnOptions, .keys = &kKeys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "gpt-oss",
     .architecture = "GptOssForCausalLM",
     .with_experts = "GptOssForCausalLM",
     .read = read_gguf},
};

}  // namespace

std::span<const Family> gpt_oss_families() {
  return kFamilies;
}

std::span<const GgufFamily> gpt_oss_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
