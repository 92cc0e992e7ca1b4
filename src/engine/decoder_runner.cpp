// Packing of a plan into flat arrays, one step of the team, and sampling.
#include "engine/decoder_runner.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "base/check.h"

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
}

std::uint64_t DecoderRunner::scratch_bytes(std::size_t vocabulary, std::size_t num_threads,
                                           const SchedulerOptions& options) {
  constexpr std::uint64_t kBytesPerToken = 2 * sizeof(std::uint32_t);  // id and position
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
  });
  return Ok{};
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
  block_table_stride_ = 0;
  for (const PlannedChunk& chunk : plan.chunks) {
    block_table_stride_ = std::max(block_table_stride_, chunk.sequence->blocks.blocks().size());
  }
  block_table_.assign(plan.chunks.size() * block_table_stride_, 0);
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) pack_chunk(plan.chunks[i], i);
  CHECK(token_ids_.size() == plan.num_tokens);
  CHECK(logit_rows_.size() == plan.num_samples);
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
  std::uint32_t* row = block_table_.data() + index * block_table_stride_;
  for (const BlockId block : sequence.blocks.blocks()) *row++ = block.index;
  if (!chunk.samples) return;
  logit_rows_.push_back(static_cast<std::uint32_t>(token_ids_.size() - 1));
  sampled_chunks_.push_back(index);
}

ForwardBatch DecoderRunner::batch() const {
  return {.token_ids = token_ids_,
          .positions = positions_,
          .attention = {.chunk_begin = chunk_begin_,
                        .context_tokens = context_tokens_,
                        .block_table = block_table_,
                        .block_table_stride = block_table_stride_},
          .logit_rows = logit_rows_};
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

}  // namespace millrace
