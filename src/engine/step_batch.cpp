// Packing of a plan.
#include "engine/step_batch.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace millrace {

StepBatch::StepBatch(const Decoder& decoder, const SchedulerOptions& options,
                     std::size_t num_blocks)
    : decoder_(&decoder) {
  order_.reserve(options.num_sequences_max);
  token_ids_.reserve(options.step_tokens_max);
  positions_.reserve(options.step_tokens_max);
  chunk_begin_.reserve(options.num_sequences_max + 1);
  context_tokens_.reserve(options.num_sequences_max);
  // At its worst one sequence holds nearly every block and the others' rows are as wide; only what
  // is written becomes resident.
  block_table_.reserve(options.num_sequences_max * num_blocks);
  logit_rows_.reserve(options.num_sequences_max);
  sampled_.reserve(options.num_sequences_max);
  drawn_.reserve(options.num_sequences_max);
  adapters_.reserve(options.num_sequences_max);
  state_rows_.reserve(options.step_tokens_max);
  pooled_.reserve(options.num_sequences_max);
  scored_.reserve(options.num_sequences_max);
}

void StepBatch::pack(const StepPlan& plan) {
  plan_ = &plan;
  token_ids_.clear();
  positions_.clear();
  chunk_begin_.assign(1, 0);
  context_tokens_.clear();
  logit_rows_.clear();
  sampled_.clear();
  drawn_.clear();
  adapters_.clear();
  state_rows_.clear();
  pooled_.clear();
  scored_.clear();
  order_chunks();
  block_table_stride_ = 0;
  for (const PlannedChunk& chunk : plan.chunks) {
    block_table_stride_ = std::max(block_table_stride_, chunk.sequence->blocks.blocks().size());
  }
  block_table_.assign(plan.chunks.size() * block_table_stride_, 0);
  for (const std::size_t chunk : order_) pack_chunk(plan.chunks[chunk], chunk);
  CHECK(token_ids_.size() == plan.num_tokens);
  CHECK(logit_rows_.size() + pooled_.size() >= plan.num_samples);
}

// Chunks of one adapter side by side, so that its matrices are read once; where nobody has one, as
// the plan says. A token's result does not depend on the order.
void StepBatch::order_chunks() {
  order_.resize(plan_->chunks.size());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  const auto key = [this](std::size_t chunk) {
    return std::pair(plan_->chunks[chunk].sequence->request.salt.adapter, chunk);
  };
  std::sort(order_.begin(), order_.end(),
            [&key](std::size_t a, std::size_t b) { return key(a) < key(b); });
}

void StepBatch::pack_chunk(const PlannedChunk& chunk, std::size_t index) {
  const Sequence& sequence = *chunk.sequence;
  pack_tokens(chunk);
  chunk_begin_.push_back(static_cast<std::uint32_t>(token_ids_.size()));
  context_tokens_.push_back(static_cast<std::uint32_t>(chunk.num_computed));
  std::uint32_t* row = block_table_.data() + (context_tokens_.size() - 1) * block_table_stride_;
  for (const BlockId block : sequence.blocks.blocks()) *row++ = block.index;
  pack_adapter(sequence.request.adapter.get());
  if (sequence.pooled != nullptr) {
    pack_pooled(chunk, index);
    return;
  }
  if (chunk.num_scored() > 0) pack_scored(chunk);
  if (chunk.drawn_by) {
    drawn_.push_back(
        {.row = token_ids_.size() - 1, .chunk = *chunk.drawn_by, .sampled = std::nullopt});
    if (chunk.samples) drawn_.back().sampled = sampled_.size();
  }
  if (chunk.samples) pack_sampled(chunk, index);
}

void StepBatch::pack_tokens(const PlannedChunk& chunk) {
  const std::vector<TokenId>& tokens = chunk.sequence->tokens;
  const std::size_t end = chunk.num_computed + chunk.num_tokens;
  const std::size_t known_end = end - (chunk.drawn_by ? 1 : 0);
  CHECK(known_end <= tokens.size());
  CHECK(end <= std::numeric_limits<std::uint32_t>::max());
  for (std::size_t position = chunk.num_computed; position < end; ++position) {
    token_ids_.push_back(position < known_end ? tokens[position] : 0);
    positions_.push_back(static_cast<std::uint32_t>(position));
  }
}

// The chunk packed last belongs to it; null for none.
void StepBatch::pack_adapter(const LoraAdapter* adapter) {
  if (adapter == nullptr) return;
  const std::size_t end = chunk_begin_.back();
  const std::span<const LoraPair> pairs = adapter->pairs();
  CHECK(pairs.size() == decoder_->spec().layers.size() * kNumLoraSlots);
  CHECK(adapter->rank_max() <= decoder_->limits().adapter_rank_max);
  if (!adapters_.empty() && adapters_.back().pairs.data() == pairs.data()) {
    adapters_.back().row_end = end;
    return;
  }
  adapters_.push_back(
      {.pairs = pairs, .row_begin = chunk_begin_[chunk_begin_.size() - 2], .row_end = end});
}

// The chunk packed last: a mean wants the states of all of its rows, else the last one's will do.
void StepBatch::pack_pooled(const PlannedChunk& chunk, std::size_t index) {
  const auto end = static_cast<std::uint32_t>(token_ids_.size());
  const auto begin = static_cast<std::uint32_t>(end - chunk.num_tokens);
  const bool is_mean = chunk.sequence->request.pooling == Pooling::kMean;
  const std::uint32_t first = is_mean ? begin : chunk.samples ? end - 1 : end;
  pooled_.push_back({.chunk = index, .first_state = state_rows_.size(), .num_states = end - first});
  for (std::uint32_t row = first; row < end; ++row) state_rows_.push_back(row);
}

// The chunk packed last. Its last token's row, when that ends the prompt, scores nothing.
void StepBatch::pack_scored(const PlannedChunk& chunk) {
  const Sequence& sequence = *chunk.sequence;
  const std::size_t num_states = chunk.num_scored();
  scored_.push_back({.scores = sequence.scores.get(),
                     .prompt = sequence.request.prompt,
                     .first = chunk.num_computed,
                     .first_state = state_rows_.size(),
                     .num_states = num_states});
  const auto begin = static_cast<std::uint32_t>(token_ids_.size() - chunk.num_tokens);
  for (std::uint32_t i = 0; i < num_states; ++i) state_rows_.push_back(begin + i);
}

// The chunk packed last. The engine may append to the tokens while the step runs, but moves none of
// them.
void StepBatch::pack_sampled(const PlannedChunk& chunk, std::size_t index) {
  const Sequence& sequence = *chunk.sequence;
  const std::size_t end = chunk.num_computed + chunk.num_tokens;
  logit_rows_.push_back(static_cast<std::uint32_t>(token_ids_.size() - 1));
  sampled_.push_back({.chunk = index,
                      .request = &sequence.request,
                      .tokens = std::span(sequence.tokens).first(end - (chunk.drawn_by ? 1 : 0)),
                      .constraint = sequence.constraint.get()});
}

void StepBatch::fill_drawn(std::span<const TokenId> drawn) {
  for (const DrawnToken& token : drawn_) {
    CHECK(token.chunk < drawn.size());
    token_ids_[token.row] = drawn[token.chunk];
    if (token.sampled) sampled_[*token.sampled].tokens.set_last(drawn[token.chunk]);
  }
}

ForwardBatch StepBatch::view() const {
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

}  // namespace millrace
