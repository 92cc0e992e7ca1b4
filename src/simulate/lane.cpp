// Turns plans into time and time into outcomes.
#include "simulate/lane.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

// A token that no trace's prompt has in common with another request.
TokenId drawn_token(std::uint64_t number) {
  return (TokenId{1} << 31) | static_cast<TokenId>(number);
}

// What the chunk is charged: prompt tokens, and what it generates.
std::uint64_t work_of(const PlannedChunk& chunk) {
  const bool is_decode =
      chunk.samples && chunk.num_tokens == 1 && chunk.sequence->num_generated() > 0;
  const std::uint64_t prompt = is_decode ? 0 : chunk.num_tokens * kPromptTokenWork;
  return prompt + (chunk.samples ? kOutputTokenWork : 0);
}

}  // namespace

Lane::Lane(const LaneOptions& options, const StepCost& cost, SimulationResult& result,
           UnstartedCounts& unstarted)
    : options_(options),
      cost_(cost),
      result_(result),
      unstarted_(unstarted),
      pool_(options.num_blocks),
      admission_(options.scheduler.classes),
      scheduler_(options.scheduler, pool_),
      queues_(options.scheduler.classes.size()),
      step_result_(options.scheduler.num_sequences_max) {}

RequestFate Lane::refusal(const TraceRequest& request, std::size_t number) {
  const std::size_t num_tokens =
      std::size_t{request.num_prompt} + std::size_t{request.num_output} - 1;
  const ClassId id = class_of(request.class_index);
  const std::uint32_t num_blocks_max =
      options_.scheduler.classes[id.index].blocks_max.value_or(options_.num_blocks);
  if (blocks_for_tokens(num_tokens, options_.scheduler.block_tokens) >
      std::min(num_blocks_max, options_.num_blocks)) {
    return RequestFate::kTooLarge;
  }
  const Duration wait = admission_.wait(id);
  result_.outcomes[number].foretold = wait;
  const std::optional<Duration> time_left = options_.deadlines[request.class_index];
  if (scheduler_.num_live() < options_.scheduler.num_requests_max &&
      admission_.try_enter(id, request.num_prompt, time_left).ok()) {
    return RequestFate::kUnfinished;
  }
  note_refusal(request, number);
  const std::optional<Duration> wait_max = options_.scheduler.classes[id.index].queue_wait_max;
  const bool is_long = (wait_max && wait > *wait_max) || (time_left && wait > *time_left);
  return is_long ? RequestFate::kWaitTooLong : RequestFate::kQueueFull;
}

void Lane::note_refusal(const TraceRequest& request, std::size_t number) {
  const ClassId id = class_of(request.class_index);
  ClassQueue& queue = queues_[id.index];
  queue.refusals.push(
      {queue.num_tokens_left + admission_.num_tokens(id) / 2, result_.refusals.size()});
  result_.refusals.push_back(
      {.number = number, .retry_after = admission_.retry_after(id), .half_started = {}});
}

// It started, or ended before that.
void Lane::leave_queue(RequestOutcome& outcome, Duration now) {
  const ClassId id = class_of(outcome.class_index);
  num_uncomputed_ -= outcome.num_prompt;
  --unstarted_[outcome.class_index];
  admission_.leave(id, outcome.num_prompt);
  ClassQueue& queue = queues_[id.index];
  queue.num_tokens_left += outcome.num_prompt;
  while (!queue.refusals.empty() && queue.refusals.top().until_tokens <= queue.num_tokens_left) {
    Refusal& refusal = result_.refusals[queue.refusals.top().index];
    refusal.half_started = now - result_.outcomes[refusal.number].arrival;
    queue.refusals.pop();
  }
}

RequestFate Lane::submit(const Trace& trace, const TraceRequest& request, std::size_t number) {
  const RequestFate fate = refusal(request, number);
  if (fate != RequestFate::kUnfinished) return fate;
  Request asked;
  asked.id = RequestId{number};
  fill_prompt(trace, request, number, asked.prompt);
  asked.max_tokens = request.num_output;
  asked.service_class = class_of(request.class_index);
  if (const auto deadline = options_.deadlines[request.class_index]) {
    asked.deadline = TimePoint(request.arrival + *deadline);
  }
  num_uncomputed_ += request.num_prompt;
  ++unstarted_[request.class_index];
  scheduler_.submit(std::make_unique<Sequence>(std::move(asked), options_.scheduler.block_tokens,
                                               TimePoint(request.arrival)));
  return fate;
}

void Lane::begin_step(Duration now, std::size_t num_classes) {
  CHECK(!is_busy_);
  if (scheduler_.num_live() == 0) return;
  const StepPlan& plan = scheduler_.plan(TimePoint(now));
  if (plan.chunks.empty()) {
    record_finished(now);
    return;
  }
  if (options_.observer != nullptr) options_.observer->on_plan(scheduler_);
  const double device_seconds = cost_.seconds(plan.shape) / options_.speed;
  const double step_seconds = device_seconds + cost_.host.seconds(plan.shape);
  device_time_ = Duration(std::max<std::int64_t>(1, std::llround(device_seconds * 1e9)));
  // A nanosecond at least, so that time moves on whatever the cost model says.
  busy_until_ = now + Duration(std::max<std::int64_t>(1, std::llround(step_seconds * 1e9)));
  is_busy_ = true;
  StepWork step;
  count_chunks(plan, now, num_classes, step);
  count_step(plan, now, step);
}

void Lane::count_chunks(const StepPlan& plan, Duration now, std::size_t num_classes,
                        StepWork& step) {
  step.is_backlogged = num_classes > 1;
  for (std::size_t i = 0; i < num_classes; ++i) {
    step.is_backlogged = step.is_backlogged && unstarted_[i] > 0;
  }
  for (const PlannedChunk& chunk : plan.chunks) {
    RequestOutcome& outcome = result_.outcomes[chunk.sequence->request.id.value];
    step.by_class[outcome.class_index] += work_of(chunk);
    if (outcome.has_started) continue;
    outcome.has_started = true;
    outcome.started = now;
    outcome.num_cached = static_cast<std::uint32_t>(chunk.num_computed);
    leave_queue(outcome, now);
  }
}

void Lane::count_step(const StepPlan& plan, Duration now, const StepWork& step) {
  RunTotals& totals = result_.totals;
  Timeline::Span& span = result_.timeline.at(now);
  const bool is_arriving = busy_until_ <= totals.last_arrival;
  // A slice of a machine is busy for its part only.
  const double busy = seconds(busy_until_ - now) * options_.speed;
  for (std::size_t i = 0; i < step.by_class.size(); ++i) {
    const auto done = static_cast<double>(step.by_class[i]);
    totals.work[i] += done;
    span.work[i] += done;
    if (is_arriving) totals.work_arriving[i] += done;
    if (step.is_backlogged) totals.work_backlogged[i] += done;
  }
  if (step.is_backlogged) totals.seconds_backlogged += busy;
  if (is_arriving) totals.busy_seconds_arriving += busy;
  totals.busy_seconds += busy;
  totals.num_tokens += plan.shape.num_tokens;
  totals.num_sequences += plan.shape.num_sequences;
  totals.num_preemptions += plan.preempted.size();
  ++totals.num_steps;
  span.busy_seconds += busy;
  span.num_waiting += scheduler_.num_waiting();
  const std::size_t num_held = pool_.num_used() - scheduler_.prefix_index().num_idle();
  span.cache_fraction += static_cast<double>(num_held) / pool_.num_blocks();
  ++span.num_steps;
  if (options_.scheduler.controller) count_shares(busy, span);
}

void Lane::count_shares(double busy_seconds, Timeline::Span& span) {
  for (std::uint32_t i = 0; i < options_.scheduler.classes.size(); ++i) {
    const double part = scheduler_.share_part(ClassId{i});
    ShareLog::OfClass& log = result_.shares.classes[i];
    log.part_min = std::min(log.part_min, part);
    log.part_max = std::max(log.part_max, part);
    log.part_seconds += part * busy_seconds;
    span.share[i] += part;
  }
}

void Lane::finish_step() {
  CHECK(is_busy_);
  is_busy_ = false;
  const StepPlan& plan = scheduler_.last_plan();
  step_result_.reset(plan.chunks.size());
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
    const PlannedChunk& chunk = plan.chunks[i];
    if (!chunk.samples) continue;
    const std::uint64_t number = chunk.sequence->request.id.value;
    step_result_.samples[i].outcome = SampleOutcome::kToken;
    step_result_.samples[i].token = drawn_token(number);
    if (chunk.sequence->num_generated() == 0) result_.outcomes[number].first_token = busy_until_;
  }
  step_result_.elapsed = device_time_;
  scheduler_.apply(step_result_);
  for (std::uint32_t i = 0; i < options_.scheduler.classes.size(); ++i) {
    const ClassId id{i};
    admission_.note_pace(id, scheduler_.class_stats(id).start_tokens_per_second);
  }
  result_.totals.end = std::max(result_.totals.end, busy_until_);
  record_finished(busy_until_);
}

void Lane::record_finished(Duration now) {
  for (const Sequence* sequence : scheduler_.events().finished) {
    RequestOutcome& outcome = result_.outcomes[sequence->request.id.value];
    CHECK(sequence->finish.has_value());
    // Nobody cancels, nothing fails.
    const bool is_late = sequence->finish->reason == FinishReason::kDeadline;
    CHECK(is_late || sequence->finish->reason == FinishReason::kLength);
    outcome.fate = is_late ? RequestFate::kExpired : RequestFate::kFinished;
    outcome.end = now;
    if (!outcome.has_started) leave_queue(outcome, now);
    outcome.num_output = static_cast<std::uint32_t>(sequence->num_generated());
    outcome.num_preemptions = static_cast<std::uint32_t>(sequence->num_preemptions);
    ++num_finished_;
    num_output_finished_ += outcome.num_output;
    if (options_.observer != nullptr) options_.observer->on_finished(*sequence);
  }
  if (const auto& decision = scheduler_.events().share_decision) result_.shares.add(*decision);
  scheduler_.clear_events();
}

std::uint64_t Lane::outstanding_tokens() const {
  const std::uint64_t mean_output = num_finished_ == 0 ? 0 : num_output_finished_ / num_finished_;
  return num_uncomputed_ + scheduler_.num_live() * std::max<std::uint64_t>(1, mean_output);
}

}  // namespace millrace
