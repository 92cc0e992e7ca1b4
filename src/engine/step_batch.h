// The flat arrays of one step as the decoder takes them: a copy of what the plan names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "engine/scheduler_options.h"
#include "engine/step.h"
#include "model/decoder.h"
#include "model/forward_batch.h"
#include "model/lora_adapter.h"

namespace millrace {

// A chunk whose row of logits gives a token. Everything here stays as it is while the step runs,
// whatever the engine does meanwhile.
struct SampledRow {
  std::size_t chunk = 0;  // of the plan
  const Request* request = nullptr;
  TokenHistory tokens;
  const LogitConstraint* constraint = nullptr;
};

// A chunk of a pooled request and the hidden states of it that the decoder gives.
struct PooledChunk {
  std::size_t chunk = 0;  // of the plan
  std::size_t first_state = 0;
  std::size_t num_states = 0;
};

// A chunk of a prompt that is scored: the state at row i says how likely token first + i + 1 was.
struct ScoredChunk {
  PromptScores* scores = nullptr;
  std::span<const TokenId> prompt;
  std::size_t first = 0;  // position of the first state
  std::size_t first_state = 0;
  std::size_t num_states = 0;
};

// Packed by the engine thread before the step; then the step's own until it has ended. So the
// engine may plan on, which moves blocks and tokens of the sequences that the plan names. Allocates
// nothing after construction.
class StepBatch {
 public:
  // The decoder outlives the batch.
  StepBatch(const Decoder& decoder, const SchedulerOptions& options, std::size_t num_blocks);

  // The plan stays as it is until the step has ended.
  void pack(const StepPlan& plan);
  // By the step, once the one before it has ended: what that drew, by chunk of its plan.
  void fill_drawn(std::span<const TokenId> drawn);

  const StepPlan& plan() const { return *plan_; }
  ForwardBatch view() const;
  std::span<const SampledRow> sampled() const { return sampled_; }
  std::span<const PooledChunk> pooled() const { return pooled_; }
  std::span<const ScoredChunk> scored() const { return scored_; }

 private:
  struct DrawnToken {
    std::size_t row = 0;    // of T
    std::size_t chunk = 0;  // of the step before
    std::optional<std::size_t> sampled;
  };

  void order_chunks();
  void pack_chunk(const PlannedChunk& chunk, std::size_t index);
  void pack_tokens(const PlannedChunk& chunk);
  void pack_adapter(const LoraAdapter* adapter);
  void pack_pooled(const PlannedChunk& chunk, std::size_t index);
  void pack_scored(const PlannedChunk& chunk);
  void pack_sampled(const PlannedChunk& chunk, std::size_t index);

  const Decoder* decoder_;
  const StepPlan* plan_ = nullptr;
  std::vector<std::size_t> order_;          // [B] chunks of the plan, those of an adapter together
  std::vector<std::uint32_t> token_ids_;    // [T]
  std::vector<std::uint32_t> positions_;    // [T]
  std::vector<std::uint32_t> chunk_begin_;  // [B + 1]
  std::vector<std::uint32_t> context_tokens_;  // [B]
  std::vector<std::uint32_t> block_table_;     // [B, stride]
  std::size_t block_table_stride_ = 0;
  std::vector<std::uint32_t> logit_rows_;  // [samples] rows of T
  std::vector<SampledRow> sampled_;        // [samples]
  std::vector<DrawnToken> drawn_;          // whose token the step before draws
  std::vector<LoraSegment> adapters_;      // rows of T by adapter
  std::vector<std::uint32_t> state_rows_;  // rows of T that pooled and scored chunks want
  std::vector<PooledChunk> pooled_;
  std::vector<ScoredChunk> scored_;
};

}  // namespace millrace
