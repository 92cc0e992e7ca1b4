// The policy of one step, and the bookkeeping of what came of it.
#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

Status check_count(const char* name, std::size_t found, std::size_t min, std::size_t max) {
  if (found >= min && found <= max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string(name) + " is " + std::to_string(found) +
                                                ", expected " + std::to_string(min) + " to " +
                                                std::to_string(max)};
}

}  // namespace

Status check_options(const SchedulerOptions& options) {
  constexpr std::size_t kCountMax = 1 << 20;
  TRY(check_count("num_requests_max", options.num_requests_max, 1, kCountMax));
  TRY(check_count("num_sequences_max", options.num_sequences_max, 1, kCountMax));
  TRY(check_count("step_tokens_max", options.step_tokens_max, options.num_sequences_max,
                  kCountMax));
  TRY(check_count("chunk_tokens_max", options.chunk_tokens_max, 1, kCountMax));
  TRY(check_count("block_tokens", options.block_tokens, 1, kCountMax));
  return Ok{};
}

std::size_t steps_bound(const SchedulerOptions& options, const Request& request) {
  const std::size_t chunk_tokens =
      std::min(options.chunk_tokens_max, options.step_tokens_max - options.num_sequences_max + 1);
  const std::size_t num_tokens = request.prompt.size() + *request.max_tokens;
  return static_cast<std::size_t>(ceil_div(num_tokens, chunk_tokens)) + *request.max_tokens;
}

Scheduler::Scheduler(const SchedulerOptions& options, BlockPool& pool)
    : options_(options), pool_(pool), by_id_(options.num_requests_max, nullptr) {
  CHECK(check_options(options).ok());
  CHECK(options.num_requests_max <= std::numeric_limits<std::uint32_t>::max());
  live_.reserve(options.num_requests_max);
  free_ids_.reserve(options.num_requests_max);
  for (std::size_t i = options.num_requests_max; i > 0; --i) {
    free_ids_.push_back(SequenceId{static_cast<std::uint32_t>(i - 1)});
  }
  plan_.chunks.reserve(options.num_sequences_max);
  plan_.preempted.reserve(options.num_sequences_max);
  events_.tokens.reserve(options.num_sequences_max);
  events_.finished.reserve(options.num_requests_max);
}

Scheduler::~Scheduler() {
  for (const std::unique_ptr<Sequence>& sequence : live_) sequence->blocks.release_all(pool_);
}

SequenceId Scheduler::submit(std::unique_ptr<Sequence> sequence) {
  CHECK(sequence != nullptr);
  CHECK(!free_ids_.empty());
  CHECK(sequence->num_computed == 0);
  CHECK(blocks_for_tokens(cache_tokens_max(sequence->request), options_.block_tokens) <=
        pool_.num_blocks());
  const SequenceId id = free_ids_.back();
  free_ids_.pop_back();
  CHECK(by_id_[id.index] == nullptr);
  by_id_[id.index] = sequence.get();
  sequence->id = id;
  sequence->arrival = num_arrivals_++;
  if (const auto deadline = sequence->request.deadline) {
    earliest_deadline_ = std::min(earliest_deadline_.value_or(*deadline), *deadline);
  }
  live_.push_back(std::move(sequence));
  return id;
}

void Scheduler::end(Sequence& sequence, Finish finish) {
  if (sequence.finish) return;
  finish.num_prompt = sequence.num_prompt();
  finish.num_generated = sequence.num_generated() + (finish.stop_token ? 1 : 0);
  finish.num_preemptions = sequence.num_preemptions;
  sequence.finish = std::move(finish);
  ++num_finishing_;
}

void Scheduler::cancel(SequenceId id, Finish finish) {
  CHECK(id.index < by_id_.size());
  CHECK(by_id_[id.index] != nullptr);
  end(*by_id_[id.index], std::move(finish));
}

void Scheduler::expire(TimePoint now) {
  if (!earliest_deadline_ || now < *earliest_deadline_) return;
  earliest_deadline_.reset();
  for (const std::unique_ptr<Sequence>& sequence : live_) {
    const std::optional<TimePoint> deadline = sequence->request.deadline;
    if (!deadline) continue;
    if (now >= *deadline) {
      end(*sequence, {.reason = FinishReason::kDeadline});
    } else {
      earliest_deadline_ = std::min(earliest_deadline_.value_or(*deadline), *deadline);
    }
  }
}

void Scheduler::collect_finished() {
  if (num_finishing_ == 0) return;
  std::size_t num_kept = 0;
  std::size_t num_running = 0;
  for (std::size_t i = 0; i < live_.size(); ++i) {
    if (!live_[i]->finish) {
      if (i < num_running_) ++num_running;
      if (num_kept != i) live_[num_kept] = std::move(live_[i]);
      ++num_kept;
      continue;
    }
    live_[i]->blocks.release_all(pool_);
    by_id_[live_[i]->id.index] = nullptr;
    events_.finished.push_back(std::move(live_[i]));
    CHECK(num_finishing_ > 0);
    --num_finishing_;
  }
  CHECK(num_finishing_ == 0);
  live_.resize(num_kept);
  num_running_ = num_running;
}

const StepPlan& Scheduler::plan(TimePoint now) {
  CHECK(!plan_is_open_);
  expire(now);
  collect_finished();
  plan_.clear();
  plan_decodes();
  plan_prompts();
  admit();
  CHECK(plan_.num_tokens <= options_.step_tokens_max);
  CHECK(plan_.chunks.empty() == live_.empty());  // Whoever is oldest always moves on.
  plan_is_open_ = !plan_.chunks.empty();
  return plan_;
}

void Scheduler::plan_decodes() {
  for (std::size_t i = 0; i < num_running_; ++i) {
    Sequence& sequence = *live_[i];
    if (sequence.num_remaining() != 1) continue;
    while (i < num_running_ && !try_grow(sequence)) preempt_youngest();
    if (i < num_running_) add_chunk(sequence, 1);
  }
}

void Scheduler::plan_prompts() {
  for (std::size_t i = 0; i < num_running_; ++i) {
    const std::size_t num_left = options_.step_tokens_max - plan_.num_tokens;
    if (num_left == 0) return;
    const std::size_t num_remaining = live_[i]->num_remaining();
    if (num_remaining == 1) continue;
    add_chunk(*live_[i], std::min({num_remaining, num_left, options_.chunk_tokens_max}));
  }
}

void Scheduler::admit() {
  if (!plan_.preempted.empty()) return;  // The pool has just been too small.
  while (num_running_ < live_.size() && num_running_ < options_.num_sequences_max) {
    const std::size_t num_left = options_.step_tokens_max - plan_.num_tokens;
    Sequence& sequence = *live_[num_running_];
    if (num_left == 0 || !can_admit(sequence)) return;
    CHECK(sequence.num_computed == 0);
    CHECK(sequence.blocks.try_extend(
        pool_, blocks_for_tokens(sequence.num_tokens(), options_.block_tokens)));
    ++num_running_;
    add_chunk(sequence, std::min({sequence.num_remaining(), num_left, options_.chunk_tokens_max}));
  }
}

bool Scheduler::can_admit(const Sequence& sequence) const {
  const std::size_t num_needed = blocks_for_tokens(sequence.num_tokens(), options_.block_tokens);
  // Room for everybody, the new one included, to grow by one block before anybody is preempted.
  const std::size_t num_reserved = num_running_ == 0 ? 0 : num_running_ + 1;
  return num_needed + num_reserved <= pool_.num_free();
}

bool Scheduler::try_grow(Sequence& sequence) {
  const std::size_t num_needed = blocks_for_tokens(sequence.num_tokens(), options_.block_tokens);
  return sequence.blocks.try_extend(pool_, std::max(num_needed, sequence.blocks.num_blocks()));
}

void Scheduler::preempt_youngest() {
  CHECK(num_running_ > 1);  // The oldest fits the pool alone.
  Sequence& sequence = *live_[num_running_ - 1];
  sequence.blocks.release_all(pool_);
  sequence.num_computed = 0;
  ++sequence.num_preemptions;
  --num_running_;
  plan_.preempted.push_back(&sequence);
}

void Scheduler::add_chunk(const Sequence& sequence, std::size_t num_tokens) {
  CHECK(num_tokens > 0);
  const PlannedChunk chunk{.sequence = &sequence,
                           .num_computed = sequence.num_computed,
                           .num_tokens = num_tokens,
                           .samples = num_tokens == sequence.num_remaining()};
  CHECK(chunk.num_computed + num_tokens <= sequence.blocks.num_blocks() * options_.block_tokens);
  plan_.chunks.push_back(chunk);
  plan_.num_tokens += num_tokens;
  if (chunk.samples) ++plan_.num_samples;
}

void Scheduler::apply(const StepResult& result) {
  CHECK(plan_is_open_);
  CHECK(result.samples.size() == plan_.chunks.size());
  plan_is_open_ = false;
  for (std::size_t i = 0; i < plan_.chunks.size(); ++i) {
    const PlannedChunk& chunk = plan_.chunks[i];
    Sequence& sequence = *by_id_[chunk.sequence->id.index];
    CHECK(&sequence == chunk.sequence);
    CHECK(sequence.num_computed == chunk.num_computed);
    sequence.num_computed += chunk.num_tokens;
    if (chunk.samples) take_token(sequence, i, result.samples[i]);
  }
  collect_finished();
}

void Scheduler::take_token(Sequence& sequence, std::size_t chunk, const SampledToken& sample) {
  CHECK(sample.outcome != SampleOutcome::kNone);
  const Request& request = sequence.request;
  if (sample.outcome != SampleOutcome::kToken) {
    const char* what = sample.outcome == SampleOutcome::kBadLogits
                           ? "the model gave logits that are not finite after "
                           : "logit_bias and min_tokens leave no token to draw after ";
    const ErrorCode code = sample.outcome == SampleOutcome::kBadLogits
                               ? ErrorCode::kUnavailable
                               : ErrorCode::kInvalidArgument;
    end(sequence, {.reason = FinishReason::kError,
                   .error = Error{code, what + std::to_string(sequence.num_tokens()) + " tokens"}});
    return;
  }
  // The caller may have cancelled it while the step ran: then the token is dropped.
  if (sequence.finish) return;
  const auto& stops = request.stop_ids;
  if (std::find(stops.begin(), stops.end(), sample.token) != stops.end()) {
    end(sequence, {.reason = FinishReason::kStop, .stop_token = sample.token});
    return;
  }
  sequence.tokens.push_back(sample.token);
  events_.tokens.push_back({&sequence, chunk});
  if (sequence.num_generated() == *request.max_tokens) {
    end(sequence, {.reason = FinishReason::kLength});
  }
}

void Scheduler::fail(const Error& error) {
  CHECK(plan_is_open_);
  plan_is_open_ = false;
  for (const PlannedChunk& chunk : plan_.chunks) {
    end(*by_id_[chunk.sequence->id.index], {.reason = FinishReason::kError, .error = error});
  }
  collect_finished();
}

void Scheduler::clear_events() {
  for (const std::unique_ptr<Sequence>& sequence : events_.finished) {
    CHECK(by_id_[sequence->id.index] == nullptr);
    free_ids_.push_back(sequence->id);
  }
  events_.tokens.clear();
  events_.finished.clear();
}

void Scheduler::check_invariants() const {
  pool_.check_invariants();
  CHECK(num_running_ <= live_.size());
  CHECK(num_running_ <= options_.num_sequences_max);
  std::size_t num_held = 0;
  for (std::size_t i = 0; i < live_.size(); ++i) {
    const Sequence& sequence = *live_[i];
    CHECK(by_id_[sequence.id.index] == &sequence);
    CHECK(i == 0 || live_[i - 1]->arrival < sequence.arrival);
    CHECK(sequence.num_computed < sequence.num_tokens());
    CHECK(sequence.num_computed <= sequence.blocks.num_blocks() * options_.block_tokens);
    CHECK(i < num_running_ || sequence.blocks.num_blocks() == 0);
    for (const BlockId block : sequence.blocks.blocks()) CHECK(pool_.num_holders(block) == 1);
    num_held += sequence.blocks.num_blocks();
  }
  CHECK(num_held == pool_.num_used());  // With one holder each: no leak, and no block held twice.
  CHECK(live_.size() + free_ids_.size() + events_.finished.size() == options_.num_requests_max);
}

}  // namespace millrace
