// The engine's turns: plan, begin, finish, apply, emit; one after the other, or overlapped.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/engine.h"

namespace millrace {

//   serial       plan n │ run n │ apply n │ emit n │ plan n+1 │ run n+1 …
//   overlapped   device:       … run n          │ run n+1         │ …
//                engine:   plan n+1, begin n+1, │ apply n, emit n, plan n+2, begin n+2, │ …
//                                       wait ─► │                              wait ──► │
bool Engine::step() {
  take_classes();
  while (std::optional<Submission> submission = inbox_.try_pop()) accept(std::move(*submission));
  if (scheduler_.num_live() == 0 && scheduler_.num_open() == 0) return false;
  meter_.begin_turn(clock_.now());
  read_cancellations();
  const bool has_begun = begin_step();
  const std::size_t num_open_max = options_.scheduler.loop == StepLoop::kOverlapped ? 2 : 1;
  if (scheduler_.num_open() == num_open_max || (!has_begun && scheduler_.num_open() > 0)) {
    finish_step();
    // Where everything had to wait for the step that has just been applied.
    if (!has_begun && scheduler_.num_live() > 0) begin_step();
  }
  emit();
  // What still runs is for nobody.
  if (scheduler_.num_live() == 0) settle();
  end_turn();
  return true;
}

void Engine::settle() {
  while (scheduler_.num_open() > 0) {
    finish_step();
    emit();
  }
}

void Engine::end_turn() {
  meter_.end_turn(clock_.now(), scheduler_, pool_);
}

// Plans the next step and hands it to the runner; false when there is none to be had now.
bool Engine::begin_step() {
  const TimePoint begin = clock_.now();
  const StepPlan& plan = scheduler_.plan(begin);
  if (!plan.chunks.empty()) runner_.begin(plan);
  meter_.host().plan += seconds(clock_.now() - begin);
  return !plan.chunks.empty();
}

// Waits for the step that was begun first, and applies it.
void Engine::finish_step() {
  const StepPlan& plan = scheduler_.oldest_open();
  result_.reset(plan.chunks.size());
  const TimePoint begin = clock_.now();
  const Status status = runner_.finish(result_);
  const TimePoint end = clock_.now();
  if (!status.ok()) {
    recover(status.error());
    return;
  }
  if (result_.elapsed == Duration{0}) result_.elapsed = end - begin;
  meter_.note_step(plan.shape, result_.elapsed, result_.num_ranks);
  scheduler_.apply(result_);
  meter_.host().apply += seconds(clock_.now() - end);
}

// The step came to nothing, and whatever was begun behind it is forgotten. Both are run again in
// parts, so that whoever makes them fail ends alone.
void Engine::recover(const Error& error) {
  meter_.note_failed_step();
  runner_.abandon();
  std::optional<Error> failure = error;
  for (;;) {
    const StepPlan& plan = scheduler_.oldest_open();
    const TimePoint begin = clock_.now();
    run_parts(plan, failure);
    meter_.note_step(plan.shape, clock_.now() - begin, result_.num_ranks);
    scheduler_.apply(result_);
    if (scheduler_.num_open() == 0) return;
    emit();
    failure.reset();
  }
}

namespace {

// So many runs of parts find any four of `num_chunks` that make every step with them fail.
std::size_t runs_max(std::size_t num_chunks) {
  constexpr std::size_t kFound = 4;
  std::size_t num_levels = 1;
  while (std::size_t{1} << num_levels < num_chunks) ++num_levels;
  return kFound * 2 * (num_levels + 1);
}

struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t middle() const { return begin + (end - begin) / 2; }
};

}  // namespace

// Fills result_ by halves of the plan, halves of those that fail, and so on; what still fails
// alone, or when too many have failed, is kFailed. `failure`: of the whole plan, when that has run.
void Engine::run_parts(const StepPlan& plan, std::optional<Error> failure) {
  const std::size_t num_chunks = plan.chunks.size();
  result_.reset(num_chunks);
  result_.failure = failure;
  // Halves of halves: one that waits per level, and those in hand.
  std::array<Part, 2 * 64> parts;
  std::size_t num_parts = 0;
  const auto push_halves = [&](const Part& part) {
    if (part.middle() < part.end) parts[num_parts++] = {part.middle(), part.end};
    if (part.begin < part.middle()) parts[num_parts++] = {part.begin, part.middle()};
  };
  const Part whole{0, num_chunks};
  if (failure) push_halves(whole);
  if (!failure) parts[num_parts++] = whole;
  for (std::size_t num_runs_left = runs_max(num_chunks); num_parts > 0;) {
    const Part part = parts[--num_parts];
    fill_part(plan, part.begin, part.end);
    if (part_.chunks.empty()) continue;
    Status status = Ok{};
    if (num_runs_left > 0) {
      --num_runs_left;
      part_result_.reset(part_.chunks.size());
      meter_.note_retry();
      status = runner_.run(part_, part_result_);
      if (!status.ok()) result_.failure = status.error();
    } else {
      status = *result_.failure;
    }
    if (status.ok()) {
      take_part(plan, part.begin, part.end);
    } else if (part.end - part.begin == 1 || num_runs_left == 0) {
      for (std::size_t i = part.begin; i < part.end; ++i) {
        result_.samples[i].outcome = SampleOutcome::kFailed;
      }
    } else {
      push_halves(part);
    }
  }
}

// Those chunks of the plan whose sequences have not ended, with what is copied for them. By now all
// tokens are known.
void Engine::fill_part(const StepPlan& plan, std::size_t begin, std::size_t end) {
  part_.clear();
  part_.threads_max = plan.threads_max;
  for (std::size_t i = begin; i < end; ++i) {
    PlannedChunk chunk = plan.chunks[i];
    if (chunk.sequence->finish) continue;
    chunk.drawn_by.reset();
    part_.chunks.push_back(chunk);
    part_.num_tokens += chunk.num_tokens;
    part_.num_samples += chunk.samples ? 1 : 0;
    part_.shape.add_chunk(chunk.num_computed, chunk.num_tokens, chunk.num_logit_rows());
    for (const BlockCopy& copy : plan.copies) {
      if (copy.sequence == chunk.sequence) part_.copies.push_back(copy);
    }
  }
}

void Engine::take_part(const StepPlan& plan, std::size_t begin, std::size_t end) {
  std::size_t at = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (plan.chunks[i].sequence->finish) continue;
    result_.samples[i] = part_result_.samples[at];
    const std::span<const TokenLogprob> top = part_result_.top_of(at);
    std::copy(top.begin(), top.end(), result_.top_space(i).begin());
    ++at;
  }
}

void Engine::read_cancellations() {
  const bool cancel_all = cancel_all_.load(std::memory_order_acquire);
  const std::uint64_t num_cancels = num_cancels_->load(std::memory_order_acquire);
  if (!cancel_all && num_cancels == num_cancels_seen_) return;
  num_cancels_seen_ = num_cancels;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i] == nullptr) continue;
    if (!cancel_all && !streams_[i]->is_cancelled()) continue;
    scheduler_.cancel(SequenceId{static_cast<std::uint32_t>(i)},
                      {.reason = FinishReason::kCancelled});
  }
}

// Whoever runs for the first time, or ends before that, waits no longer.
void Engine::leave_queue() {
  const StepEvents& events = scheduler_.events();
  for (const Sequence* sequence : events.started) {
    admission_.leave(sequence->request.service_class, sequence->num_queued_tokens);
    meter_.note_start(sequence->request.service_class, sequence->waited);
  }
  for (const Sequence* sequence : events.finished) {
    if (sequence->num_cached) continue;  // It has started.
    admission_.leave(sequence->request.service_class, sequence->num_queued_tokens);
  }
  for (std::uint32_t i = 0; i < options_.scheduler.classes.size(); ++i) {
    admission_.note_pace(ClassId{i}, scheduler_.class_stats(ClassId{i}).start_tokens_per_second);
  }
}

void Engine::emit_tokens(TimePoint now) {
  const std::vector<StepEvents::Token>& events = scheduler_.events().tokens;
  for (std::size_t i = 0; i < events.size(); ++i) {
    prefetch_emitted(i);
    const StepEvents::Token& event = events[i];
    const std::uint32_t id = event.sequence->id.index;
    std::optional<TimePoint>& last = token_times_[id];
    if (last) meter_.note_token_gap(event.sequence->service_class, now - *last);
    last = now;
    StreamState& stream = *streams_[id];
    stream.push(result_.samples[event.chunk], result_.top_of(event.chunk));
    note_change(stream);
  }
}

// As Scheduler::prefetch_applied: of thousands of streams none is near.
void Engine::prefetch_emitted(std::size_t at) const {
  constexpr std::size_t kFar = 12;
  constexpr std::size_t kMiddle = 8;
  constexpr std::size_t kNear = 4;
  const std::vector<StepEvents::Token>& events = scheduler_.events().tokens;
  if (at + kFar < events.size()) __builtin_prefetch(events[at + kFar].sequence);
  if (at + kMiddle < events.size()) {
    const std::uint32_t id = events[at + kMiddle].sequence->id.index;
    streams_[id]->prefetch();
    __builtin_prefetch(&token_times_[id], 1);
  }
  if (at + kNear < events.size()) {
    streams_[events[at + kNear].sequence->id.index]->prefetch_end();
  }
}

void Engine::emit() {
  const TimePoint begin = clock_.now();
  leave_queue();
  const StepEvents& events = scheduler_.events();
  for (const Sequence* sequence : events.started) {
    streams_[sequence->id.index]->start(*sequence->num_cached);
  }
  emit_tokens(begin);
  for (Sequence* sequence : events.finished) {
    if (sequence->pooled != nullptr && sequence->finish->reason == FinishReason::kStop) {
      streams_[sequence->id.index]->set_pooled(std::move(sequence->pooled->vector));
    }
    streams_[sequence->id.index]->finish(*sequence->finish);
    note_change(*streams_[sequence->id.index]);
    streams_[sequence->id.index].reset();
  }
  if (events.share_decision) {
    meter_.note_share_move(events.share_decision->reason);
    const std::lock_guard lock(decision_mutex_);
    last_decision_ = events.share_decision;
  }
  const std::size_t num_finished = events.finished.size();
  scheduler_.clear_events();
  num_live_.fetch_sub(num_finished, std::memory_order_relaxed);
  if (!changed_watches_.empty()) {
    options_.listener->streams_changed(changed_watches_);
    changed_watches_.clear();
  }
  meter_.host().emit += seconds(clock_.now() - begin);
}

void Engine::note_change(const StreamState& stream) {
  if (options_.listener != nullptr && stream.watch()) changed_watches_.push_back(*stream.watch());
}

}  // namespace millrace
