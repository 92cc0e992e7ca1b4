// Sums over steps, and a copy of them under a lock.
#include "engine/engine_meter.h"

#include "base/check.h"

namespace millrace {

void EngineMeter::begin_turn(TimePoint now) {
  if (!work_since_) work_since_ = now;
}

void EngineMeter::note_step(const StepShape& shape, Duration elapsed, std::size_t num_ranks) {
  ++stats_.num_steps;
  stats_.num_tokens += shape.num_tokens;
  stats_.busy_seconds += seconds(elapsed);
  stats_.thread_seconds += seconds(elapsed) * static_cast<double>(num_ranks);
  stats_.step_seconds.add(seconds(elapsed));
  stats_.step_tokens.add(static_cast<double>(shape.num_tokens));
}

void EngineMeter::note_start(ClassId id, Duration waited) {
  stats_.times[id.index].queue_seconds.add(seconds(waited));
}

void EngineMeter::note_token_gap(ClassId id, Duration gap) {
  stats_.times[id.index].token_gap_seconds.add(seconds(gap));
}

void EngineMeter::note_share_move(ShareReason reason) {
  ++stats_.num_share_moves[static_cast<std::size_t>(reason)];
}

void EngineMeter::end_turn(TimePoint now, const Scheduler& scheduler, const BlockPool& pool) {
  CHECK(work_since_.has_value());
  stats_.work_seconds += seconds(now - *work_since_);
  work_since_.reset();
  if (scheduler.num_live() > 0) work_since_ = now;
  show(scheduler, pool);
}

void EngineMeter::show(const Scheduler& scheduler, const BlockPool& pool) {
  stats_.num_live = scheduler.num_live();
  stats_.num_running = scheduler.num_running();
  stats_.num_parked = scheduler.num_parked();
  stats_.block_tokens = scheduler.options().block_tokens;
  stats_.num_blocks = pool.num_blocks();
  stats_.num_blocks_free = pool.num_free();
  stats_.num_blocks_idle = static_cast<std::uint32_t>(scheduler.prefix_index().num_idle());
  stats_.num_blocks_pinned = static_cast<std::uint32_t>(scheduler.prefix_index().num_pinned());
  stats_.num_evictions = scheduler.prefix_index().num_evictions();
  stats_.num_hot_asked = scheduler.hot_prefixes().num_asked();
  stats_.num_hot_found = scheduler.hot_prefixes().num_found();
  stats_.num_classes = scheduler.options().classes.size();
  stats_.num_output_tokens = 0;
  stats_.num_cached_tokens = 0;
  stats_.num_preemptions = 0;
  for (std::uint32_t i = 0; i < stats_.num_classes; ++i) {
    stats_.classes[i] = scheduler.class_stats(ClassId{i});
    stats_.num_output_tokens += stats_.classes[i].counts.num_output_tokens;
    stats_.num_cached_tokens += stats_.classes[i].counts.num_cached_tokens;
    stats_.num_preemptions += stats_.classes[i].counts.num_preemptions;
  }
  stats_.cost_coefficients = scheduler.cost_model().coefficients();
  stats_.cost_error = scheduler.cost_model().relative_error();
  const std::lock_guard lock(mutex_);
  shown_ = stats_;
}

void EngineMeter::note_breach() {
  const std::lock_guard lock(mutex_);
  shown_.num_breaches = ++stats_.num_breaches;
}

EngineStats EngineMeter::read() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

}  // namespace millrace
