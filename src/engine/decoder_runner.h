// Runs plans on a real model: packs the batch, runs the decoder on the whole team, samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model_runner.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"

namespace millrace {

// The only user of Decoder in serving. Engine thread only, which becomes rank 0 of the team in each
// step. Rows are dealt to the ranks for sampling. Allocates nothing after creation.
class DecoderRunner final : public ModelRunner {
 public:
  // Decoder, context (outside a step) and cache outlive the runner and are used by nobody else
  // while it runs. kInvalidArgument when the decoder was planned for smaller steps than the
  // scheduler makes, or when scheduler and cache disagree about blocks.
  static Result<std::unique_ptr<DecoderRunner>> create(Decoder& decoder, KernelContext& context,
                                                       const KvCache& cache,
                                                       const SchedulerOptions& options);

  Status run(const StepPlan& plan, StepResult& result) override;

  // What the runner holds beside the decoder's workspace: samplers and the batch.
  static std::uint64_t scratch_bytes(std::size_t vocabulary, std::size_t num_threads,
                                     const SchedulerOptions& options);

 private:
  DecoderRunner(Decoder& decoder, KernelContext& context, const KvCache& cache,
                const SchedulerOptions& options);

  void order_chunks(const StepPlan& plan);
  void copy_block(const BlockCopy& copy);
  void pack(const StepPlan& plan);
  void pack_chunk(const PlannedChunk& chunk, std::size_t index);
  ForwardBatch batch() const;
  void pack_adapter(const LoraAdapter* adapter);
  void pack_pooled(const PlannedChunk& chunk, std::size_t index);
  void pool_rows(const StepPlan& plan, ConstTensorView states, const KernelContext& context);
  void end_pooled(const StepPlan& plan, StepResult& result);
  void sample_rows(const StepPlan& plan, ConstTensorView logits, const KernelContext& context,
                   StepResult& result);

  Decoder& decoder_;
  KernelContext& context_;
  const KvView cache_;
  std::vector<Sampler> samplers_;  // by rank

  // The batch of the step, one copy of what the plan names.
  std::vector<std::size_t> order_;          // [B] chunks of the plan, those of an adapter together
  std::vector<std::uint32_t> token_ids_;    // [T]
  std::vector<std::uint32_t> positions_;    // [T]
  std::vector<std::uint32_t> chunk_begin_;  // [B + 1]
  std::vector<std::uint32_t> context_tokens_;  // [B]
  std::vector<std::uint32_t> block_table_;     // [B, stride]
  std::size_t block_table_stride_ = 0;
  std::vector<std::uint32_t> logit_rows_;    // [samples] rows of T
  std::vector<std::size_t> sampled_chunks_;  // [samples] whose row it is
  std::vector<LoraSegment> adapters_;        // rows of T by adapter
  std::vector<std::uint32_t> state_rows_;    // rows of T that pooled chunks want
  // A pooled chunk and its first one in state_rows_.
  struct PooledChunk {
    std::size_t chunk = 0;
    std::size_t first_state = 0;
    std::size_t num_states = 0;
  };
  std::vector<PooledChunk> pooled_chunks_;
};

}  // namespace millrace
