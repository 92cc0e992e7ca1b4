// The feed-forward part of a mixture of experts: route, group rows by expert, multiply, combine.
#include "kernels/ops.h"
#include "model/decoder.h"
#include "model/decoder_views.h"

namespace millrace {
namespace {

void activate_gate(KernelContext& context, const FeedForwardSpec& spec, TensorView gate,
                   TensorView up) {
  if (spec.clamp) {
    clamped_gated_activation(context, *spec.clamp, gate, up, up);
  } else {
    gated_activation(context, spec.activation, gate, up, up);
  }
}

RoutingOptions routing_options(const FeedForwardSpec& spec, const FeedForwardWeights& weights) {
  return {.num_selected = spec.num_selected,
          .scores = spec.routing.scores,
          .weights = spec.routing.weights,
          .weight_scale = spec.routing.weight_scale,
          .choice_bias = weights.choice_bias,
          .num_groups = spec.routing.num_groups,
          .num_groups_selected = spec.routing.num_groups_selected,
          .group_rank = spec.routing.group_rank};
}

}  // namespace

ExpertRouting Decoder::route(KernelContext& context, TensorView input, std::size_t layer) {
  const FeedForwardSpec& spec = spec_->layers[layer].feed_forward;
  const FeedForwardWeights& weights = weights_->layers[layer].feed_forward;
  const std::size_t num_grouped = input.num_rows() * spec.num_selected;
  const TensorView router = shaped(workspace_.router, input.num_rows(), spec.num_experts);
  const ExpertRouting routing{
      .expert_begin = workspace_.routing.expert_begin.first(spec.num_experts + 1),
      .row_token = workspace_.routing.row_token.first(num_grouped),
      .token_row = workspace_.routing.token_row.first(num_grouped),
      .token_weight = workspace_.routing.token_weight.first(num_grouped),
  };
  QuantizedRows rows;
  matmul(context, prepare(context, input, rows, {weights.router.format}), weights.router,
         {.bias = weights.router_bias}, router);
  route_experts(context, router, routing_options(spec, weights), routing);
  return routing;
}

// Rows are grouped by expert, so that each expert's weights are read once for all its tokens.
void Decoder::run_experts(KernelContext& context, TensorView input, std::size_t layer) {
  const LayerSpec& layer_spec = spec_->layers[layer];
  const FeedForwardSpec& spec = layer_spec.feed_forward;
  const FeedForwardWeights& weights = weights_->layers[layer].feed_forward;
  const ExpertRouting routing = route(context, input, layer);
  const std::size_t num_grouped = input.num_rows() * spec.num_selected;
  const TensorView grouped = shaped(workspace_.expert_in, num_grouped, spec_->hidden);
  const TensorView gate = shaped(workspace_.gate, num_grouped, spec.width);
  const TensorView up = shaped(workspace_.up, num_grouped, spec.width);
  const TensorView grouped_out = shaped(workspace_.expert_out, num_grouped, spec_->hidden);

  gather_rows(context, input, routing.row_token, grouped);
  QuantizedRows rows;
  const MatmulInput prepared =
      prepare(context, grouped, rows,
              {weights.expert_gate.front().format, weights.expert_up.front().format});
  expert_matmul(context, prepared, weights.expert_gate, routing,
                {.bias = weights.expert_gate_bias, .sync = Sync::kNone}, gate);
  expert_matmul(context, prepared, weights.expert_up, routing, {.bias = weights.expert_up_bias},
                up);
  activate_gate(context, spec, gate, up);
  const MatmulInput down = prepare(context, up, rows, {weights.expert_down.front().format});
  expert_matmul(context, down, weights.expert_down, routing, {.bias = weights.expert_down_bias},
                grouped_out);

  // The shared expert's input may be the hidden state itself, so it is read before the output goes
  // there.
  const PartOutput output =
      part_output(layer_spec, layer_spec.feed_forward_post_norm, input.num_rows());
  if (spec.shared_width > 0) enter_shared_expert(context, input, layer);
  combine_experts(context, grouped_out, routing, output.accumulate, output.y);
  if (spec.shared_width > 0) leave_shared_expert(context, output.y, layer);
  end_part(context, layer_spec, layer_spec.feed_forward_post_norm,
           weights_->layers[layer].feed_forward_post_norm, output);
}

void Decoder::enter_shared_expert(KernelContext& context, TensorView input, std::size_t layer) {
  const FeedForwardSpec& spec = spec_->layers[layer].feed_forward;
  const FeedForwardWeights& weights = weights_->layers[layer].feed_forward;
  const TensorView gate = shaped(workspace_.gate, input.num_rows(), spec.shared_width);
  const TensorView up = shaped(workspace_.up, input.num_rows(), spec.shared_width);
  QuantizedRows rows;
  if (spec.has_shared_gate) {
    matmul(context, prepare(context, input, rows, {weights.shared_router.format}),
           weights.shared_router, {}, shaped(workspace_.router, input.num_rows(), 1));
  }
  const MatmulInput prepared =
      prepare(context, input, rows, {weights.shared_gate.format, weights.shared_up.format});
  matmul(context, prepared, weights.shared_gate, {.sync = Sync::kNone}, gate);
  matmul(context, prepared, weights.shared_up, {}, up);
  activate_gate(context, spec, gate, up);
}

void Decoder::leave_shared_expert(KernelContext& context, TensorView output, std::size_t layer) {
  const FeedForwardSpec& spec = spec_->layers[layer].feed_forward;
  const FeedForwardWeights& weights = weights_->layers[layer].feed_forward;
  const std::size_t num_tokens = output.num_rows();
  const TensorView up = shaped(workspace_.up, num_tokens, spec.shared_width);
  QuantizedRows rows;
  const MatmulInput down = prepare(context, up, rows, {weights.shared_down.format});
  if (!spec.has_shared_gate) {
    return matmul(context, down, weights.shared_down, {.accumulate = Accumulate::kAdd}, output);
  }
  const TensorView shared = shaped(workspace_.expert_in, num_tokens, spec_->hidden);
  matmul(context, down, weights.shared_down, {}, shared);
  add_gated(context, shared, shaped(workspace_.router, num_tokens, 1), output);
}

}  // namespace millrace
