// One scheduler on a virtual clock: what a replica is, or one class's slice of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

struct LaneOptions {
  SchedulerOptions scheduler;
  std::uint32_t num_blocks = 0;
  double speed = 1;              // of the whole machine
  bool is_single_class = false;  // the scheduler knows one class, whatever the requests say
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
  RequestFate refusal(const TraceRequest& request);
  void count_chunks(const StepPlan& plan, std::size_t num_classes, StepWork& step);
  void count_step(const StepPlan& plan, Duration now, const StepWork& step);
  void record_finished(Duration now);

  LaneOptions options_;
  const StepCost& cost_;
  SimulationResult& result_;
  UnstartedCounts& unstarted_;
  BlockPool pool_;
  Admission admission_;
  Scheduler scheduler_;
  StepResult step_result_;
  bool is_busy_ = false;
  Duration busy_since_{0};
  Duration busy_until_{0};
  std::uint64_t num_uncomputed_ = 0;  // prompt tokens of live requests
  std::uint64_t num_finished_ = 0;
  std::uint64_t num_output_finished_ = 0;
};

}  // namespace millrace
