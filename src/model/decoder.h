// The one decoder: runs any ModelSpec, one step at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/context.h"
#include "model/forward_batch.h"
#include "model/lora_adapter.h"
#include "model/model_spec.h"
#include "model/model_weights.h"
#include "tensor/kv_view.h"

namespace millrace {

// The largest step that a decoder is planned for.
struct DecoderLimits {
  std::size_t tokens_max = 512;
  std::size_t logit_rows_max = 64;
  std::size_t adapter_rank_max = 0;  // of LoRA adapters; 0: none are taken
};

// One buffer of the workspace and why it is there.
struct WorkspaceTerm {
  std::string_view name;
  std::uint64_t num_bytes = 0;
};
// Every activation that a step needs at its largest, term by term; the workspace is their sum.
// kInvalidArgument when a limit is zero or the sum overflows.
Result<std::vector<WorkspaceTerm>> plan_workspace(const ModelSpec& spec,
                                                  const DecoderLimits& limits);
std::uint64_t workspace_bytes(const std::vector<WorkspaceTerm>& terms);

// Const after construction but for its workspace: one step at a time. The spec, the weights and
// the workspace (aligned to 64) are borrowed and must outlive it.
class Decoder {
 public:
  // Weights and workspace lie on that device, where it is used with contexts of that device alone.
  static Result<Decoder> create(const ModelSpec& spec, const ModelWeights& weights,
                                const DecoderLimits& limits, std::span<std::byte> workspace,
                                Device device = Device::kCpu);

  const ModelSpec& spec() const { return *spec_; }
  const DecoderLimits& limits() const { return limits_; }

  // Inside the step whose forward() gave `states`, by every rank: the logits of `num_rows` of them
  // from `first` on, at most logit_rows_max, in place of those that forward() gave.
  TensorView logits_of_states(KernelContext& context, TensorView states, std::size_t first,
                              std::size_t num_rows);

  // One rank's part of running the batch through every layer, storing its keys and values in the
  // cache on the way. Inside a step every rank calls it with the same batch and gets the same
  // output, complete; outside one the calling thread does it all. Batch within limits(); cache
  // views one per layer, as the spec says. Allocates nothing.
  ForwardOutput forward(KernelContext& context, const ForwardBatch& batch, KvView cache);

 private:
  struct Workspace {
    TensorView hidden, normed;         // [T, E]
    TensorView branch;                 // [T, E] a part's output before it is added to hidden
    TensorView query, attended;        // [T, H*D], [T, H*D_v]
    TensorView key, value;             // [T, K*D], [T, K*D_v]
    TensorView plain_query;            // [T, H*(P+R)] latent attention, as are the next two
    TensorView query_latent;           // [T, C_q]
    TensorView head_values;            // [T, H*D_v]
    TensorView gate, up;               // [T, F] dense layers, shared experts; [T*k, F] experts
    std::vector<TensorView> cos, sin;  // [T, R/2] per rope
    TensorView router;                 // [T, X]
    TensorView expert_in, expert_out;  // [T*k, E]
    ExpertRouting routing;
    std::array<TensorView, 3> adapter_inner;  // [T, rank_max] each
    TensorView logits, last_hidden;           // [rows, V], [rows, E]
    std::byte* quantized = nullptr;           // rows of any matmul's input, for int weights
  };

  Decoder(const ModelSpec& spec, const ModelWeights& weights, const DecoderLimits& limits);
  void place(std::span<std::byte> workspace, Device device);

  void run_embedding(KernelContext& context, const ForwardBatch& batch);
  void run_layer(KernelContext& context, const ForwardBatch& batch, const KvLayerView& cache,
                 std::size_t layer);
  void run_attention(KernelContext& context, TensorView input, const ForwardBatch& batch,
                     const KvLayerView& cache, std::size_t layer);
  // Queries, keys and values of the layer, into the workspace.
  void project(KernelContext& context, TensorView input, const ForwardBatch& batch,
               std::size_t layer);
  void project_latents(KernelContext& context, TensorView input, std::size_t layer);
  void project_queries(KernelContext& context, const MatmulInput& input, std::size_t layer);
  void leave_latent(KernelContext& context, std::size_t num_tokens, std::size_t layer);
  void multiply_heads(KernelContext& context, const HeadPart& x,
                      std::span<const PackedMatrix> weights, const HeadPart& y);
  void run_attention_output(KernelContext& context, const ForwardBatch& batch, std::size_t layer);
  void rotate(KernelContext& context, const AttentionSpec& spec, TensorView query, TensorView key);
  void run_feed_forward(KernelContext& context, TensorView input, const ForwardBatch& batch,
                        std::size_t layer);
  void run_experts(KernelContext& context, TensorView input, std::size_t layer);
  ExpertRouting route(KernelContext& context, TensorView input, std::size_t layer);
  // The shared expert up to its last matrix, and from there onto `output`.
  void enter_shared_expert(KernelContext& context, TensorView input, std::size_t layer);
  void leave_shared_expert(KernelContext& context, TensorView output, std::size_t layer);
  // The hidden state, or its norm.
  TensorView part_input(KernelContext& context, const std::optional<NormSpec>& norm,
                        const NormWeights& weights, std::size_t num_tokens);
  // Where a part writes its output: straight onto the hidden state, or first into a buffer of its
  // own where something is done to it yet, which end_part does.
  struct PartOutput {
    TensorView y;
    Accumulate accumulate = Accumulate::kAdd;
  };
  PartOutput part_output(const LayerSpec& spec, const std::optional<NormSpec>& post_norm,
                         std::size_t num_tokens) const;
  void end_part(KernelContext& context, const LayerSpec& spec,
                const std::optional<NormSpec>& post_norm, const NormWeights& weights,
                const PartOutput& output);
  // What the batch's adapters add to matrices that have one input: first inwards, which may go on
  // while the matrices are multiplied, then, behind a barrier, onto their outputs.
  struct AdaptedOutput {
    LoraSlot slot;
    TensorView y;
  };
  void enter_adapters(KernelContext& context, TensorView input, const ForwardBatch& batch,
                      std::size_t layer, std::initializer_list<LoraSlot> slots);
  void leave_adapters(KernelContext& context, const ForwardBatch& batch, std::size_t layer,
                      std::initializer_list<AdaptedOutput> outputs);
  void run_logits(KernelContext& context, const ForwardBatch& batch);
  // Of rows behind the final norm.
  TensorView project_logits(KernelContext& context, TensorView normed);
  TensorView run_states(KernelContext& context, const ForwardBatch& batch);
  MatmulInput prepare(KernelContext& context, ConstTensorView x, QuantizedRows& rows,
                      std::initializer_list<WeightFormat> formats) const;

  const ModelSpec* spec_;
  const ModelWeights* weights_;
  DecoderLimits limits_;
  std::vector<std::vector<double>> frequencies_;  // per rope
  Workspace workspace_;
};

// forward() as a step of its own, on the whole team of a context outside any step.
ForwardOutput run_forward(Decoder& decoder, KernelContext& context, const ForwardBatch& batch,
                          KvView cache);

}  // namespace millrace
