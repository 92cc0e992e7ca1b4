// The ops on a CUDA device: checks, plans and launches. Plain C++; the kernels are in the .cu
// files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/launch_plan.h"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/runtime.h"
#include "kernels/device_ops.h"
#include "tensor/buffer.h"

namespace millrace::cuda {

struct CudaOpsOptions {
  BatchInvariance invariance = BatchInvariance::kOff;
  // Elements of the largest input of a matrix product, for its bf16 twin.
  std::size_t twin_elements = 0;
  // Of the scratch in which parts of attention meet; 0: one part always.
  std::size_t partial_elements = 0;
  // Bytes of a step's host arrays, all together.
  std::size_t mirror_bytes = 1u << 20;
};

// One step at a time, one thread. Memory is taken by create() alone.
class CudaOps final : public DeviceOps {
 public:
  // The runtime outlives the ops.
  static Result<std::unique_ptr<CudaOps>> create(Runtime& runtime, const CudaOpsOptions& options);
  ~CudaOps() override;

  // Pinned bytes that the device has a twin of: host arrays that ops are given lie in them, and
  // are seen by the device as they were when upload() was called.
  std::span<std::byte> mirror() { return {mirror_, options_.mirror_bytes}; }
  void upload(std::size_t num_bytes);
  // Captured steps plan for caches of so many positions; 0: as they are.
  void set_planned_end(unsigned positions) { planned_end_ = positions; }

  void embed(const PackedMatrix& table, std::span<const std::uint32_t> ids, float factor,
             const TensorView& y) override;
  void rms_norm(const ConstTensorView& x, const ConstTensorView& weight, float eps,
                const TensorView& y) override;
  void layer_norm(const ConstTensorView& x, const LayerNormWeights& weights, float eps,
                  const TensorView& y) override;
  void matmul(const ConstTensorView& x, const PackedMatrix& weight, const MatmulOptions& options,
              const TensorView& y) override;
  void lora_down(const ConstTensorView& x, std::span<const LoraSegment> segments, std::size_t pair,
                 const TensorView& inner) override;
  void lora_up(const ConstTensorView& inner, std::span<const LoraSegment> segments,
               std::size_t pair, const TensorView& y) override;
  void rope_angles(std::span<const std::uint32_t> positions,
                   std::span<const double> inverse_frequencies, double attention_factor,
                   const TensorView& cos, const TensorView& sin) override;
  void rope(const TensorView& x, const ConstTensorView& cos, const ConstTensorView& sin,
            RopePairs pairs) override;
  void kv_store(const ConstTensorView& keys, const ConstTensorView& values,
                const AttentionBatch& batch, const KvLayerView& cache) override;
  void attention(const ConstTensorView& q, const AttentionBatch& batch, const KvLayerView& cache,
                 const AttentionOptions& options, const TensorView& y) override;
  void gated_activation(Activation activation, const ConstTensorView& gate,
                        const ConstTensorView& up, const TensorView& y) override;
  void activate(Activation activation, const ConstTensorView& x, const TensorView& y) override;
  void clamped_gated_activation(const ClampedGate& clamp, const ConstTensorView& gate,
                                const ConstTensorView& up, const TensorView& y) override;
  void add_gated(const ConstTensorView& x, const ConstTensorView& logits,
                 const TensorView& y) override;
  void copy_heads(const HeadPart& from, const HeadPart& to) override;
  void head_matmul(const HeadPart& x, std::span<const PackedMatrix> weights,
                   const HeadPart& y) override;
  void add(const ConstTensorView& x, const TensorView& y) override;
  void scale(float factor, const TensorView& x) override;
  void softcap(float cap, const TensorView& x) override;
  void gather_rows(const ConstTensorView& x, std::span<const std::uint32_t> indices,
                   const TensorView& y) override;
  void route_experts(const ConstTensorView& logits, const RoutingOptions& options,
                     const ExpertRouting& routing) override;
  void expert_matmul(const ConstTensorView& x, std::span<const PackedMatrix> experts,
                     const ExpertRouting& routing, const ExpertMatmulOptions& options,
                     const TensorView& y) override;
  void combine_experts(const ConstTensorView& x, const ExpertRouting& routing,
                       Accumulate accumulate, const TensorView& y) override;

 private:
  CudaOps(Runtime& runtime, const CudaOpsOptions& options);

  Rows rows(const ConstTensorView& view) const;
  // The twin of `y` is written by the kernel that writes `y`, when there is room for it and its
  // rows are dense.
  Twin twin_for(const ConstTensorView& y);
  // What a kernel overwrites has no twin any more.
  MutableRows written(const TensorView& y);
  const std::uint16_t* twin_of(const ConstTensorView& x);
  const std::uint32_t* on_device(std::span<const std::uint32_t> values) const;
  const double* frequencies_on_device(std::span<const double> frequencies);
  DeviceBatch device_batch(const AttentionBatch& batch, std::size_t num_tokens) const;
  void multiply(const ConstTensorView& x, const ProductArgs& args);
  void multiply_rows(const ConstTensorView& x, const PackedMatrix& weight,
                     const MatmulOptions& options, float alpha, const TensorView& y);

  struct Frequencies {
    std::vector<double> host;
    Buffer device;
  };

  Runtime& runtime_;
  CudaOpsOptions options_;
  std::byte* mirror_ = nullptr;
  Buffer device_mirror_;
  Buffer twin_;
  Buffer partials_;
  std::vector<Frequencies> frequencies_;  // of every rope that was met
  std::vector<AttentionRun> runs_;
  unsigned planned_end_ = 0;
  ConstTensorView twin_source_;  // whose twin lies in twin_; no data: nobody's
};

}  // namespace millrace::cuda
