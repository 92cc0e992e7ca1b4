// Replays a workload through real schedulers on a virtual clock.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/service_class.h"
#include "simulate/lane.h"
#include "simulate/outcome.h"
#include "simulate/router.h"
#include "simulate/step_cost.h"
#include "simulate/trace.h"

namespace millrace {

// How classes share a replica.
enum class Policy : std::uint8_t {
  kOurs,            // shares of the scheduler's own classes, with lending
  kControlled,      // the same, and the share controller moves them
  kFirstCome,       // one class for all
  kStrictPriority,  // the first class before the second, and so on
  kStaticSplit,     // each class has a slice of the machine: speed, cache, sequences; no lending
};

// "ours", "controlled", "fcfs", "strict-priority", "static-split".
std::string_view policy_name(Policy policy);
Result<Policy> find_policy(std::string_view name);
inline constexpr Policy kPolicies[] = {Policy::kFirstCome, Policy::kStrictPriority,
                                       Policy::kStaticSplit, Policy::kOurs, Policy::kControlled};

struct SimulationOptions {
  Policy policy = Policy::kOurs;
  // Of each replica, with the classes of the requests; its controller is that of kControlled.
  SchedulerOptions scheduler;
  std::uint32_t num_blocks = 0;  // of each replica
  StepCost cost;
  ClassDeadlines deadlines{};
  RouterOptions router;              // num_replicas is that of the simulation
  StepObserver* observer = nullptr;  // of all replicas
};

// Every request of the trace to its end. The same trace and options give the same result.
// kInvalidArgument naming the option that is out of range.
Result<SimulationResult> simulate(const Trace& trace, const SimulationOptions& options);

}  // namespace millrace
