// Ops over heads, the cache and experts on a CUDA device.
#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"

namespace millrace::cuda {
namespace {

unsigned narrow(std::size_t value) {
  CHECK(value <= 0x7FFFFFFFu);
  return static_cast<unsigned>(value);
}

HeadsExtent extent_of(const ConstTensorView& heads) {
  CHECK(heads.shape.rank() == 3);
  return {narrow(heads.num_rows()), narrow(heads.shape[1]), narrow(heads.shape[2])};
}

// One head's part of all tokens, as rows.
TensorView head_rows(const HeadPart& part, std::size_t head) {
  CHECK(part.first <= part.heads.shape[2]);
  CHECK(part.count <= part.heads.shape[2] - part.first);
  TensorView rows = part.heads;
  rows.shape = {part.heads.num_rows(), part.count};
  rows.data += (head * part.heads.shape[2] + part.first) * sizeof(float);
  return rows;
}

}  // namespace

void CudaOps::rope_angles(std::span<const std::uint32_t> positions,
                          std::span<const double> inverse_frequencies, double attention_factor,
                          const TensorView& cos, const TensorView& sin) {
  CHECK(cos.num_rows() == positions.size());
  CHECK(cos.row_elements() == inverse_frequencies.size());
  CHECK(sin.shape == cos.shape);
  if (inverse_frequencies.empty()) return;
  launch_rope_angles(runtime_.stream(),
                     {.positions = on_device(positions),
                      .inverse_frequencies = frequencies_on_device(inverse_frequencies),
                      .attention_factor = attention_factor,
                      .num_tokens = narrow(positions.size()),
                      .num_pairs = narrow(inverse_frequencies.size())},
                     written(cos), written(sin));
}

void CudaOps::rope(const TensorView& x, const ConstTensorView& cos, const ConstTensorView& sin,
                   RopePairs pairs) {
  const HeadsExtent extent = extent_of(x);
  CHECK(cos.num_rows() == x.num_rows());
  CHECK(sin.shape == cos.shape);
  CHECK(2 * cos.shape[1] <= x.shape[2]);
  launch_rope(runtime_.stream(),
              {.extent = extent,
               .num_pairs = narrow(cos.shape[1]),
               .pairs = pairs,
               .cos = rows(cos),
               .sin = rows(sin)},
              written(x));
}

void CudaOps::copy_heads(const HeadPart& from, const HeadPart& to) {
  const HeadsExtent extent = extent_of(from.heads);
  CHECK(extent_of(to.heads).num_heads == extent.num_heads);
  CHECK(to.heads.num_rows() == from.heads.num_rows());
  CHECK(from.count == to.count);
  CHECK(from.first + from.count <= from.heads.shape[2]);
  CHECK(to.first + to.count <= to.heads.shape[2]);
  Rows in = rows(from.heads);
  MutableRows out = written(to.heads);
  in.data += from.first;
  out.data += to.first;
  launch_copy_heads(runtime_.stream(), {.from = in,
                                        .to = out,
                                        .from_head_dim = extent.head_dim,
                                        .to_head_dim = narrow(to.heads.shape[2]),
                                        .count = narrow(from.count),
                                        .num_tokens = extent.num_tokens,
                                        .num_heads = extent.num_heads});
}

// One product after the other: latent attention's matrices are small and its heads many, so this
// is right before it is fast.
void CudaOps::head_matmul(const HeadPart& x, std::span<const PackedMatrix> weights,
                          const HeadPart& y) {
  CHECK(weights.size() == x.heads.shape[1]);
  CHECK(weights.size() == y.heads.shape[1]);
  for (std::size_t head = 0; head < weights.size(); ++head) {
    multiply_rows(head_rows(x, head), weights[head], {}, 1.0f, head_rows(y, head));
  }
}

void CudaOps::kv_store(const ConstTensorView& keys, const ConstTensorView& values,
                       const AttentionBatch& batch, const KvLayerView& cache) {
  CHECK(keys.row_elements() == std::size_t{cache.num_kv_heads} * cache.head_dim);
  CHECK(values.row_elements() == std::size_t{cache.num_kv_heads} * cache.value_head_dim);
  CHECK(values.num_rows() == keys.num_rows());
  launch_kv_store(runtime_.stream(), rows(keys), rows(values), device_batch(batch, keys.num_rows()),
                  cache);
}

void CudaOps::attention(const ConstTensorView& q, const AttentionBatch& batch,
                        const KvLayerView& cache, const AttentionOptions& options,
                        const TensorView& y) {
  const HeadsExtent extent = extent_of(q);
  CHECK(extent.num_heads % cache.num_kv_heads == 0);
  CHECK(extent.head_dim == cache.head_dim);
  CHECK(cache.head_dim <= kHeadDimMax);
  CHECK(cache.value_head_dim <= kHeadDimMax);
  CHECK(y.row_elements() == std::size_t{extent.num_heads} * cache.value_head_dim);
  AttentionArgs args;
  args.q = rows(q);
  args.y = written(y);
  args.twin = twin_for(y);
  args.num_heads = extent.num_heads;
  args.batch = device_batch(batch, q.num_rows());
  args.cache = cache;
  args.scale = options.scale;
  args.softcap = options.softcap.value_or(0.0f);
  args.window = options.window.value_or(0);
  args.sinks = options.sinks;
  if (!is_tiled(cache)) return launch_attention_plain(runtime_.stream(), args);
  runs_.clear();
  plan_attention({.group = extent.num_heads / cache.num_kv_heads,
                  .num_kv_heads = cache.num_kv_heads,
                  .num_multiprocessors = runtime_.num_multiprocessors(),
                  .invariance = options_.invariance,
                  .planned_end = planned_end_,
                  .partial_elements = options_.partial_elements,
                  .elements_per_part = std::size_t{extent.num_heads} * (cache.value_head_dim + 2)},
                 batch.chunk_begin, batch.context_tokens, runs_);
  args.partials = reinterpret_cast<float*>(partials_.bytes().data());
  for (const AttentionRun& run : runs_) {
    args.sequence_begin = run.sequence_begin;
    args.num_sequences = run.num_sequences;
    args.chunk_tokens_max = run.chunk_tokens_max;
    args.split_tokens = run.split_tokens;
    args.num_splits = run.num_splits;
    launch_attention_tiled(runtime_.stream(), args);
    if (run.split_tokens > 0) launch_attention_merge(runtime_.stream(), args);
  }
}

void CudaOps::route_experts(const ConstTensorView& logits, const RoutingOptions& options,
                            const ExpertRouting& routing) {
  const std::size_t num_experts = logits.row_elements();
  CHECK(options.num_selected > 0);
  CHECK(options.num_selected <= num_experts);
  CHECK(num_experts <= kRoutedExpertsMax);
  CHECK(options.num_groups > 0);
  CHECK(num_experts % options.num_groups == 0);
  CHECK(routing.expert_begin.size() == num_experts + 1);
  CHECK(routing.token_row.size() == logits.num_rows() * options.num_selected);
  launch_route(runtime_.stream(), {.logits = rows(logits),
                                   .num_tokens = narrow(logits.num_rows()),
                                   .num_experts = narrow(num_experts),
                                   .num_selected = narrow(options.num_selected),
                                   .is_softmax = options.scores == ExpertScores::kSoftmax,
                                   .is_normalised = options.weights == ExpertWeights::kNormalised,
                                   .weight_scale = options.weight_scale,
                                   .choice_bias = options.choice_bias,
                                   .num_groups = narrow(options.num_groups),
                                   .num_groups_selected = narrow(options.num_groups_selected),
                                   .is_sum_of_two = options.group_rank == GroupRank::kSumOfTwo,
                                   .expert_begin = routing.expert_begin.data(),
                                   .row_token = routing.row_token.data(),
                                   .token_row = routing.token_row.data(),
                                   .token_weight = routing.token_weight.data()});
}

void CudaOps::expert_matmul(const ConstTensorView& x, std::span<const PackedMatrix> experts,
                            const ExpertRouting& routing, const ExpertMatmulOptions& options,
                            const TensorView& y) {
  CHECK(!experts.empty());
  CHECK(routing.expert_begin.size() == experts.size() + 1);
  CHECK(experts.front().num_cols == x.row_elements());
  CHECK(experts.front().num_rows == y.row_elements());
  const std::ptrdiff_t stride = experts.size() > 1 ? experts[1].data - experts[0].data : 0;
  CHECK(stride >= 0);
  for (std::size_t e = 0; e < experts.size(); ++e) {  // As the loader places them.
    CHECK(experts[e].format == experts.front().format);
    CHECK(experts[e].data == experts.front().data + static_cast<std::ptrdiff_t>(e) * stride);
  }
  GroupedArgs args;
  args.product = {.num_rows = narrow(x.num_rows()),
                  .x = rows(x),
                  .weight = matrix_view(experts.front()),
                  .bias = options.bias,
                  .y = written(y)};
  args.num_experts = narrow(experts.size());
  args.stride_bytes = static_cast<std::size_t>(stride);
  args.expert_begin = routing.expert_begin.data();
  launch_matmul_grouped(runtime_.stream(), args);
}

void CudaOps::combine_experts(const ConstTensorView& x, const ExpertRouting& routing,
                              Accumulate accumulate, const TensorView& y) {
  if (y.num_rows() == 0) return;
  const std::size_t num_selected = x.num_rows() / y.num_rows();
  CHECK(num_selected * y.num_rows() == x.num_rows());
  CHECK(routing.token_row.size() == x.num_rows());
  const TensorView out = y;
  launch_combine(runtime_.stream(), {.extent = {narrow(y.num_rows()), narrow(y.row_elements())},
                                     .num_selected = narrow(num_selected),
                                     .x = rows(x),
                                     .token_row = routing.token_row.data(),
                                     .token_weight = routing.token_weight.data(),
                                     .accumulate = accumulate,
                                     .y = written(out)});
}

}  // namespace millrace::cuda
