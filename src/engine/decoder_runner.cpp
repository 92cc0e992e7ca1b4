// One step of the team, sampling, and the thread that runs steps while the engine plans.
#include "engine/decoder_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

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
    : decoder_(decoder),
      context_(context),
      cache_(cache.view()),
      steps_{Step(decoder, options, cache.num_blocks()),
             Step(decoder, options, cache.num_blocks())} {
  samplers_.reserve(context.num_threads());
  for (std::size_t i = 0; i < context.num_threads(); ++i) {
    samplers_.emplace_back(decoder.spec().vocabulary);
  }
  drawn_.reserve(options.num_sequences_max);
  if (options.loop == StepLoop::kOverlapped) device_ = std::thread([this] { run_device(); });
}

DecoderRunner::~DecoderRunner() {
  abandon();
  if (!device_.joinable()) return;
  is_stopping_ = true;
  num_begun_.fetch_add(1, std::memory_order_release);
  num_begun_.notify_one();
  device_.join();
}

std::uint64_t DecoderRunner::scratch_bytes(std::size_t vocabulary, std::size_t num_threads,
                                           const SchedulerOptions& options) {
  constexpr std::uint64_t kBytesPerToken = 3 * sizeof(std::uint32_t);  // id, position, state
  constexpr std::uint64_t kBytesPerRow = kTopLogprobsMax * sizeof(TokenLogprob);
  return num_threads * Sampler::scratch_bytes(vocabulary) +
         kBegunMax *
             (options.step_tokens_max * kBytesPerToken + options.num_sequences_max * kBytesPerRow);
}

Status DecoderRunner::run(const StepPlan& plan, StepResult& result) {
  begin(plan);
  return finish(result);
}

void DecoderRunner::begin(const StepPlan& plan) {
  const std::uint32_t number = num_begun_.load(std::memory_order_relaxed);
  CHECK(number - num_finished_ < kBegunMax);
  Step& step = steps_[number % kBegunMax];
  step.batch.pack(plan);
  step.result.reset(plan.chunks.size());
  num_begun_.store(number + 1, std::memory_order_release);
  if (device_.joinable()) num_begun_.notify_one();
}

Status DecoderRunner::finish(StepResult& result) {
  CHECK(num_begun_.load(std::memory_order_relaxed) != num_finished_);
  Step& step = steps_[num_finished_ % kBegunMax];
  if (device_.joinable()) {
    std::uint32_t num_done = num_done_.load(std::memory_order_acquire);
    while (num_done == num_finished_) {
      num_done_.wait(num_done, std::memory_order_acquire);
      num_done = num_done_.load(std::memory_order_acquire);
    }
  } else {
    execute(step);
    num_done_.store(num_finished_ + 1, std::memory_order_relaxed);
  }
  ++num_finished_;
  std::swap(result, step.result);
  return Ok{};
}

// A step that has been handed to the device runs to its end.
void DecoderRunner::abandon() {
  const std::uint32_t num_begun = num_begun_.load(std::memory_order_relaxed);
  if (device_.joinable()) {
    std::uint32_t num_done = num_done_.load(std::memory_order_acquire);
    while (num_done != num_begun) {
      num_done_.wait(num_done, std::memory_order_acquire);
      num_done = num_done_.load(std::memory_order_acquire);
    }
  }
  num_done_.store(num_begun, std::memory_order_relaxed);
  num_finished_ = num_begun;
}

void DecoderRunner::run_device() {
  for (std::uint32_t number = 0;; ++number) {
    while (num_begun_.load(std::memory_order_acquire) == number) {
      num_begun_.wait(number, std::memory_order_acquire);
    }
    if (is_stopping_ && num_begun_.load(std::memory_order_acquire) == number + 1) return;
    execute(steps_[number % kBegunMax]);
    num_done_.store(number + 1, std::memory_order_release);
    num_done_.notify_one();
  }
}

void DecoderRunner::execute(Step& step) {
  const TimePoint begin = clock_.now();
  const StepPlan& plan = step.batch.plan();
  step.batch.fill_drawn(drawn_);
  for (const BlockCopy& copy : plan.copies) copy_block(copy);
  const ForwardBatch batch = step.batch.view();
  step.result.num_ranks =
      std::min<std::size_t>(plan.threads_max.value_or(UINT32_MAX), context_.num_threads());
  run_step(context_, step.result.num_ranks, [&](KernelContext& context) {
    const ForwardOutput output = decoder_.forward(context, batch, cache_);
    if (!step.batch.sampled().empty()) sample_rows(step, output.logits, context, step.result);
    if (!step.batch.pooled().empty()) pool_rows(step.batch, output.states, context);
    if (!step.batch.scored().empty()) score_rows(step.batch, output.states, context);
  });
  end_pooled(step.batch, step.result);
  drawn_.clear();
  for (const SampledToken& sample : step.result.samples) drawn_.push_back(sample.token);
  step.result.elapsed = clock_.now() - begin;
}

void DecoderRunner::copy_block(const BlockCopy& copy) {
  for (const KvLayerView& layer : cache_.layers) {
    CHECK(copy.from.index < layer.num_blocks);
    CHECK(copy.to.index < layer.num_blocks);
    std::memcpy(layer.head(copy.to.index, 0), layer.head(copy.from.index, 0), layer.block_bytes());
  }
}

// Ranks write to samples of their own; the step's end makes them visible to the engine.
void DecoderRunner::sample_rows(const Step& step, ConstTensorView logits,
                                const KernelContext& context, StepResult& result) {
  const std::span<const SampledRow> rows = step.batch.sampled();
  const WorkRange range = context.share(rows.size(), 1);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const SampledRow& row = rows[i];
    const std::span<const float> values(logits.row<float>(i), logits.row_elements());
    result.samples[row.chunk] = samplers_[context.rank()].sample(
        values, *row.request, row.tokens, result.top_space(row.chunk), row.constraint);
  }
}

// This rank's columns of every pooled chunk, position after position, so that chunks change no bit.
void DecoderRunner::pool_rows(const StepBatch& batch, ConstTensorView states,
                              const KernelContext& context) {
  constexpr std::size_t kGrain = 16;  // A cache line of floats.
  const WorkRange columns = context.share(states.row_elements(), kGrain);
  for (const PooledChunk& pooled : batch.pooled()) {
    const PlannedChunk& chunk = batch.plan().chunks[pooled.chunk];
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

// As many rows of logits at a time as the step has room for, over those that were sampled from.
void DecoderRunner::score_rows(const StepBatch& batch, TensorView states, KernelContext& context) {
  const std::size_t rows_max = decoder_.limits().logit_rows_max;
  for (const ScoredChunk& chunk : batch.scored()) {
    for (std::size_t begin = 0; begin < chunk.num_states; begin += rows_max) {
      const std::size_t num_rows = std::min(rows_max, chunk.num_states - begin);
      context.barrier();  // Whoever read the rows before has done so.
      const ConstTensorView logits =
          decoder_.logits_of_states(context, states, chunk.first_state + begin, num_rows);
      const WorkRange range = context.share(num_rows, 1);
      for (std::size_t i = range.begin; i < range.end; ++i) {
        const std::size_t at = chunk.first + begin + i;
        PromptScores& scores = *chunk.scores;
        const TokenScore score = score_token(
            std::span(logits.row<float>(i), logits.row_elements()), chunk.prompt[at + 1],
            std::span(scores.top).subspan(at * scores.num_top, scores.num_top));
        scores.logprobs[at] = score.logprob;
        scores.ranks[at] = score.rank;
      }
    }
  }
}

// After the step: what was counted, and whether the vectors are numbers.
void DecoderRunner::end_pooled(const StepBatch& batch, StepResult& result) {
  for (const PooledChunk& pooled : batch.pooled()) {
    const PlannedChunk& chunk = batch.plan().chunks[pooled.chunk];
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
