// The twin's walk over the layers, its norms and products.
#include "train/torch/twin.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "formats/decode.h"

namespace millrace {
namespace {

constexpr std::int64_t kQuantGroup = 32;

std::vector<std::int64_t> sizes_of(const Shape& shape) {
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    sizes.push_back(static_cast<std::int64_t>(shape[i]));
  }
  return sizes;
}

Result<at::Tensor> read_tensor(const RequiredTensor& tensor, const ExportSource& source) {
  const DType dtype = TRY(source.dtype(tensor));
  const std::size_t num_elements = tensor.shape.num_elements();
  const std::optional<std::uint64_t> num_bytes = storage_bytes(dtype, num_elements);
  CHECK(num_bytes.has_value());  // check_spec() keeps sizes from overflowing.
  std::vector<std::byte> bytes(*num_bytes);
  TRY(source.read(tensor, 0, tensor.shape[0], bytes));
  at::Tensor value = at::empty(sizes_of(tensor.shape), at::kFloat);
  decode(dtype, bytes, {value.data_ptr<float>(), num_elements});
  return value;
}

TensorRole norm_bias_of(TensorRole weight) {
  switch (weight) {
    case TensorRole::kAttentionNorm:
      return TensorRole::kAttentionNormBias;
    case TensorRole::kFeedForwardNorm:
      return TensorRole::kFeedForwardNormBias;
    default:
      return TensorRole::kFinalNormBias;
  }
}

}  // namespace

at::Tensor fake_quantize(const at::Tensor& weight, FakeQuant kind) {
  if (kind == FakeQuant::kNone || weight.size(-1) % kQuantGroup != 0) return weight;
  const double largest = kind == FakeQuant::kInt8Groups ? 127.0 : 7.0;
  const at::Tensor groups = weight.detach().reshape({-1, kQuantGroup});
  const at::Tensor scale = groups.abs().amax(-1, true).clamp_min(1e-12) / largest;
  const at::Tensor rounded = ((groups / scale).round() * scale).view_as(weight);
  return weight + (rounded - weight.detach());
}

Result<Twin> Twin::create(const ModelSpec& spec, const ExportSource& source,
                          const TwinOptions& options) {
  TRY(check_spec(spec));
  Twin twin(spec, options);
  for (const RequiredTensor& tensor : required_tensors(spec)) {
    const at::Tensor value = TRY(read_tensor(tensor, source));
    const TensorKey& key = tensor.key;
    twin.index_[{key.role, key.layer, key.expert}] = twin.parameters_.size();
    twin.parameters_.push_back({tensor, value.to(options.device).set_requires_grad(true)});
  }
  TRY(source.check_intact());
  return twin;
}

Twin Twin::with_own_gradients() const {
  Twin twin = *this;
  for (TwinParameter& parameter : twin.parameters_) {
    parameter.value = parameter.value.detach().set_requires_grad(true);
  }
  return twin;
}

const at::Tensor* Twin::find(TensorRole role, std::size_t layer, std::size_t expert) const {
  const auto found = index_.find({role, layer, expert});
  return found == index_.end() ? nullptr : &parameters_[found->second].value;
}

at::Tensor Twin::vector(TensorRole role, std::size_t layer) const {
  const auto found = index_.find({role, layer, 0});
  if (found == index_.end()) return {};
  const TwinParameter& parameter = parameters_[found->second];
  if (parameter.tensor.addend == 0.0f) return parameter.value;
  return parameter.value + double{parameter.tensor.addend};
}

at::Tensor Twin::multiply(const at::Tensor& x, const at::Tensor& weight,
                          const at::Tensor& bias) const {
  const at::Tensor used = fake_quantize(weight, options_.fake_quant);
  if (options_.compute == ComputeType::kF32) {
    if (bias.defined()) return at::linear(x, used, bias);
    return at::linear(x, used);
  }
  const at::Tensor y = at::linear(x.to(at::kBFloat16), used.to(at::kBFloat16)).to(at::kFloat);
  return bias.defined() ? y + bias : y;
}

at::Tensor Twin::linear(const at::Tensor& x, TensorRole role, TensorRole bias,
                        std::size_t layer) const {
  const at::Tensor* weight = find(role, layer);
  CHECK(weight != nullptr);
  const at::Tensor* added = find(bias, layer);
  return multiply(x, *weight, added == nullptr ? at::Tensor() : *added);
}

at::Tensor Twin::linear(const at::Tensor& x, TensorRole role, std::size_t layer,
                        std::size_t expert) const {
  const at::Tensor* weight = find(role, layer, expert);
  CHECK(weight != nullptr);
  return multiply(x, *weight, {});
}

at::Tensor Twin::norm(const at::Tensor& x, const NormSpec& norm, TensorRole weight,
                      std::size_t layer) const {
  const at::Tensor scale = norm.has_weight ? vector(weight, layer) : at::Tensor();
  if (norm.kind == NormKind::kLayer) {
    const at::Tensor bias = norm.has_bias ? vector(norm_bias_of(weight), layer) : at::Tensor();
    return at::layer_norm(x, {x.size(-1)}, scale, bias, double{norm.eps});
  }
  const at::Tensor normed = x * at::rsqrt(x.square().mean(-1, true) + double{norm.eps});
  return scale.defined() ? normed * scale : normed;
}

Twin::Pass Twin::begin_pass(const TwinBatch& batch) const {
  Pass pass;
  const at::Tensor positions = batch.positions.to(at::kDouble).unsqueeze(-1);
  for (const RopeSpec& rope : spec_.ropes) {
    const std::vector<double> frequencies = inverse_frequencies(rope, spec_.context_max);
    const at::Tensor row = at::tensor(frequencies, at::kDouble).to(options_.device);
    const at::Tensor angles = positions * row;
    const auto table = [&](const at::Tensor& values) {
      return (values * rope.attention_factor).to(at::kFloat).unsqueeze(2);
    };
    pass.angles.push_back({table(angles.cos()), table(angles.sin())});
  }
  const at::Tensor apart = batch.positions.unsqueeze(-1) - batch.positions.unsqueeze(-2);
  const at::Tensor visible =
      (batch.documents.unsqueeze(-1) == batch.documents.unsqueeze(-2)).logical_and(apart >= 0);
  for (const LayerSpec& layer : spec_.layers) {
    const bool slides = layer.attention.kind == AttentionKind::kSliding;
    const std::size_t window = slides ? layer.attention.window : 0;
    if (pass.masks.contains(window)) continue;
    at::Tensor seen = visible;
    if (window > 0) seen = seen.logical_and(apart < static_cast<std::int64_t>(window));
    const at::Tensor mask = at::zeros(seen.sizes(), seen.options().dtype(at::kFloat));
    pass.masks[window] = mask.masked_fill(seen.logical_not(), -HUGE_VAL).unsqueeze(1);
  }
  return pass;
}

at::Tensor Twin::finish_part(at::Tensor output, const std::optional<NormSpec>& post_norm,
                             TensorRole weight, std::size_t layer) const {
  if (post_norm) output = norm(output, *post_norm, weight, layer);
  const float residual_scale = spec_.layers[layer].residual_scale;
  return residual_scale == 1.0f ? output : output * double{residual_scale};
}

at::Tensor Twin::run_layer(const at::Tensor& hidden, const Pass& pass, std::size_t layer) const {
  const LayerSpec& spec = spec_.layers[layer];
  const auto input_of = [&](const at::Tensor& x, const std::optional<NormSpec>& norm_spec,
                            TensorRole weight) {
    return norm_spec ? norm(x, *norm_spec, weight, layer) : x;
  };
  const at::Tensor first = input_of(hidden, spec.attention_norm, TensorRole::kAttentionNorm);
  const at::Tensor attended =
      hidden + finish_part(attention(first, pass, layer), spec.attention_post_norm,
                           TensorRole::kAttentionPostNorm, layer);
  const bool is_parallel = spec.residual == ResidualKind::kParallel;
  const bool shares_input = is_parallel && !spec.feed_forward_norm;
  const at::Tensor second = shares_input
                                ? first
                                : input_of(is_parallel ? hidden : attended, spec.feed_forward_norm,
                                           TensorRole::kFeedForwardNorm);
  return attended + finish_part(feed_forward(second, layer), spec.feed_forward_post_norm,
                                TensorRole::kFeedForwardPostNorm, layer);
}

at::Tensor Twin::hidden(const TwinBatch& batch) const {
  balance_loss_ = at::zeros({}, at::TensorOptions(at::kFloat).device(options_.device));
  const Pass pass = begin_pass(batch);
  const at::Tensor table = fake_quantize(*find(TensorRole::kEmbedding, 0), options_.fake_quant);
  at::Tensor hidden = at::embedding(table, batch.token_ids);
  if (spec_.embedding_scale != 1.0f) hidden = hidden * double{spec_.embedding_scale};
  if (spec_.num_learned_positions > 0) {
    hidden = hidden + at::embedding(*find(TensorRole::kPositions, 0), batch.positions);
  }
  for (std::size_t i = 0; i < spec_.layers.size(); ++i) hidden = run_layer(hidden, pass, i);
  return norm(hidden, spec_.final_norm, TensorRole::kFinalNorm, 0);
}

at::Tensor Twin::logits(const at::Tensor& states) const {
  const TensorRole role = spec_.has_tied_embeddings ? TensorRole::kEmbedding : TensorRole::kOutput;
  at::Tensor logits = linear(states, role, TensorRole::kOutputBias, 0);
  if (spec_.logit_scale != 1.0f) logits = logits * double{spec_.logit_scale};
  if (spec_.logit_softcap) {
    const double cap = double{*spec_.logit_softcap};
    logits = at::tanh(logits / cap) * cap;
  }
  return logits;
}

}  // namespace millrace
