// Latent attention: queries are brought to the latent before attention, and its output from there.
#include "kernels/ops.h"
#include "model/decoder.h"
#include "model/decoder_views.h"

namespace millrace {

// Queries [rotated | plain parts taken to the latent] of every head, one key [rotated | latent] and
// one value [latent] per token.
void Decoder::project_latents(KernelContext& context, TensorView input, std::size_t layer) {
  const AttentionSpec& spec = spec_->layers[layer].attention;
  const LatentSpec& latent = *spec.latent;
  const AttentionWeights& weights = weights_->layers[layer].attention;
  const std::size_t tokens = input.num_rows();
  const TensorView key = shaped(workspace_.key, tokens, spec.head_dim);
  const TensorView value = shaped(workspace_.value, tokens, latent.rank);

  QuantizedRows rows;
  const WeightFormat first = latent.query_rank ? weights.query_down.format : weights.query.format;
  const MatmulInput prepared =
      prepare(context, input, rows, {first, weights.latent.format, weights.shared_key.format});
  matmul(context, prepared, weights.latent, {.bias = weights.latent_bias, .sync = Sync::kNone},
         value);
  matmul(context, prepared, weights.shared_key,
         {.bias = weights.shared_key_bias, .sync = Sync::kNone},
         columns(key, 0, latent.rotary_dim));
  project_queries(context, prepared, layer);
  norm_rows(context, value, {.weight = weights.latent_norm, .bias = nullptr}, latent.norm, value);
  copy_heads(context, {by_heads(value, 1), 0, latent.rank},
             {by_heads(key, 1), latent.rotary_dim, latent.rank}, Sync::kNone);
  rotate(context, spec, shaped(workspace_.query, tokens, spec.num_heads * spec.head_dim), key);
}

// `input` is prepared for the first matrix of the queries.
void Decoder::project_queries(KernelContext& context, const MatmulInput& input, std::size_t layer) {
  const AttentionSpec& spec = spec_->layers[layer].attention;
  const LatentSpec& latent = *spec.latent;
  const AttentionWeights& weights = weights_->layers[layer].attention;
  const std::size_t tokens = input.x.num_rows();
  const std::size_t head = latent.plain_dim + latent.rotary_dim;
  const TensorView plain = shaped(workspace_.plain_query, tokens, spec.num_heads * head);
  QuantizedRows rows;
  if (latent.query_rank) {
    const TensorView down = shaped(workspace_.query_latent, tokens, *latent.query_rank);
    matmul(context, input, weights.query_down, {.bias = weights.query_down_bias}, down);
    norm_rows(context, down, {.weight = weights.query_down_norm, .bias = nullptr}, latent.norm,
              down);
    matmul(context, prepare(context, down, rows, {weights.query.format}), weights.query, {}, plain);
  } else {
    matmul(context, input, weights.query, {}, plain);
  }
  const TensorView heads = by_heads(plain, spec.num_heads);
  const TensorView query =
      by_heads(shaped(workspace_.query, tokens, spec.num_heads * spec.head_dim), spec.num_heads);
  copy_heads(context, {heads, latent.plain_dim, latent.rotary_dim}, {query, 0, latent.rotary_dim},
             Sync::kNone);
  multiply_heads(context, {heads, 0, latent.plain_dim}, weights.head_key,
                 {query, latent.rotary_dim, latent.rank});
}

void Decoder::leave_latent(KernelContext& context, std::size_t num_tokens, std::size_t layer) {
  const AttentionSpec& spec = spec_->layers[layer].attention;
  const LatentSpec& latent = *spec.latent;
  const TensorView attended = shaped(workspace_.attended, num_tokens, spec.num_heads * latent.rank);
  const TensorView values = shaped(workspace_.head_values, num_tokens, spec.output_width());
  multiply_heads(context, {by_heads(attended, spec.num_heads), 0, latent.rank},
                 weights_->layers[layer].attention.head_value,
                 {by_heads(values, spec.num_heads), 0, latent.value_dim});
}

void Decoder::multiply_heads(KernelContext& context, const HeadPart& x,
                             std::span<const PackedMatrix> weights, const HeadPart& y) {
  if (!needs_quantized_rows(weights.front().format)) {
    return head_matmul(context, x, nullptr, weights, y);
  }
  const QuantizedRows rows =
      quantized_rows_in(workspace_.quantized, x.heads.num_rows() * x.heads.shape[1], x.count);
  quantize_heads(context, x, rows);
  head_matmul(context, x, &rows, weights, y);
}

}  // namespace millrace
