// The definition of correct: every op as plain loops with double accumulation, one thread, no
// tricks. Kernels are tested against it; nothing serves with it.
//
// Same contracts as ops.h, without a context. All views f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ops.h"

namespace millrace::ref {

void embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float scale,
           TensorView y);
void rms_norm(ConstTensorView x, ConstTensorView weight, float eps, TensorView y);
void layer_norm(ConstTensorView x, const LayerNormWeights& weights, float eps, TensorView y);
void quantize_rows(ConstTensorView x, const QuantizedRows& q);

// The int formats multiply what `quantized` holds, scales and all. When `magnitudes` [M, N] is
// given it receives the sum of the absolute values of everything added up for y[m, n]: the factor
// of gamma_n in an error bound.
void matmul(const MatmulInput& input, const PackedMatrix& weight, const MatmulOptions& options,
            TensorView y, TensorView* magnitudes = nullptr);

void lora_down(ConstTensorView x, std::span<const LoraSegment> segments, std::size_t pair,
               TensorView inner);
void lora_up(ConstTensorView inner, std::span<const LoraSegment> segments, std::size_t pair,
             TensorView y);

void rope(TensorView x, ConstTensorView cos, ConstTensorView sin, RopePairs pairs);
void kv_store(ConstTensorView keys, ConstTensorView values, const AttentionBatch& batch,
              const KvLayerView& cache);
// Reads the cache as it is stored. `magnitudes` [T, H], if given: the largest absolute value that
// the row's weights multiply, and what scores are made of, for error bounds.
struct AttentionMagnitudes {
  double value = 0;  // max |v|
  double score = 0;  // max over seen positions of |scale| * sum_d |q k|
};
void attention(ConstTensorView q, const AttentionBatch& batch, const KvLayerView& cache,
               const AttentionOptions& options, TensorView y,
               std::span<AttentionMagnitudes> magnitudes = {});

double activation(Activation activation, double x);
void gated_activation(Activation activation, ConstTensorView gate, ConstTensorView up,
                      TensorView y);
void activate(Activation activation, ConstTensorView x, TensorView y);
void add(ConstTensorView x, TensorView y);
void scale(float factor, TensorView x);
void softcap(float cap, TensorView x);
void gather_rows(ConstTensorView x, std::span<const std::uint32_t> indices, TensorView y);
void clamped_gated_activation(const ClampedGate& clamp, ConstTensorView gate, ConstTensorView up,
                              TensorView y);
void add_gated(ConstTensorView x, ConstTensorView logits, TensorView y);
void copy_heads(const HeadPart& from, const HeadPart& to);
void quantize_heads(const HeadPart& x, const QuantizedRows& q);
void head_matmul(const HeadPart& x, const QuantizedRows* quantized,
                 std::span<const PackedMatrix> weights, const HeadPart& y);
void route_experts(ConstTensorView logits, const RoutingOptions& options,
                   const ExpertRouting& routing);
void combine_experts(ConstTensorView x, const ExpertRouting& routing, Accumulate accumulate,
                     TensorView y);

}  // namespace millrace::ref
