// The twin's attention: projections, norms of heads, ropes, masks, softmax.
#include "train/torch/twin.h"

namespace millrace {
namespace {

std::int64_t signed_size(std::size_t size) {
  return static_cast<std::int64_t>(size);
}

at::Tensor by_heads(const at::Tensor& x, std::size_t num_heads) {
  return x.view({x.size(0), x.size(1), signed_size(num_heads), -1});
}

// Another logit per head that takes part in the softmax and then falls away.
at::Tensor softmax_with_sinks(const at::Tensor& scores, const at::Tensor& sinks) {
  // [B, K, G, T, S] and [K, G]
  const at::Tensor column = sinks.view({1, sinks.size(0), sinks.size(1), 1, 1})
                                .expand({scores.size(0), -1, -1, scores.size(3), 1});
  return at::cat({scores, column}, -1).softmax(-1).slice(-1, 0, scores.size(-1));
}

}  // namespace

at::Tensor Twin::norm_heads(const at::Tensor& heads, const NormSpec& spec, TensorRole weight,
                            std::size_t layer) const {
  if (spec_.layers[layer].attention.norm_extent == NormExtent::kHead) {
    return norm(heads, spec, weight, layer);
  }
  return norm(heads.flatten(2), spec, weight, layer).view(heads.sizes());
}

Twin::Projected Twin::project(const at::Tensor& input, std::size_t layer) const {
  const AttentionSpec& spec = spec_.layers[layer].attention;
  Projected out;
  out.query =
      by_heads(linear(input, TensorRole::kQuery, TensorRole::kQueryBias, layer), spec.num_heads);
  out.key =
      by_heads(linear(input, TensorRole::kKey, TensorRole::kKeyBias, layer), spec.num_kv_heads);
  out.value =
      by_heads(linear(input, TensorRole::kValue, TensorRole::kValueBias, layer), spec.num_kv_heads);
  if (spec.query_norm) {
    out.query = norm_heads(out.query, *spec.query_norm, TensorRole::kQueryNorm, layer);
  }
  if (spec.key_norm) {
    out.key = norm_heads(out.key, *spec.key_norm, TensorRole::kKeyNorm, layer);
  }
  return out;
}

at::Tensor Twin::stacked(TensorRole role, std::size_t layer, std::size_t count) const {
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < count; ++i) parts.push_back(*find(role, layer, i));
  return at::stack(parts);
}

// As the engine does it: queries [rotated | latent], one key [rotated | latent], one value
// [latent].
Twin::Projected Twin::project_latents(const at::Tensor& input, std::size_t layer) const {
  const AttentionSpec& spec = spec_.layers[layer].attention;
  const LatentSpec& latent = *spec.latent;
  at::Tensor query;
  if (latent.query_rank) {
    const at::Tensor down =
        linear(input, TensorRole::kQueryDown, TensorRole::kQueryDownBias, layer);
    query = linear(norm(down, latent.norm, TensorRole::kQueryDownNorm, layer), TensorRole::kQueryUp,
                   layer);
  } else {
    query = linear(input, TensorRole::kQuery, layer);
  }
  const at::Tensor heads = by_heads(query, spec.num_heads);
  const at::Tensor plain = heads.slice(-1, 0, signed_size(latent.plain_dim));
  const at::Tensor rotated = heads.slice(-1, signed_size(latent.plain_dim));
  // [H, rank, plain]
  const at::Tensor to_latent = stacked(TensorRole::kHeadKey, layer, spec.num_heads);
  const at::Tensor values = norm(linear(input, TensorRole::kLatent, TensorRole::kLatentBias, layer),
                                 latent.norm, TensorRole::kLatentNorm, layer)
                                .unsqueeze(2);
  const at::Tensor shared =
      linear(input, TensorRole::kSharedKey, TensorRole::kSharedKeyBias, layer).unsqueeze(2);
  return {at::cat({rotated, at::einsum("bthp,hrp->bthr", {plain, to_latent})}, -1),
          at::cat({shared, values}, -1), values};
}

// [B, T, H, rank] to [B, T, H * D_v].
at::Tensor Twin::leave_latent(const at::Tensor& attended, std::size_t layer) const {
  const at::Tensor from_latent =
      stacked(TensorRole::kHeadValue, layer, spec_.layers[layer].attention.num_heads);
  return at::einsum("bthr,hvr->bthv", {attended, from_latent}).flatten(2);
}

at::Tensor Twin::rotate(const at::Tensor& heads, const Pass& pass, std::size_t rope) const {
  const RopeSpec& spec = spec_.ropes[rope];
  const Angles& angles = pass.angles[rope];
  const std::int64_t rotary = signed_size(spec.rotary_dim);
  const std::int64_t half = rotary / 2;
  const at::Tensor turned = heads.slice(-1, 0, rotary);
  const bool is_adjacent = spec.pairs == RopePairs::kAdjacent;
  const at::Tensor a = is_adjacent ? turned.slice(-1, 0, rotary, 2) : turned.slice(-1, 0, half);
  const at::Tensor b = is_adjacent ? turned.slice(-1, 1, rotary, 2) : turned.slice(-1, half);
  const at::Tensor x = a * angles.cos - b * angles.sin;
  const at::Tensor y = b * angles.cos + a * angles.sin;
  const at::Tensor out = is_adjacent ? at::stack({x, y}, -1).flatten(-2) : at::cat({x, y}, -1);
  if (rotary == heads.size(-1)) return out;
  return at::cat({out, heads.slice(-1, rotary)}, -1);
}

// Query heads of one key/value head are rows of one product.
at::Tensor Twin::attend(const Projected& projected, const Pass& pass, std::size_t layer) const {
  const AttentionSpec& spec = spec_.layers[layer].attention;
  const std::int64_t rows = projected.query.size(0);
  const std::int64_t tokens = projected.query.size(1);
  const std::int64_t kv_heads = signed_size(spec.num_kv_heads);
  const std::int64_t group = signed_size(spec.num_heads) / kv_heads;
  const auto in_compute_type = [this](const at::Tensor& x) {
    return options_.compute == ComputeType::kBF16 ? x.to(at::kBFloat16) : x;
  };
  const at::Tensor query = in_compute_type(projected.query * double{spec.scale})
                               .permute({0, 2, 1, 3})
                               .reshape({rows * kv_heads, group * tokens, -1});
  const at::Tensor key =
      in_compute_type(projected.key).permute({0, 2, 3, 1}).reshape({rows * kv_heads, -1, tokens});
  const at::Tensor value =
      in_compute_type(projected.value).permute({0, 2, 1, 3}).reshape({rows * kv_heads, tokens, -1});
  at::Tensor scores = at::bmm(query, key).to(at::kFloat);
  scores = scores.view({rows, kv_heads, group, tokens, tokens});
  if (spec.softcap) scores = at::tanh(scores / double{*spec.softcap}) * double{*spec.softcap};
  const std::size_t window = spec.kind == AttentionKind::kSliding ? spec.window : 0;
  scores = scores + pass.masks.at(window).unsqueeze(1);
  const at::Tensor* sinks = find(TensorRole::kSinks, layer);
  const at::Tensor shares = sinks == nullptr
                                ? scores.softmax(-1)
                                : softmax_with_sinks(scores, sinks->view({kv_heads, group}));
  const at::Tensor attended =
      at::bmm(in_compute_type(shares.reshape({rows * kv_heads, group * tokens, tokens})), value);
  return attended.to(at::kFloat)
      .view({rows, kv_heads * group, tokens, -1})
      .permute({0, 2, 1, 3})
      .contiguous();
}

at::Tensor Twin::attention(const at::Tensor& input, const Pass& pass, std::size_t layer) const {
  const AttentionSpec& spec = spec_.layers[layer].attention;
  Projected projected = spec.latent ? project_latents(input, layer) : project(input, layer);
  if (spec.rope) {
    projected.query = rotate(projected.query, pass, *spec.rope);
    projected.key = rotate(projected.key, pass, *spec.rope);
  }
  at::Tensor attended = attend(projected, pass, layer);
  attended = spec.latent ? leave_latent(attended, layer) : attended.flatten(2);
  return linear(attended, TensorRole::kAttentionOutput, TensorRole::kAttentionOutputBias, layer);
}

}  // namespace millrace
