// Adds up what an engine does and shows it to other threads.
#pragma once

#include <mutex>
#include <optional>

#include "base/clock.h"
#include "engine/engine_stats.h"
#include "engine/scheduler.h"

namespace millrace {

// The engine thread writes, any thread reads. Allocates nothing.
class EngineMeter {
 public:
  // Engine thread. There is work from here on, if there was none before.
  void begin_turn(TimePoint now);
  // A step of this shape took so long on so many threads of the device.
  void note_step(const StepShape& shape, Duration elapsed, std::size_t num_ranks);
  void note_failed_step() { ++stats_.num_failed_steps; }
  void note_retry() { ++stats_.num_step_retries; }
  HostSeconds& host() { return stats_.host; }
  // A request ran for the first time after such a wait.
  void note_start(ClassId id, Duration waited);
  // Two tokens of one sequence came so far apart.
  void note_token_gap(ClassId id, Duration gap);
  void note_share_move(ShareReason reason);
  // Shows where the scheduler and its pool stand.
  void show(const Scheduler& scheduler, const BlockPool& pool);
  void end_turn(TimePoint now, const Scheduler& scheduler, const BlockPool& pool);

  // Shown at once: the engine is idle.
  void note_breach();

  EngineStats read() const;

 private:
  EngineStats stats_;
  std::optional<TimePoint> work_since_;  // while there is work: up to here it is counted

  mutable std::mutex mutex_;  // Guards shown_.
  EngineStats shown_;
};

}  // namespace millrace
