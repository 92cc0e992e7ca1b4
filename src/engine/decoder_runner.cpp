// Packing of a plan into flat arrays, one step of the team, and sampling.
#include "engine/decoder_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/lora_adapter.h"

namespace millrace {
namespace {

Status check_enough(const char* what, std::size_t planned, std::size_t needed) {
  if (planned >= needed) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string("the decoder is planned for ") +
                                                std::to_string(planned) + " " + what +
                                                ", the scheduler wants " + std::to_string(needed)};
}

}  // namespace

Result<std::unique_ptr<DecoderRunner>> DecoderRunner::create(Decoder& decoder,
                                                             KernelContext& context,
                                                             const KvCache& cache,
                                                             const SchedulerOptions& options) {
  TRY(check_options(options));
  TRY(check_enough("tokens in a step", decoder.limits().tokens_max, options.step_tokens_max));
  TRY(check_enough("rows of logits", decoder.limits().logit_rows_max, options.num_sequences_max));
  if (cache.spec().block_tokens != options.block_tokens) {
    return Error{ErrorCode::kInvalidArgument,
                 "the cache has blocks of " + std::to_string(cache.spec().block_tokens) +
                     " tokens, the scheduler expects " + std::to_string(options.block_tokens)};
  }
  if (cache.spec().layers.size() != decoder.spec().layers.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "the cache has " + std::to_string(cache.spec().layers.size()) +
                     " layers, the decoder " + std::to_string(decoder.spec().layers.size())};
  }
  return std::unique_ptr<DecoderRunner>(new DecoderRunner(decoder, context, cache, options));
}

DecoderRunner::DecoderRunner(Decoder& decoder, KernelContext& context, const KvCache& cache,
                             const SchedulerOptions& options)
    : decoder_(decoder), context_(context), cache_(cache.view()) {
  samplers_.reserve(context.num_threads());
  for (std::size_t i = 0; i < context.num_threads(); ++i) {
    samplers_.emplace_back(decoder.spec().vocabulary);
  }
  token_ids_.reserve(options.step_tokens_max);
  positions_.reserve(options.step_tokens_max);
  chunk_begin_.reserve(options.num_sequences_max + 1);
  context_tokens_.reserve(options.num_sequences_max);
  // At its worst one sequence holds nearly every block and the others' rows are as wide; only what
  // is written becomes resident.
  block_table_.reserve(options.num_sequences_max * cache.num_blocks());
  logit_rows_.reserve(options.num_sequences_max);
  sampled_chunks_.reserve(options.num_sequences_max);
  order_.reserve(options.num_sequences_max);
  adapters_.reserve(options.num_sequences_max);
  state_rows_.reserve(options.step_tokens_max);
  pooled_chunks_.reserve(options.num_sequences_max);
}

std::uint64_t DecoderRunner::scratch_bytes(std::size_t vocabulary, std::size_t num_threads,
                                           const SchedulerOptions& options) {
  constexpr std::uint64_t kBytesPerToken = 3 * sizeof(std::uint32_t);  // id, position, state
  constexpr std::uint64_t kBytesPerRow = kTopLogprobsMax * sizeof(TokenLogprob);
  return num_threads * Sampler::scratch_bytes(vocabulary) +
         options.step_tokens_max * kBytesPerToken + options.num_sequences_max * kBytesPerRow;
}

Status DecoderRunner::run(const StepPlan& plan, StepResult& result) {
  CHECK(result.samples.size() == plan.chunks.size());
  for (const BlockCopy& copy : plan.copies) copy_block(copy);
  pack(plan);
  const ForwardBatch forward_batch = batch();
  run_step(context_, [&](KernelContext& context) {
    const ForwardOutput output = decoder_.forward(context, forward_batch, cache_);
    if (!sampled_chunks_.empty()) sample_rows(plan, output.logits, context, result);
    if (!pooled_chunks_.empty()) pool_rows(plan, output.states, context);
  });
  end_pooled(plan, result);
  return Ok{};
}

// Chunks of one adapter side by side, so that its matrices are read once; where nobody has one, as
// the plan says. A token's result does not depend on the order.
void DecoderRunner::order_chunks(const StepPlan& plan) {
  order_.resize(plan.chunks.size());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  const auto key = [&plan](std::size_t chunk) {
    return std::pair(plan.chunks[chunk].sequence->request.salt.adapter, chunk);
  };
  std::sort(order_.begin(), order_.end(),
            [&key](std::size_t a, std::size_t b) { return key(a) < key(b); });
}

void DecoderRunner::copy_block(const BlockCopy& copy) {
  for (const KvLayerView& layer : cache_.layers) {
    CHECK(copy.from.index < layer.num_blocks);
    CHECK(copy.to.index < layer.num_blocks);
    std::memcpy(layer.head(copy.to.index, 0), layer.head(copy.from.index, 0), layer.block_bytes());
  }
}

void DecoderRunner::pack(const StepPlan& plan) {
  token_ids_.clear();
  positions_.clear();
  chunk_begin_.assign(1, 0);
  context_tokens_.clear();
  logit_rows_.clear();
  sampled_chunks_.clear();
  adapters_.clear();
  state_rows_.clear();
  pooled_chunks_.clear();
  order_chunks(plan);
  block_table_stride_ = 0;
  for (const PlannedChunk& chunk : plan.chunks) {
    block_table_stride_ = std::max(block_table_stride_, chunk.sequence->blocks.blocks().size());
  }
  block_table_.assign(plan.chunks.size() * block_table_stride_, 0);
  for (const std::size_t chunk : order_) pack_chunk(plan.chunks[chunk], chunk);
  CHECK(token_ids_.size() == plan.num_tokens);
  CHECK(logit_rows_.size() + pooled_chunks_.size() >= plan.num_samples);
}

void DecoderRunner::pack_chunk(const PlannedChunk& chunk, std::size_t index) {
  const Sequence& sequence = *chunk.sequence;
  const std::size_t end = chunk.num_computed + chunk.num_tokens;
  CHECK(end <= sequence.num_tokens());
  CHECK(end <= std::numeric_limits<std::uint32_t>::max());
  for (std::size_t position = chunk.num_computed; position < end; ++position) {
    token_ids_.push_back(sequence.tokens[position]);
    positions_.push_back(static_cast<std::uint32_t>(position));
  }
  chunk_begin_.push_back(static_cast<std::uint32_t>(token_ids_.size()));
  context_tokens_.push_back(static_cast<std::uint32_t>(chunk.num_computed));
  std::uint32_t* row = block_table_.data() + (context_tokens_.size() - 1) * block_table_stride_;
  for (const BlockId block : sequence.blocks.blocks()) *row++ = block.index;
  pack_adapter(sequence.request.adapter.get());
  if (sequence.pooled != nullptr) {
    pack_pooled(chunk, index);
    return;
  }
  if (!chunk.samples) return;
  logit_rows_.push_back(static_cast<std::uint32_t>(token_ids_.size() - 1));
  sampled_chunks_.push_back(index);
}

// The chunk packed last belongs to it; null for none.
void DecoderRunner::pack_adapter(const LoraAdapter* adapter) {
  if (adapter == nullptr) return;
  const std::size_t end = chunk_begin_.back();
  const std::span<const LoraPair> pairs = adapter->pairs();
  CHECK(pairs.size() == decoder_.spec().layers.size() * kNumLoraSlots);
  CHECK(adapter->rank_max() <= decoder_.limits().adapter_rank_max);
  if (!adapters_.empty() && adapters_.back().pairs.data() == pairs.data()) {
    adapters_.back().row_end = end;
    return;
  }
  adapters_.push_back(
      {.pairs = pairs, .row_begin = chunk_begin_[chunk_begin_.size() - 2], .row_end = end});
}

// The chunk packed last: a mean wants the states of all of its rows, else the last one's will do.
void DecoderRunner::pack_pooled(const PlannedChunk& chunk, std::size_t index) {
  const auto end = static_cast<std::uint32_t>(token_ids_.size());
  const auto begin = static_cast<std::uint32_t>(end - chunk.num_tokens);
  const bool is_mean = chunk.sequence->request.pooling == Pooling::kMean;
  const std::uint32_t first = is_mean ? begin : chunk.samples ? end - 1 : end;
  pooled_chunks_.push_back(
      {.chunk = index, .first_state = state_rows_.size(), .num_states = end - first});
  for (std::uint32_t row = first; row < end; ++row) state_rows_.push_back(row);
}

ForwardBatch DecoderRunner::batch() const {
  return {.token_ids = token_ids_,
          .positions = positions_,
          .attention = {.chunk_begin = chunk_begin_,
                        .context_tokens = context_tokens_,
                        .block_table = block_table_,
                        .block_table_stride = block_table_stride_},
          .logit_rows = logit_rows_,
          .state_rows = state_rows_,
          .adapters = adapters_};
}

// Ranks write to samples of their own; the step's end makes them visible to the engine.
void DecoderRunner::sample_rows(const StepPlan& plan, ConstTensorView logits,
                                const KernelContext& context, StepResult& result) {
  const WorkRange range = context.share(sampled_chunks_.size(), 1);
  for (std::size_t row = range.begin; row < range.end; ++row) {
    const std::size_t chunk = sampled_chunks_[row];
    const Sequence& sequence = *plan.chunks[chunk].sequence;
    const std::span<const float> values(logits.row<float>(row), logits.row_elements());
    result.samples[chunk] =
        samplers_[context.rank()].sample(values, sequence.request, sequence.tokens,
                                         result.top_space(chunk), sequence.constraint.get());
  }
}

// This rank's columns of every pooled chunk, position after position, so that chunks change no bit.
void DecoderRunner::pool_rows(const StepPlan& plan, ConstTensorView states,
                              const KernelContext& context) {
  constexpr std::size_t kGrain = 16;  // A cache line of floats.
  const WorkRange columns = context.share(states.row_elements(), kGrain);
  for (const PooledChunk& pooled : pooled_chunks_) {
    const PlannedChunk& chunk = plan.chunks[pooled.chunk];
    PooledState& state = *chunk.sequence->pooled;
    const bool is_mean = chunk.sequence->request.pooling == Pooling::kMean;
    // A sequence that was preempted begins again.
    if (is_mean && chunk.num_computed == 0) {
      std::fill(state.sum.begin() + static_cast<std::ptrdiff_t>(columns.begin),
                state.sum.begin() + static_cast<std::ptrdiff_t>(columns.end), 0.0);
    }
    for (std::size_t i = 0; i < pooled.num_states; ++i) {
      const float* row = states.row<float>(pooled.first_state + i);
      if (is_mean) {
        for (std::size_t e = columns.begin; e < columns.end; ++e) state.sum[e] += double{row[e]};
      } else {
        std::copy(row + columns.begin, row + columns.end, state.vector.data() + columns.begin);
      }
    }
    if (!is_mean || !chunk.samples) continue;
    const auto count = static_cast<double>(chunk.num_computed + chunk.num_tokens);
    for (std::size_t e = columns.begin; e < columns.end; ++e) {
      state.vector[e] = static_cast<float>(state.sum[e] / count);
    }
  }
}

// After the step: what was counted, and whether the vectors are numbers.
void DecoderRunner::end_pooled(const StepPlan& plan, StepResult& result) {
  for (const PooledChunk& pooled : pooled_chunks_) {
    const PlannedChunk& chunk = plan.chunks[pooled.chunk];
    PooledState& state = *chunk.sequence->pooled;
    CHECK(state.vector.size() == decoder_.spec().hidden);
    if (chunk.sequence->request.pooling == Pooling::kMean) {
      // Nothing of it came from the cache.
      CHECK(chunk.num_computed == 0 || state.num_positions == chunk.num_computed);
      state.num_positions = chunk.num_computed + chunk.num_tokens;
    }
    if (!chunk.samples) continue;
    const bool is_finite = std::all_of(state.vector.begin(), state.vector.end(),
                                       [](float value) { return std::isfinite(value); });
    result.samples[pooled.chunk].outcome =
        is_finite ? SampleOutcome::kPooled : SampleOutcome::kBadLogits;
  }
}

}  // namespace millrace
