// The forward pass: embed, then for every layer attention and feed-forward, then logits of the
// wanted rows.
#include "model/decoder.h"

#include <algorithm>
#include <utility>

#include "kernels/ops.h"
#include "model/decoder_views.h"

namespace millrace {
namespace {

// The norm of queries or keys: of each head, or of all of them.
void norm_heads(KernelContext& context, const TensorView& rows, std::size_t num_heads,
                const float* weight, const NormSpec& norm, NormExtent extent) {
  const std::size_t num_parts = extent == NormExtent::kHead ? num_heads : 1;
  const TensorView parts =
      rows.reshaped({rows.num_rows() * num_parts, rows.row_elements() / num_parts});
  norm_rows(context, parts, {.weight = weight, .bias = nullptr}, norm, parts);
}

}  // namespace

Result<Decoder> Decoder::create(const ModelSpec& spec, const ModelWeights& weights,
                                const DecoderLimits& limits, std::span<std::byte> workspace,
                                Device device) {
  TRY(check_spec(spec));
  const std::uint64_t needed = workspace_bytes(TRY(plan_workspace(spec, limits)));
  if (workspace.size() < needed) {
    return Error{ErrorCode::kResourceExhausted, "the decoder's workspace holds " +
                                                    std::to_string(workspace.size()) +
                                                    " bytes, needs " + std::to_string(needed)};
  }
  CHECK(weights.layers.size() == spec.layers.size());
  Decoder decoder(spec, weights, limits);
  decoder.place(workspace, device);
  return decoder;
}

Decoder::Decoder(const ModelSpec& spec, const ModelWeights& weights, const DecoderLimits& limits)
    : spec_(&spec), weights_(&weights), limits_(limits) {
  for (const RopeSpec& rope : spec.ropes) {
    frequencies_.push_back(inverse_frequencies(rope, spec.context_max));
  }
}

ForwardOutput Decoder::forward(KernelContext& context, const ForwardBatch& batch, KvView cache) {
  CHECK(batch.num_tokens() > 0);
  CHECK(batch.num_tokens() <= limits_.tokens_max);
  CHECK(batch.positions.size() == batch.num_tokens());
  CHECK(batch.logit_rows.size() <= limits_.logit_rows_max);
  CHECK(batch.state_rows.size() <= limits_.tokens_max);
  CHECK(cache.layers.size() == spec_->layers.size());
  CHECK(batch.adapters.empty() || limits_.adapter_rank_max > 0);

  run_embedding(context, batch);
  for (std::size_t i = 0; i < spec_->ropes.size(); ++i) {
    const std::size_t width = spec_->ropes[i].rotary_dim / 2;
    rope_angles(context, batch.positions, frequencies_[i], spec_->ropes[i].attention_factor,
                shaped(workspace_.cos[i], batch.num_tokens(), width),
                shaped(workspace_.sin[i], batch.num_tokens(), width));
  }
  for (std::size_t i = 0; i < spec_->layers.size(); ++i) {
    run_layer(context, batch, cache.layers[i], i);
  }
  run_logits(context, batch);
  const std::size_t num_rows = batch.logit_rows.size();
  return {shaped(workspace_.logits, num_rows, spec_->vocabulary),
          shaped(workspace_.last_hidden, num_rows, spec_->hidden), run_states(context, batch)};
}

ForwardOutput run_forward(Decoder& decoder, KernelContext& context, const ForwardBatch& batch,
                          KvView cache) {
  ForwardOutput output;
  run_step(context, [&](KernelContext& rank) {
    const ForwardOutput of_rank = decoder.forward(rank, batch, cache);
    if (rank.rank() == 0) output = of_rank;
  });
  return output;
}

void Decoder::run_embedding(KernelContext& context, const ForwardBatch& batch) {
  const TensorView hidden = shaped(workspace_.hidden, batch.num_tokens(), spec_->hidden);
  embed(context, weights_->embedding, batch.token_ids, spec_->embedding_scale, hidden);
  if (spec_->num_learned_positions == 0) return;
  const TensorView positions = shaped(workspace_.branch, batch.num_tokens(), spec_->hidden);
  embed(context, weights_->positions, batch.positions, 1.0f, positions);
  add(context, positions, hidden);
}

void Decoder::run_layer(KernelContext& context, const ForwardBatch& batch, const KvLayerView& cache,
                        std::size_t layer) {
  const LayerSpec& spec = spec_->layers[layer];
  const LayerWeights& weights = weights_->layers[layer];
  const std::size_t tokens = batch.num_tokens();
  TensorView input = part_input(context, spec.attention_norm, weights.attention_norm, tokens);
  run_attention(context, input, batch, cache, layer);
  // Before attention's output is added when both parts see the same hidden state, else after.
  const bool is_parallel = spec.residual == ResidualKind::kParallel;
  if (!is_parallel) run_attention_output(context, batch, layer);
  if (!is_parallel || spec.feed_forward_norm) {
    input = part_input(context, spec.feed_forward_norm, weights.feed_forward_norm, tokens);
  }
  if (is_parallel) run_attention_output(context, batch, layer);
  if (spec.feed_forward.kind == FeedForwardKind::kExperts) {
    run_experts(context, input, layer);
  } else {
    run_feed_forward(context, input, batch, layer);
  }
}

TensorView Decoder::part_input(KernelContext& context, const std::optional<NormSpec>& norm,
                               const NormWeights& weights, std::size_t num_tokens) {
  const TensorView hidden = shaped(workspace_.hidden, num_tokens, spec_->hidden);
  if (!norm) return hidden;
  const TensorView normed = shaped(workspace_.normed, num_tokens, spec_->hidden);
  norm_rows(context, hidden, weights, *norm, normed);
  return normed;
}

Decoder::PartOutput Decoder::part_output(const LayerSpec& spec,
                                         const std::optional<NormSpec>& post_norm,
                                         std::size_t num_tokens) const {
  if (!post_norm && spec.residual_scale == 1.0f) {
    return {shaped(workspace_.hidden, num_tokens, spec_->hidden), Accumulate::kAdd};
  }
  return {shaped(workspace_.branch, num_tokens, spec_->hidden), Accumulate::kStore};
}

void Decoder::end_part(KernelContext& context, const LayerSpec& spec,
                       const std::optional<NormSpec>& post_norm, const NormWeights& weights,
                       const PartOutput& output) {
  if (output.accumulate == Accumulate::kAdd) return;
  if (post_norm) norm_rows(context, output.y, weights, *post_norm, output.y);
  if (spec.residual_scale != 1.0f) scale(context, spec.residual_scale, output.y);
  add(context, output.y, shaped(workspace_.hidden, output.y.num_rows(), spec_->hidden));
}

// The input of the matmuls that follow, quantised into the workspace when one of their formats asks
// for it.
MatmulInput Decoder::prepare(KernelContext& context, ConstTensorView x, QuantizedRows& rows,
                             std::initializer_list<WeightFormat> formats) const {
  if (std::none_of(formats.begin(), formats.end(), needs_quantized_rows)) return {.x = x};
  rows = quantized_rows_in(workspace_.quantized, x.num_rows(), x.row_elements());
  quantize_rows(context, x, rows);
  return {.x = x, .quantized = &rows};
}

void Decoder::run_attention(KernelContext& context, TensorView input, const ForwardBatch& batch,
                            const KvLayerView& cache, std::size_t layer) {
  const AttentionSpec& spec = spec_->layers[layer].attention;
  const AttentionWeights& weights = weights_->layers[layer].attention;
  const std::size_t tokens = batch.num_tokens();
  const TensorView query = shaped(workspace_.query, tokens, spec.num_heads * spec.head_dim);
  const TensorView key = shaped(workspace_.key, tokens, spec.num_kv_heads * spec.head_dim);
  const TensorView value =
      shaped(workspace_.value, tokens, spec.num_kv_heads * spec.value_head_dim);
  const TensorView attended =
      shaped(workspace_.attended, tokens, spec.num_heads * spec.value_head_dim);
  if (spec.latent) {
    project_latents(context, input, layer);
  } else {
    project(context, input, batch, layer);
  }
  kv_store(context, by_heads(key, spec.num_kv_heads), by_heads(value, spec.num_kv_heads),
           batch.attention, cache);
  AttentionOptions options{
      .scale = spec.scale, .window = std::nullopt, .softcap = spec.softcap, .sinks = weights.sinks};
  if (spec.kind == AttentionKind::kSliding)
    options.window = static_cast<std::uint32_t>(spec.window);
  attention(context, by_heads(query, spec.num_heads), batch.attention, cache, options,
            by_heads(attended, spec.num_heads));
  if (spec.latent) leave_latent(context, tokens, layer);
}

void Decoder::project(KernelContext& context, TensorView input, const ForwardBatch& batch,
                      std::size_t layer) {
  const AttentionSpec& spec = spec_->layers[layer].attention;
  const AttentionWeights& weights = weights_->layers[layer].attention;
  const std::size_t tokens = input.num_rows();
  const TensorView query = shaped(workspace_.query, tokens, spec.num_heads * spec.head_dim);
  const TensorView key = shaped(workspace_.key, tokens, spec.num_kv_heads * spec.head_dim);
  const TensorView value =
      shaped(workspace_.value, tokens, spec.num_kv_heads * spec.value_head_dim);

  enter_adapters(context, input, batch, layer,
                 {LoraSlot::kQuery, LoraSlot::kKey, LoraSlot::kValue});
  QuantizedRows rows;
  const MatmulInput prepared = prepare(
      context, input, rows, {weights.query.format, weights.key.format, weights.value.format});
  matmul(context, prepared, weights.query, {.bias = weights.query_bias, .sync = Sync::kNone},
         query);
  matmul(context, prepared, weights.key, {.bias = weights.key_bias, .sync = Sync::kNone}, key);
  matmul(context, prepared, weights.value, {.bias = weights.value_bias}, value);
  leave_adapters(context, batch, layer,
                 {{LoraSlot::kQuery, query}, {LoraSlot::kKey, key}, {LoraSlot::kValue, value}});

  if (spec.query_norm) {
    norm_heads(context, query, spec.num_heads, weights.query_norm, *spec.query_norm,
               spec.norm_extent);
  }
  if (spec.key_norm) {
    norm_heads(context, key, spec.num_kv_heads, weights.key_norm, *spec.key_norm, spec.norm_extent);
  }
  rotate(context, spec, query, key);
}

void Decoder::rotate(KernelContext& context, const AttentionSpec& spec, TensorView query,
                     TensorView key) {
  if (!spec.rope) return;
  const RopeSpec& rope_spec = spec_->ropes[*spec.rope];
  const std::size_t width = rope_spec.rotary_dim / 2;
  const TensorView cos = shaped(workspace_.cos[*spec.rope], query.num_rows(), width);
  const TensorView sin = shaped(workspace_.sin[*spec.rope], query.num_rows(), width);
  rope(context, by_heads(query, spec.num_heads), cos, sin, rope_spec.pairs, Sync::kNone);
  rope(context, by_heads(key, spec.num_kv_heads), cos, sin, rope_spec.pairs);
}

void Decoder::run_attention_output(KernelContext& context, const ForwardBatch& batch,
                                   std::size_t layer) {
  const std::size_t num_tokens = batch.num_tokens();
  const LayerSpec& spec = spec_->layers[layer];
  const AttentionWeights& weights = weights_->layers[layer].attention;
  const TensorView attended =
      shaped(spec.attention.latent ? workspace_.head_values : workspace_.attended, num_tokens,
             spec.attention.output_width());
  const PartOutput output = part_output(spec, spec.attention_post_norm, num_tokens);
  enter_adapters(context, attended, batch, layer, {LoraSlot::kAttentionOutput});
  QuantizedRows rows;
  const MatmulInput input = prepare(context, attended, rows, {weights.output.format});
  matmul(context, input, weights.output,
         {.bias = weights.output_bias, .accumulate = output.accumulate}, output.y);
  leave_adapters(context, batch, layer, {{LoraSlot::kAttentionOutput, output.y}});
  end_part(context, spec, spec.attention_post_norm, weights_->layers[layer].attention_post_norm,
           output);
}

void Decoder::run_feed_forward(KernelContext& context, TensorView input, const ForwardBatch& batch,
                               std::size_t layer) {
  const LayerSpec& layer_spec = spec_->layers[layer];
  const FeedForwardSpec& spec = layer_spec.feed_forward;
  const FeedForwardWeights& weights = weights_->layers[layer].feed_forward;
  const std::size_t num_tokens = input.num_rows();
  const TensorView gate = shaped(workspace_.gate, num_tokens, spec.width);
  const TensorView up = shaped(workspace_.up, num_tokens, spec.width);

  enter_adapters(context, input, batch, layer, {LoraSlot::kGate, LoraSlot::kUp});
  QuantizedRows rows;
  const MatmulInput prepared =
      prepare(context, input, rows, {weights.gate.format, weights.up.format});
  if (spec.kind == FeedForwardKind::kGated) {
    matmul(context, prepared, weights.gate, {.bias = weights.gate_bias, .sync = Sync::kNone}, gate);
    matmul(context, prepared, weights.up, {.bias = weights.up_bias}, up);
    leave_adapters(context, batch, layer, {{LoraSlot::kGate, gate}, {LoraSlot::kUp, up}});
    gated_activation(context, spec.activation, gate, up, up);
  } else {
    matmul(context, prepared, weights.up, {.bias = weights.up_bias}, up);
    leave_adapters(context, batch, layer, {{LoraSlot::kGate, gate}, {LoraSlot::kUp, up}});
    activate(context, spec.activation, up, up);
  }
  const PartOutput output = part_output(layer_spec, layer_spec.feed_forward_post_norm, num_tokens);
  enter_adapters(context, up, batch, layer, {LoraSlot::kDown});
  const MatmulInput down = prepare(context, up, rows, {weights.down.format});
  matmul(context, down, weights.down, {.bias = weights.down_bias, .accumulate = output.accumulate},
         output.y);
  leave_adapters(context, batch, layer, {{LoraSlot::kDown, output.y}});
  end_part(context, layer_spec, layer_spec.feed_forward_post_norm,
           weights_->layers[layer].feed_forward_post_norm, output);
}

void Decoder::enter_adapters(KernelContext& context, TensorView input, const ForwardBatch& batch,
                             std::size_t layer, std::initializer_list<LoraSlot> slots) {
  std::size_t i = 0;
  for (const LoraSlot slot : slots) {
    if (batch.adapters.empty()) return;
    const TensorView inner =
        shaped(workspace_.adapter_inner[i++], batch.num_tokens(), limits_.adapter_rank_max);
    lora_down(context, input, batch.adapters, lora_index(layer, slot), inner, Sync::kNone);
  }
}

void Decoder::leave_adapters(KernelContext& context, const ForwardBatch& batch, std::size_t layer,
                             std::initializer_list<AdaptedOutput> outputs) {
  if (batch.adapters.empty()) return;
  std::size_t i = 0;
  for (const AdaptedOutput& output : outputs) {
    const TensorView inner =
        shaped(workspace_.adapter_inner[i++], batch.num_tokens(), limits_.adapter_rank_max);
    lora_up(context, inner, batch.adapters, lora_index(layer, output.slot), output.y,
            i < outputs.size() ? Sync::kNone : Sync::kBarrier);
  }
}

// Into the buffer of normed inputs, which no layer needs any more.
TensorView Decoder::run_states(KernelContext& context, const ForwardBatch& batch) {
  const std::size_t num_rows = batch.state_rows.size();
  const TensorView states = shaped(workspace_.normed, num_rows, spec_->hidden);
  if (num_rows == 0) return states;
  gather_rows(context, shaped(workspace_.hidden, batch.num_tokens(), spec_->hidden),
              batch.state_rows, states);
  norm_rows(context, states, weights_->final_norm, spec_->final_norm, states);
  return states;
}

void Decoder::run_logits(KernelContext& context, const ForwardBatch& batch) {
  const std::size_t num_rows = batch.logit_rows.size();
  if (num_rows == 0) return;
  const TensorView hidden = shaped(workspace_.hidden, batch.num_tokens(), spec_->hidden);
  const TensorView last = shaped(workspace_.last_hidden, num_rows, spec_->hidden);
  gather_rows(context, hidden, batch.logit_rows, last);
  norm_rows(context, last, weights_->final_norm, spec_->final_norm, last);
  project_logits(context, last);
}

TensorView Decoder::logits_of_states(KernelContext& context, TensorView states, std::size_t first,
                                     std::size_t num_rows) {
  CHECK(num_rows <= limits_.logit_rows_max);
  return project_logits(context, states.rows(first, num_rows));
}

TensorView Decoder::project_logits(KernelContext& context, TensorView normed) {
  QuantizedRows rows;
  const MatmulInput input = prepare(context, normed, rows, {weights_->output.format});
  const TensorView logits = shaped(workspace_.logits, normed.num_rows(), spec_->vocabulary);
  matmul(context, input, weights_->output, {.bias = weights_->output_bias}, logits);
  if (spec_->logit_scale != 1.0f) scale(context, spec_->logit_scale, logits);
  if (spec_->logit_softcap) softcap(context, *spec_->logit_softcap, logits);
  return logits;
}

}  // namespace millrace
