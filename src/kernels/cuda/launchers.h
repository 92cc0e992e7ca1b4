// Every kernel's entrance for the host: plain arguments in, work on the stream. Extents have been
// checked by CudaOps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/ops.h"
#include "tensor/kv_view.h"

namespace millrace::cuda {

// Rows of f32 in the device's memory.
struct Rows {
  const float* data = nullptr;
  std::size_t stride = 0;
};
struct MutableRows {
  float* data = nullptr;
  std::size_t stride = 0;
};
// Where else a kernel puts its output: in bf16 and dense, for the matrix products that follow.
using Twin = std::uint16_t*;

// ---- rows.cu
struct RowExtent {
  unsigned num_rows = 0;
  unsigned num_cols = 0;
};
void launch_rms_norm(void* stream, RowExtent extent, Rows x, const float* weight, float eps,
                     MutableRows y, Twin twin);
void launch_layer_norm(void* stream, RowExtent extent, Rows x, const LayerNormWeights& weights,
                       float eps, MutableRows y, Twin twin);
struct ActivationArgs {
  RowExtent extent;
  Rows gate;
  Rows up;  // null: y = act(gate)
  MutableRows y;
  Twin twin = nullptr;
};
void launch_activation(void* stream, Activation activation, const ActivationArgs& args);
void launch_clamped_gate(void* stream, const ClampedGate& clamp, const ActivationArgs& args);
void launch_add(void* stream, RowExtent extent, Rows x, MutableRows y);
void launch_add_gated(void* stream, RowExtent extent, Rows x, Rows logits, MutableRows y);
void launch_scale(void* stream, RowExtent extent, float factor, MutableRows x);
void launch_softcap(void* stream, RowExtent extent, float cap, MutableRows x);
void launch_gather_rows(void* stream, RowExtent extent, Rows x, const std::uint32_t* indices,
                        MutableRows y);
void launch_to_bf16(void* stream, RowExtent extent, Rows x, Twin twin);
void launch_embed(void* stream, const MatrixView& table, const std::uint32_t* ids,
                  unsigned num_tokens, float factor, MutableRows y);

// ---- heads.cu
struct HeadsExtent {
  unsigned num_tokens = 0;
  unsigned num_heads = 0;
  unsigned head_dim = 0;
};
struct RopeAngles {
  const std::uint32_t* positions = nullptr;
  const double* inverse_frequencies = nullptr;
  double attention_factor = 1.0;
  unsigned num_tokens = 0;
  unsigned num_pairs = 0;
};
void launch_rope_angles(void* stream, const RopeAngles& args, MutableRows cos, MutableRows sin);
struct RopeArgs {
  HeadsExtent extent;
  unsigned num_pairs = 0;
  RopePairs pairs = RopePairs::kHalves;
  Rows cos;
  Rows sin;
};
void launch_rope(void* stream, const RopeArgs& args, MutableRows x);
struct HeadCopy {
  Rows from;  // first element of the first head's part
  MutableRows to;
  unsigned from_head_dim = 0;
  unsigned to_head_dim = 0;
  unsigned count = 0;
  unsigned num_tokens = 0;
  unsigned num_heads = 0;
};
void launch_copy_heads(void* stream, const HeadCopy& copy);

// The step's tokens on the device; as AttentionBatch.
struct DeviceBatch {
  const std::uint32_t* chunk_begin = nullptr;
  const std::uint32_t* context_tokens = nullptr;
  const std::uint32_t* block_table = nullptr;
  std::size_t block_table_stride = 0;
  unsigned num_sequences = 0;
  unsigned num_tokens = 0;
};
void launch_kv_store(void* stream, Rows keys, Rows values, const DeviceBatch& batch,
                     const KvLayerView& cache);

// ---- attention*.cu
struct AttentionArgs {
  Rows q;
  MutableRows y;
  Twin twin = nullptr;
  unsigned num_heads = 0;
  DeviceBatch batch;
  KvLayerView cache;
  float scale = 1.0f;
  float softcap = 0.0f;  // 0: none
  unsigned window = 0;   // 0: none
  const float* sinks = nullptr;
  // Positions [i * split_tokens, (i + 1) * split_tokens) are one part of a sequence's cache; parts
  // meet in rising order. 0: everything is one part.
  unsigned split_tokens = 0;
  unsigned num_splits = 1;
  float* partials = nullptr;  // [T, H, splits, D_v + 2]
  // Sequences [sequence_begin, + num_sequences) of the batch, whose chunks have at most so many
  // tokens. The plain kernel takes all tokens of the batch.
  unsigned sequence_begin = 0;
  unsigned num_sequences = 0;
  unsigned chunk_tokens_max = 1;
};
// One warp for a token and head: any shape, any option, no tensor cores.
void launch_attention_plain(void* stream, const AttentionArgs& args);
// Tensor cores, for shapes that is_tiled says yes to.
bool is_tiled(const KvLayerView& cache);
void launch_attention_tiled(void* stream, const AttentionArgs& args);
// Brings the parts together.
void launch_attention_merge(void* stream, const AttentionArgs& args);

// ---- matmul_*.cu
struct ProductArgs {
  unsigned num_rows = 0;  // of x
  Rows x;
  MatrixView weight;
  const float* bias = nullptr;
  float alpha = 1.0f;
  Accumulate accumulate = Accumulate::kStore;
  MutableRows y;
};
// Weights read once for at most kFewRows rows; x in f32, every weight at its own value.
inline constexpr unsigned kFewRows = 4;
void launch_matmul_few(void* stream, const ProductArgs& args);
// Tiles on tensor cores: x and weights in bf16 (f16 weights: both in f16).
void launch_matmul_tiled(void* stream, const ProductArgs& args);
// A thread for each output, in f32: the oracle, and products that nothing else takes.
void launch_matmul_plain(void* stream, const ProductArgs& args);
// Rows of many experts, grouped: matrices of one shape, `stride_bytes` apart.
struct GroupedArgs {
  ProductArgs product;  // weight: of expert 0; bias [X, N]
  unsigned num_experts = 0;
  std::size_t stride_bytes = 0;
  const std::uint32_t* expert_begin = nullptr;  // [X + 1]
};
void launch_matmul_grouped(void* stream, const GroupedArgs& args);

// ---- experts.cu
struct RouteArgs {
  Rows logits;
  unsigned num_tokens = 0;
  unsigned num_experts = 0;
  unsigned num_selected = 0;
  bool is_softmax = true;
  bool is_normalised = true;
  float weight_scale = 1.0f;
  const float* choice_bias = nullptr;
  unsigned num_groups = 1;
  unsigned num_groups_selected = 1;
  bool is_sum_of_two = false;
  std::uint32_t* expert_begin = nullptr;
  std::uint32_t* row_token = nullptr;
  std::uint32_t* token_row = nullptr;
  float* token_weight = nullptr;
};
void launch_route(void* stream, const RouteArgs& args);
struct CombineArgs {
  RowExtent extent;  // of y
  unsigned num_selected = 0;
  Rows x;
  const std::uint32_t* token_row = nullptr;
  const float* token_weight = nullptr;
  Accumulate accumulate = Accumulate::kStore;
  MutableRows y;
};
void launch_combine(void* stream, const CombineArgs& args);

}  // namespace millrace::cuda
