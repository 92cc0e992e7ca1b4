// The twin's feed-forward parts: gated, plain, and experts.
#include <cmath>

#include "train/torch/twin.h"

namespace millrace {
namespace {

at::Tensor gated(const FeedForwardSpec& spec, const at::Tensor& gate, const at::Tensor& up) {
  if (!spec.clamp) return activate(spec.activation, gate) * up;
  const double limit = double{spec.clamp->limit};
  const at::Tensor low = gate.clamp_max(limit);
  return (up.clamp(-limit, limit) + 1.0) * low * at::sigmoid(low * double{spec.clamp->steepness});
}

// Minus infinity for the experts of groups that lose.
at::Tensor within_best_groups(const at::Tensor& keys, const RoutingSpec& routing) {
  if (routing.num_groups_selected == routing.num_groups) return keys;
  const auto num_groups = static_cast<std::int64_t>(routing.num_groups);
  const at::Tensor groups = keys.view({keys.size(0), num_groups, -1});
  const std::int64_t counted = routing.group_rank == GroupRank::kSumOfTwo ? 2 : 1;
  const at::Tensor ranks = std::get<0>(groups.topk(counted, -1)).sum(-1);
  const auto selected = static_cast<std::int64_t>(routing.num_groups_selected);
  const at::Tensor best = std::get<1>(ranks.topk(selected, -1));
  const at::Tensor loses = at::ones_like(ranks).scatter(-1, best, 0.0).to(at::kBool);
  return groups.masked_fill(loses.unsqueeze(-1), -HUGE_VAL).view(keys.sizes());
}

}  // namespace

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kRelu2:
      return at::relu(x).square();
  }
  CHECK(false);
}

at::Tensor Twin::feed_forward(const at::Tensor& input, std::size_t layer) const {
  const FeedForwardSpec& spec = spec_.layers[layer].feed_forward;
  if (spec.kind == FeedForwardKind::kExperts) return experts(input, layer);
  at::Tensor inner = linear(input, TensorRole::kUp, TensorRole::kUpBias, layer);
  if (spec.kind == FeedForwardKind::kGated) {
    inner = gated(spec, linear(input, TensorRole::kGate, TensorRole::kGateBias, layer), inner);
  } else {
    inner = activate(spec.activation, inner);
  }
  return linear(inner, TensorRole::kDown, TensorRole::kDownBias, layer);
}

// Scores in double, as the engine has them, so that both choose alike.
Twin::Routes Twin::route(const at::Tensor& rows, std::size_t layer) const {
  const FeedForwardSpec& spec = spec_.layers[layer].feed_forward;
  const RoutingSpec& routing = spec.routing;
  // Routers keep their precision.
  const at::Tensor* bias = find(TensorRole::kRouterBias, layer);
  at::Tensor logits = at::linear(rows, *find(TensorRole::kRouter, layer));
  if (bias != nullptr) logits = logits + *bias;
  logits = logits.to(at::kDouble);
  const at::Tensor scores =
      routing.scores == ExpertScores::kSigmoid ? at::sigmoid(logits) : at::softmax(logits, -1);
  at::Tensor keys = scores.detach();
  if (const at::Tensor* choice = find(TensorRole::kChoiceBias, layer)) {
    keys = keys + choice->detach().to(at::kDouble);
  }
  const auto num_selected = static_cast<std::int64_t>(spec.num_selected);
  Routes routes;
  routes.experts = std::get<1>(within_best_groups(keys, routing).topk(num_selected, -1));
  at::Tensor weights = scores.gather(-1, routes.experts);
  if (routing.weights == ExpertWeights::kNormalised) weights = weights / weights.sum(-1, true);
  routes.weights = (weights * double{routing.weight_scale}).to(at::kFloat);

  const auto num_experts = static_cast<std::int64_t>(spec.num_experts);
  const at::Tensor counts = at::zeros({num_experts}, scores.options())
                                .index_add(0, routes.experts.flatten(),
                                           at::ones({routes.experts.numel()}, scores.options()));
  const at::Tensor shares = counts / static_cast<double>(routes.experts.numel());
  balance_loss_ =
      balance_loss_ +
      ((shares * scores.mean(0)).sum() * static_cast<double>(num_experts)).to(at::kFloat);
  return routes;
}

at::Tensor Twin::shared_expert(const at::Tensor& rows, std::size_t layer) const {
  const FeedForwardSpec& spec = spec_.layers[layer].feed_forward;
  const at::Tensor inner = gated(spec, linear(rows, TensorRole::kSharedGate, layer),
                                 linear(rows, TensorRole::kSharedUp, layer));
  const at::Tensor out = linear(inner, TensorRole::kSharedDown, layer);
  if (!spec.has_shared_gate) return out;
  return out * at::sigmoid(linear(rows, TensorRole::kSharedRouter, layer));
}

at::Tensor Twin::experts(const at::Tensor& input, std::size_t layer) const {
  const FeedForwardSpec& spec = spec_.layers[layer].feed_forward;
  const at::Tensor rows = input.reshape({-1, input.size(-1)});
  const Routes routes = route(rows, layer);
  const at::Tensor* gate_bias = find(TensorRole::kExpertGateBias, layer);
  const at::Tensor* up_bias = find(TensorRole::kExpertUpBias, layer);
  const at::Tensor* down_bias = find(TensorRole::kExpertDownBias, layer);
  const auto bias_of = [&](const at::Tensor* all, std::size_t expert) {
    if (all == nullptr) return at::Tensor();
    return all->view({static_cast<std::int64_t>(spec.num_experts), -1})
        .select(0, static_cast<std::int64_t>(expert));
  };
  at::Tensor output = at::zeros_like(rows);
  for (std::size_t expert = 0; expert < spec.num_experts; ++expert) {
    const at::Tensor chosen =
        (routes.experts == static_cast<std::int64_t>(expert)).nonzero();  // [n, 2]: token, choice
    if (chosen.size(0) == 0) continue;
    const at::Tensor tokens = chosen.select(1, 0);
    const at::Tensor x = rows.index_select(0, tokens);
    const at::Tensor gate =
        multiply(x, *find(TensorRole::kExpertGate, layer, expert), bias_of(gate_bias, expert));
    const at::Tensor up =
        multiply(x, *find(TensorRole::kExpertUp, layer, expert), bias_of(up_bias, expert));
    const at::Tensor y =
        multiply(gated(spec, gate, up), *find(TensorRole::kExpertDown, layer, expert),
                 bias_of(down_bias, expert));
    const at::Tensor weight = routes.weights.index({tokens, chosen.select(1, 1)});
    output = output.index_add(0, tokens, y * weight.unsqueeze(-1));
  }
  if (spec.shared_width > 0) output = output + shared_expert(rows, layer);
  return output.view(input.sizes());
}

}  // namespace millrace
