// One simulated life of an engine, drawn from a seed: pools, budgets, arrivals, clients, failures.
#pragma once

#include <cstdint>
#include <string>

#include "engine/scheduler_options.h"
#include "sim/truth_runner.h"

namespace millrace {

enum class InvariantChecks : std::uint8_t { kOn, kOff };

struct SimOptions {
  std::uint64_t seed = 0;
  SimFault fault = SimFault::kNone;
  InvariantChecks invariant_checks = InvariantChecks::kOn;
  StepLoop loop = StepLoop::kSerial;
};

struct SimReport {
  std::uint64_t num_steps = 0;
  std::uint64_t num_requests = 0;  // accepted
  std::uint64_t num_refused = 0;
  std::uint64_t num_preemptions = 0;
  std::uint64_t num_reclaims = 0;
  std::uint64_t num_copies = 0;  // of last blocks of prompts
  std::uint64_t num_cached_tokens = 0;
  std::uint64_t num_asked_pins = 0;  // most at a time
  std::uint64_t num_found_pins = 0;
  std::uint64_t num_slots_checked = 0;
  std::uint64_t num_failed_steps = 0;
  std::uint64_t num_poisoned = 0;  // requests that ended where a step with them fails
  std::uint64_t num_ends[5] = {};  // by FinishReason; streams that were dropped are not counted
  std::string failure;             // empty when all is well
};

// Ends with a failed CHECK, or with `failure` set, when a promise is broken. One line per step is
// appended to the trace, which print_sim_trace writes to the standard error.
SimReport run_simulation(const SimOptions& options);

// Async-signal-safe: for the handler of SIGABRT.
void print_sim_trace();

}  // namespace millrace
