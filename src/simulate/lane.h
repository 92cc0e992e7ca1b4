// One scheduler on a virtual clock: what a replica is, or one class's slice of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "engine/admission.h"
#include "engine/scheduler.h"
#include "memory/block_pool.h"
#include "simulate/outcome.h"
#include "simulate/step_cost.h"
#include "simulate/trace.h"

namespace millrace {

// Sees every step of a simulation, for those who want to know more than the result says.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // Before the step runs: the scheduler's last plan; its sequences hold their blocks.
  virtual void on_plan(const Scheduler& scheduler) = 0;
  // After it ran; sequences that ended have given their blocks back.
  virtual void on_finished(const Sequence& sequence) = 0;
};

// How long after its arrival a request of each class is given up; absent: never.
using ClassDeadlines = std::array<std::optional<Duration>, kClassesMax>;

struct LaneOptions {
  SchedulerOptions scheduler;
  std::uint32_t num_blocks = 0;
  double speed = 1;              // of the whole machine
  bool is_single_class = false;  // the scheduler knows one class, whatever the requests say
  ClassDeadlines deadlines{};
  StepObserver* observer = nullptr;
};

// What the lanes of one replica share: requests that have never run, by class.
using UnstartedCounts = std::array<std::size_t, kClassesMax>;

// Drives the real Scheduler as the engine does: submit, plan, let the step take its time, apply.
// Times are since the beginning of the simulation.
class Lane {
 public:
  // All three outlive the lane.
  Lane(const LaneOptions& options, const StepCost& cost, SimulationResult& result,
       UnstartedCounts& unstarted);

  // Queues outcome `number` of the result and gives kUnfinished, or refuses it as the engine would.
  RequestFate submit(const Trace& trace, const TraceRequest& request, std::size_t number);
  // Plans a step that ends at busy_until(), if there is anything to do.
  void begin_step(Duration now, std::size_t num_classes);
  // The step has ended.
  void finish_step();

  bool is_busy() const { return is_busy_; }
  Duration busy_until() const { return busy_until_; }
  // Tokens known and not yet computed, and as many outputs as requests gave on the mean so far.
  std::uint64_t outstanding_tokens() const;
  std::size_t num_live() const { return scheduler_.num_live(); }

 private:
  struct StepWork {
    std::array<std::uint64_t, kClassesMax> by_class{};
    bool is_backlogged = false;  // every class had requests that never ran
  };

  ClassId class_of(std::uint32_t class_index) const {
    return ClassId{options_.is_single_class ? 0 : class_index};
  }
  RequestFate refusal(const TraceRequest& request, std::size_t number);
  void note_refusal(const TraceRequest& request, std::size_t number);
  void leave_queue(RequestOutcome& outcome, Duration now);
  void count_chunks(const StepPlan& plan, Duration now, std::size_t num_classes, StepWork& step);
  void count_shares(double busy_seconds, Timeline::Span& span);
  void count_step(const StepPlan& plan, Duration now, const StepWork& step);
  void record_finished(Duration now);

  // A refusal that waits until so many tokens of its class have left the queue in all.
  struct PendingRefusal {
    std::uint64_t until_tokens = 0;
    std::size_t index = 0;  // of the result's refusals
    bool operator>(const PendingRefusal& other) const { return until_tokens > other.until_tokens; }
  };
  struct ClassQueue {
    std::uint64_t num_tokens_left = 0;  // started or expired, of prompts that waited
    std::priority_queue<PendingRefusal, std::vector<PendingRefusal>, std::greater<>> refusals;
  };

  LaneOptions options_;
  const StepCost& cost_;
  SimulationResult& result_;
  UnstartedCounts& unstarted_;
  BlockPool pool_;
  Admission admission_;
  Scheduler scheduler_;
  std::vector<ClassQueue> queues_;
  StepResult step_result_;
  bool is_busy_ = false;
  Duration device_time_{0};  // of the step that runs, without the host's
  Duration busy_until_{0};
  std::uint64_t num_uncomputed_ = 0;  // prompt tokens of live requests
  std::uint64_t num_finished_ = 0;
  std::uint64_t num_output_finished_ = 0;
};

}  // namespace millrace
