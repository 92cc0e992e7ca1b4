// Runs plans on a real model: packs the batch, runs the decoder on the whole team, samples.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/model_runner.h"
#include "engine/sampler.h"
#include "engine/scheduler_options.h"
#include "engine/step_batch.h"
#include "kernels/context.h"
#include "memory/kv_cache.h"
#include "model/decoder.h"

namespace millrace {

// The only user of Decoder in serving. Engine thread only. Rows are dealt to the ranks for
// sampling. Allocates nothing after creation.
//
// With StepLoop::kOverlapped steps run on a device thread of the runner's own, which becomes rank 0
// of the team in each, while the engine thread plans; with kSerial, and in run(), the engine thread
// itself does.
//
//   engine thread   begin: pack ──► batches_[step % 2]         finish: wait, take the result
//   device thread                   fill in what the step before drew, forward, sample
class DecoderRunner final : public ModelRunner {
 public:
  // Decoder, context (outside a step) and cache outlive the runner and are used by nobody else
  // while it runs. kInvalidArgument when the decoder was planned for smaller steps than the
  // scheduler makes, or when scheduler and cache disagree about blocks.
  static Result<std::unique_ptr<DecoderRunner>> create(Decoder& decoder, KernelContext& context,
                                                       const KvCache& cache,
                                                       const SchedulerOptions& options);
  ~DecoderRunner() override;
  DecoderRunner(const DecoderRunner&) = delete;
  DecoderRunner& operator=(const DecoderRunner&) = delete;

  Status run(const StepPlan& plan, StepResult& result) override;
  void begin(const StepPlan& plan) override;
  Status finish(StepResult& result) override;
  void abandon() override;

  // What the runner holds beside the decoder's workspace: samplers and the batch.
  static std::uint64_t scratch_bytes(std::size_t vocabulary, std::size_t num_threads,
                                     const SchedulerOptions& options);

 private:
  struct Step {
    Step(const Decoder& decoder, const SchedulerOptions& options, std::size_t num_blocks)
        : batch(decoder, options, num_blocks), result(options.num_sequences_max) {}
    StepBatch batch;
    StepResult result;
  };

  DecoderRunner(Decoder& decoder, KernelContext& context, const KvCache& cache,
                const SchedulerOptions& options);

  void run_device();
  void execute(Step& step);
  void copy_block(const BlockCopy& copy);
  void sample_rows(const Step& step, ConstTensorView logits, const KernelContext& context,
                   StepResult& result);
  void pool_rows(const StepBatch& batch, ConstTensorView states, const KernelContext& context);
  void score_rows(const StepBatch& batch, TensorView states, KernelContext& context);
  void end_pooled(const StepBatch& batch, StepResult& result);

  Decoder& decoder_;
  KernelContext& context_;
  const KvView cache_;
  const SystemClock clock_;
  std::vector<Sampler> samplers_;  // by rank

  // Written by the engine thread before num_begun_ rises, by the device thread until num_done_
  // does, and read by the engine thread after that.
  std::array<Step, kBegunMax> steps_;
  std::vector<TokenId> drawn_;  // by the last step, by chunk; of whoever executes
  std::uint32_t num_finished_ = 0;
  alignas(64) std::atomic<std::uint32_t> num_begun_{0};
  alignas(64) std::atomic<std::uint32_t> num_done_{0};
  bool is_stopping_ = false;  // written before num_begun_ rises for the last time
  std::thread device_;
};

}  // namespace millrace
