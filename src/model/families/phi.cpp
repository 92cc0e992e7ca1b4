// Phi-1, 1.5 and 2, and Phi-3 with its successors.
#include <cstring>

#include "formats/checkpoint.h"
#include "model/families/family.h"
#include "model/tensor_names.h"

namespace millrace {
namespace {

// ---- Phi-3: its tensors hold q, k and v, and gate and up ----

// 1e-5 where the file does not say.
constexpr ConfigKeys kPhi3Keys = {.norm = {.eps = 1e-5f}};

// rope_factors_short.weight and rope_factors_long.weight divide each frequency.
Result<std::vector<double>> read_divisors(const WeightSource& weights, const std::string& name,
                                          std::size_t count) {
  const SourceTensor tensor = TRY(weights.tensor(name));
  std::vector<float> values(count);
  if (tensor.dtype != DType::kF32 || tensor.shape.num_elements() != count) {
    return Error{ErrorCode::kCorruptData, name + " is " + std::string(dtype_name(tensor.dtype)) +
                                              " " + to_string(tensor.shape) + ", expected f32 [" +
                                              std::to_string(count) + "]"};
  }
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return std::vector<double>(values.begin(), values.end());
}

Status read_gguf_phi3(const GgufReader& reader, const WeightSource& weights, ModelSpec& spec) {
  RopeSpec& rope = spec.ropes.front();
  if (weights.find("rope_factors_long.weight") == nullptr) return Ok{};
  rope.scaling = RopeScaling::kLongrope;
  rope.short_divisors =
      TRY(read_divisors(weights, "rope_factors_short.weight", rope.rotary_dim / 2));
  rope.long_divisors = TRY(read_divisors(weights, "rope_factors_long.weight", rope.rotary_dim / 2));
  rope.original_context = static_cast<double>(
      TRY(reader.count_or("rope.scaling.original_context_length", spec.context_max)));
  rope.factor = static_cast<double>(spec.context_max) / rope.original_context;
  rope.attention_factor = TRY(reader.positive_or("rope.scaling.attn_factor", 1.0));
  return Ok{};
}

// ---- Phi-1 and 2: attention and feed-forward part side by side, of one norm ----

constexpr ConfigKeys kPhiKeys = {.rope = {.default_part = 0.5},
                                 .norm_eps = "layer_norm_eps",
                                 .norm = {.eps = 1e-5f, .kind = NormKind::kLayer, .has_bias = true},
                                 .default_activation = "gelu_new"};

void put_side_by_side(ModelSpec& spec) {
  spec.has_output_bias = true;
  for (LayerSpec& layer : spec.layers) {
    layer.residual = ResidualKind::kParallel;
    layer.feed_forward_norm.reset();
    layer.attention.has_qkv_bias = layer.attention.has_output_bias = true;
    layer.feed_forward.kind = FeedForwardKind::kPlain;
    layer.feed_forward.has_bias = true;
  }
}

Status read_phi(const ConfigReader&, ModelSpec& spec) {
  put_side_by_side(spec);
  return Ok{};
}

Status read_gguf_phi2(const GgufReader&, const WeightSource&, ModelSpec& spec) {
  put_side_by_side(spec);
  return Ok{};
}

constexpr Family kFamilies[] = {
    {.architecture = "Phi3ForCausalLM", .read = read_window_everywhere, .keys = &kPhi3Keys},
    {.architecture = "PhiForCausalLM", .read = read_phi, .keys = &kPhiKeys},
};

constexpr GgufFamily kGgufFamilies[] = {
    {.name = "phi3", .architecture = "Phi3ForCausalLM", .read = read_gguf_phi3},
    {.name = "phi2",
     .architecture = "PhiForCausalLM",
     .norm = NormKind::kLayer,
     .activation = Activation::kGeluTanh,
     .read = read_gguf_phi2},
};

}  // namespace

std::span<const Family> phi_families() {
  return kFamilies;
}

std::span<const GgufFamily> phi_gguf_families() {
  return kGgufFamilies;
}

}  // namespace millrace
