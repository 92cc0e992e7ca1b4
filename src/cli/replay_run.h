// A trace against a real engine in real time: what became of each request, and every step.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "cli/model_session.h"
#include "engine/scheduler_options.h"
#include "engine/step_shape.h"
#include "simulate/cost_fit.h"
#include "simulate/outcome.h"
#include "simulate/trace.h"

namespace millrace {

struct RecordedStep {
  StepShape shape;
  double seconds = 0;
  double predicted =
      0;  // by the scheduler's cost model before the step; 0 while it knew too little
};

struct ReplayRun {
  SimulationResult result;  // outcomes and the time of the last end; nothing else
  std::vector<RecordedStep> steps;
  // Between steps while there was work: what the engine does on the host, by the step that follows.
  std::vector<CostSample> host_gaps;
};

// Submits the trace's requests at their times to a fresh engine on the session: random ids as
// prompts, exactly as many tokens out as the trace says. Times are those at which the engine tells
// its listener, from the arrival that was meant. `seed` draws the prompts.
Result<ReplayRun> replay_trace(ModelSession& session, const Trace& trace,
                               const SchedulerOptions& options, std::uint64_t seed);

}  // namespace millrace
