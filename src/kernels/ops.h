// The whole kernels API: free functions over views, one per op; each does this rank's share and
// ends in a barrier.
//
// Letters as in the style guide: T tokens, E hidden size, H query heads, K key/value heads, D
// head_dim, F feed-forward size, V vocabulary, X experts, M rows, N outputs, P depth. Activations
// are f32.
//
// Batch invariance: every output row below depends on its own inputs alone, bit for bit: not on the
// number of rows, their order, or the number of ranks. Work is split by outputs; every sum has one
// fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/context.h"
#include "kernels/packed_matrix.h"
#include "tensor/kv_view.h"
#include "tensor/view.h"

namespace millrace {

// Whether an op waits for the other ranks before it returns. kNone only when the next op of this
// rank reads none of the outputs (q, k and v of one input, say); the next kBarrier covers all
// before it.
enum class Sync : std::uint8_t { kBarrier, kNone };
enum class Accumulate : std::uint8_t { kStore, kAdd };

// y[t] = scale * table[ids[t]].   table [V, E], ids [T] all < V, y [T, E].
void embed(KernelContext& context, const PackedMatrix& table, std::span<const std::uint32_t> ids,
           float scale, TensorView y);

// y[t, e] = x[t, e] * weight[e] / sqrt(mean_e(x[t, e]^2) + eps)
//   x, y [T, E] row stride free, y may be x; weight f32 [E].
// Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.
void rms_norm(KernelContext& context, ConstTensorView x, ConstTensorView weight, float eps,
              TensorView y);

// The vectors of a layer norm, [E] each. Null weights are ones, a null bias is zeros.
struct LayerNormWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
};
// y[t, e] = (x[t, e] - mean_e(x[t])) / sqrt(mean_e((x[t] - mean_e(x[t]))^2) + eps) * weight[e] +
// bias[e]
//   x, y [T, E] row stride free, y may be x. Two passes: the mean first, then what is left of it.
// Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3.
void layer_norm(KernelContext& context, ConstTensorView x, const LayerNormWeights& weights,
                float eps, TensorView y);

// Fills q with x quantised per row and group. x [M, P], P a multiple of 32.
void quantize_rows(KernelContext& context, ConstTensorView x, const QuantizedRows& q);

struct MatmulInput {
  ConstTensorView x;                         // [M, P] f32, row stride free
  const QuantizedRows* quantized = nullptr;  // The same rows; required when W needs_quantized_rows.
};
struct MatmulOptions {
  const float* bias = nullptr;  // [N], added once
  Accumulate accumulate = Accumulate::kStore;
  Sync sync = Sync::kBarrier;
};
// y[m, n] = sum_p x[m, p] * W[n, p] + bias[n] (+ y[m, n]).   y [M, N] f32, row stride free.
// One family for one row and for many: the same order of summation whatever M.
void matmul(KernelContext& context, const MatmulInput& input, const PackedMatrix& weight,
            const MatmulOptions& options, TensorView y);

// What a low-rank adapter adds to one matrix W [N, P]: y += scale * up (down x). Float formats.
// Hu et al. 2021, arXiv:2106.09685, section 4.1.
struct LoraPair {
  PackedMatrix down;  // [rank, P]; without rows the adapter leaves W as it is
  PackedMatrix up;    // [N, rank]
  float scale = 1.0f;
};
// Rows [row_begin, row_end) of a step belong to one adapter. Segments rise and do not overlap; rows
// of none belong to no adapter.
struct LoraSegment {
  std::span<const LoraPair> pairs;  // all of the adapter's
  std::size_t row_begin = 0;
  std::size_t row_end = 0;
};
// inner[t] = scale * down x[t] for the rows of every segment, with pair `pair` of its adapter.
//   x [M, P], inner [M, at least the largest rank]: the first rank elements of a row are written.
// Rows of many adapters in one call, as Chen et al. 2023, arXiv:2310.18547 (there each row gathers
// its adapter; here rows of one adapter lie side by side). Same order of summation as matmul.
void lora_down(KernelContext& context, ConstTensorView x, std::span<const LoraSegment> segments,
               std::size_t pair, TensorView inner, Sync sync = Sync::kBarrier);
// y[t] += up inner[t] for the same rows; the others are not touched.   y [M, N].
void lora_up(KernelContext& context, ConstTensorView inner, std::span<const LoraSegment> segments,
             std::size_t pair, TensorView y, Sync sync = Sync::kBarrier);

// cos and sin of positions[t] * inverse_frequency[i], times `attention_factor`: once per step and
// rope kind.
//   inverse_frequencies [R/2] double; cos, sin [T, R/2] f32. Computed in double, rounded once.
void rope_angles(KernelContext& context, std::span<const std::uint32_t> positions,
                 std::span<const double> inverse_frequencies, double attention_factor,
                 TensorView cos, TensorView sin);

// Which elements of a head form a rotated pair.
enum class RopePairs : std::uint8_t {
  kHalves,    // (i, i + R/2): Hugging Face, GPT-NeoX
  kAdjacent,  // (2i, 2i + 1): the paper, llama2.c, GGUF's llama
};
// Rotates the first R of each head's D elements in place.   x [T, H, D] row stride free; cos, sin
// [T, R/2]. Source: Su et al. 2021, arXiv:2104.09864, eq. 34.
void rope(KernelContext& context, TensorView x, ConstTensorView cos, ConstTensorView sin,
          RopePairs pairs, Sync sync = Sync::kBarrier);

// The tokens of a step, sequence after sequence. Token row chunk_begin[b] + i has position
// context_tokens[b] + i; the cache slot of position s of sequence b is offset s % N_b of block
// block_table[b * block_table_stride + s / N_b].
struct AttentionBatch {
  std::span<const std::uint32_t> chunk_begin;     // [B + 1], last is T
  std::span<const std::uint32_t> context_tokens;  // [B] tokens in the cache before this chunk
  std::span<const std::uint32_t> block_table;     // [B, stride]
  std::size_t block_table_stride = 0;

  std::size_t num_sequences() const { return context_tokens.size(); }
};

// Writes the step's keys and values to their slots, in the cache's format (i8: one scale per token
// and head).
//   keys [T, K, D], values [T, K, D_v] f32, row stride free.
void kv_store(KernelContext& context, ConstTensorView keys, ConstTensorView values,
              const AttentionBatch& batch, const KvLayerView& cache);

// The longest head, of keys or values, that attention takes: DeepSeek's latent of 512 with its 64
// rotated elements.
inline constexpr std::size_t kHeadDimMax = 576;

struct AttentionOptions {
  float scale = 1.0f;  // of q·k; 1/sqrt(D) in most families
  // A query at position i sees keys j with i - window < j <= i.
  std::optional<std::uint32_t> window = {};
  std::optional<float> softcap = {};  // scores s become cap * tanh(s / cap)
  // [H], or null: one more score per head that takes its share of the softmax and brings no value.
  // Agarwal et al. 2025, arXiv:2508.10925, section 2.2.
  const float* sinks = nullptr;
};
// y[t, h] = softmax_j(scale * q[t, h]·k[j, h'])·v[j, h'] over the visible keys j <= position of t,
// h' = h / (H/K).
//   q [T, H, D], y [T, H, D_v] f32, row stride free. kv_store of this step has been done before.
// Scores are taken in tiles of logical positions counted from 0, merged in rising order, so a
// token's result does not depend on the chunk that it came in. Online softmax: Milakov & Gimelshein
// 2018, arXiv:1805.02867.
void attention(KernelContext& context, ConstTensorView q, const AttentionBatch& batch,
               const KvLayerView& cache, const AttentionOptions& options, TensorView y);

enum class Activation : std::uint8_t {
  kSilu,      // x / (1 + exp(-x))
  kGelu,      // x * Phi(x), by erf
  kGeluTanh,  // its tanh approximation: Hendrycks & Gimpel 2016, arXiv:1606.08415
  kRelu,
  kRelu2,  // max(x, 0)^2
};
// y = act(gate) * up, elementwise over [T, F]; y may be gate or up.
void gated_activation(KernelContext& context, Activation activation, ConstTensorView gate,
                      ConstTensorView up, TensorView y);
// y = act(x); y may be x.
void activate(KernelContext& context, Activation activation, ConstTensorView x, TensorView y);

// The gate of gpt-oss: both sides clamped, the gate's sigmoid steeper, the up side moved by one.
struct ClampedGate {
  float limit = 7.0f;
  float steepness = 1.702f;
  bool operator==(const ClampedGate&) const = default;
};
// y = (clamp(up, -limit, limit) + 1) * g / (1 + exp(-steepness * g)) with g = min(gate, limit),
// elementwise over [T, F]; y may be gate or up. Source: as the sinks of attention.
void clamped_gated_activation(KernelContext& context, const ClampedGate& clamp,
                              ConstTensorView gate, ConstTensorView up, TensorView y);

// y[t] += x[t] / (1 + exp(-logits[t])).   x, y [T, E]; logits [T, 1].
void add_gated(KernelContext& context, ConstTensorView x, ConstTensorView logits, TensorView y);

// Elements [first, first + count) of every head of a view [T, H, D].
struct HeadPart {
  TensorView heads;  // row stride free
  std::size_t first = 0;
  std::size_t count = 0;
};
// to[t, h] = from[t, h]. Parts of equal size that do not overlap.
void copy_heads(KernelContext& context, const HeadPart& from, const HeadPart& to,
                Sync sync = Sync::kBarrier);
// Fills q with x quantised per head, token and group: row h * T + t. count a multiple of 32.
void quantize_heads(KernelContext& context, const HeadPart& x, const QuantizedRows& q);
// y[t, h] = W_h x[t, h]: a matrix of its own for each head, all of one shape and format.
// `quantized` as quantize_heads fills it, when the format needs it. The latent attention of
// DeepSeek-V2, arXiv:2405.04434, section 2.1.2, with the up-projections absorbed.
void head_matmul(KernelContext& context, const HeadPart& x, const QuantizedRows* quantized,
                 std::span<const PackedMatrix> weights, const HeadPart& y);

// y += x, over [T, E].
void add(KernelContext& context, ConstTensorView x, TensorView y);
// x = factor * x.
void scale(KernelContext& context, float factor, TensorView x);
// x = cap * tanh(x / cap).
void softcap(KernelContext& context, float cap, TensorView x);
// y[i] = x[indices[i]].
void gather_rows(KernelContext& context, ConstTensorView x, std::span<const std::uint32_t> indices,
                 TensorView y);

enum class ExpertScores : std::uint8_t {
  kSoftmax,  // over all X
  kSigmoid,  // of each logit by itself
};
enum class ExpertWeights : std::uint8_t {
  kScores,      // of the chosen, as they are
  kNormalised,  // divided by their sum: with kSoftmax the same as a softmax over the chosen logits
};
enum class GroupRank : std::uint8_t { kHighest, kSumOfTwo };  // of the best score, of the best two

// The largest number of experts that a router chooses from.
inline constexpr std::size_t kRoutedExpertsMax = 1024;

struct RoutingOptions {
  std::size_t num_selected = 1;
  ExpertScores scores = ExpertScores::kSoftmax;
  ExpertWeights weights = ExpertWeights::kNormalised;
  float weight_scale = 1.0f;           // of the weights, at last
  const float* choice_bias = nullptr;  // [X], added to the scores that choose, not to the weights
  // Experts lie in num_groups groups of X / num_groups. Only those of the best num_groups_selected
  // groups are chosen from: DeepSeek-V2, arXiv:2405.04434, section 2.2.2; -V3, arXiv:2412.19437,
  // section 2.1.2. kSumOfTwo needs two experts in a group; the chosen groups hold num_selected.
  std::size_t num_groups = 1;
  std::size_t num_groups_selected = 1;
  GroupRank group_rank = GroupRank::kHighest;
};
// Which rows go to which expert. All of it lies in caller's memory; rows are in order of (expert,
// token).
struct ExpertRouting {
  std::span<std::uint32_t> expert_begin;  // [X + 1] first grouped row of each expert; last is T*k
  std::span<std::uint32_t> row_token;     // [T*k] token of each grouped row
  std::span<std::uint32_t> token_row;  // [T, k] grouped row of each token's j-th choice, best first
  std::span<float> token_weight;       // [T, k] its weight
};
// The k best experts of each row of logits [T, X] (ties to the lower index), their weights, and the
// grouping. Scores and weights are computed in double, so that all rows of kernels choose alike.
void route_experts(KernelContext& context, ConstTensorView logits, const RoutingOptions& options,
                   const ExpertRouting& routing);
struct ExpertMatmulOptions {
  const float* bias = nullptr;  // [X, N]
  Sync sync = Sync::kBarrier;   // as in matmul
};
// y[r] = W_e x[r] + bias[e] for every grouped row r of expert e.   x [T*k, P], y [T*k, N].
void expert_matmul(KernelContext& context, const MatmulInput& input,
                   std::span<const PackedMatrix> experts, const ExpertRouting& routing,
                   const ExpertMatmulOptions& options, TensorView y);
// y[t] (+)= sum_j token_weight[t, j] * x[token_row[t, j]], j in rising order.   x [T*k, E], y [T,
// E].
void combine_experts(KernelContext& context, ConstTensorView x, const ExpertRouting& routing,
                     Accumulate accumulate, TensorView y);

}  // namespace millrace
