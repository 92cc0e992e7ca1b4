// What the ops call when a step runs on a device: one virtual function for each op of ops.h, with
// its contract.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/ops.h"

namespace millrace {

// Implemented by cuda::CudaOps. Calls are put on the device's stream and return at once; the
// stream's order is the barrier. One thread at a time.
//
// Views, matrices, vectors and the spans of an ExpertRouting lie in the device's memory. Token ids,
// positions, indices and the arrays of an AttentionBatch are the host's, which plans by them: they
// lie in the step's mirror, whose bytes the device has too (kernels/cuda/README.md).
class DeviceOps {
 public:
  virtual ~DeviceOps() = default;

  virtual void embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float factor,
                     const TensorView& y) = 0;
  virtual void rms_norm(const ConstTensorView& x, const ConstTensorView& weight, float eps,
                        const TensorView& y) = 0;
  virtual void layer_norm(const ConstTensorView& x, const LayerNormWeights& weights, float eps,
                          const TensorView& y) = 0;
  virtual void matmul(const ConstTensorView& x, const PackedMatrix& weight,
                      const MatmulOptions& options, const TensorView& y) = 0;
  virtual void lora_down(const ConstTensorView& x, std::span<const LoraSegment> segments,
                         std::size_t pair, const TensorView& inner) = 0;
  virtual void lora_up(const ConstTensorView& inner, std::span<const LoraSegment> segments,
                       std::size_t pair, const TensorView& y) = 0;
  virtual void rope_angles(std::span<const std::uint32_t> positions,
                           std::span<const double> inverse_frequencies, double attention_factor,
                           const TensorView& cos, const TensorView& sin) = 0;
  virtual void rope(const TensorView& x, const ConstTensorView& cos, const ConstTensorView& sin,
                    RopePairs pairs) = 0;
  virtual void kv_store(const ConstTensorView& keys, const ConstTensorView& values,
                        const AttentionBatch& batch, const KvLayerView& cache) = 0;
  virtual void attention(const ConstTensorView& q, const AttentionBatch& batch,
                         const KvLayerView& cache, const AttentionOptions& options,
                         const TensorView& y) = 0;
  virtual void gated_activation(Activation activation, const ConstTensorView& gate,
                                const ConstTensorView& up, const TensorView& y) = 0;
  virtual void activate(Activation activation, const ConstTensorView& x, const TensorView& y) = 0;
  virtual void clamped_gated_activation(const ClampedGate& clamp, const ConstTensorView& gate,
                                        const ConstTensorView& up, const TensorView& y) = 0;
  virtual void add_gated(const ConstTensorView& x, const ConstTensorView& logits,
                         const TensorView& y) = 0;
  virtual void copy_heads(const HeadPart& from, const HeadPart& to) = 0;
  virtual void head_matmul(const HeadPart& x, std::span<const PackedMatrix> weights,
                           const HeadPart& y) = 0;
  virtual void add(const ConstTensorView& x, const TensorView& y) = 0;
  virtual void scale(float factor, const TensorView& x) = 0;
  virtual void softcap(float cap, const TensorView& x) = 0;
  virtual void gather_rows(const ConstTensorView& x, std::span<const std::uint32_t> indices,
                           const TensorView& y) = 0;
  virtual void route_experts(const ConstTensorView& logits, const RoutingOptions& options,
                             const ExpertRouting& routing) = 0;
  virtual void expert_matmul(const ConstTensorView& x, std::span<const PackedMatrix> experts,
                             const ExpertRouting& routing, const ExpertMatmulOptions& options,
                             const TensorView& y) = 0;
  virtual void combine_experts(const ConstTensorView& x, const ExpertRouting& routing,
                               Accumulate accumulate, const TensorView& y) = 0;
};

}  // namespace millrace
