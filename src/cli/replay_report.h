// What a replay says: a real machine's latencies over several runs beside their simulations, and
// how well steps were foretold.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/cost_model_bench.h"
#include "cli/replay_run.h"
#include "simulate/simulation.h"
#include "simulate/summary.h"

namespace millrace {

// Of one kind of prediction over the steps of all runs.
struct StepErrors {
  std::string name;
  std::size_t num_steps = 0;
  double median = 0;  // |predicted - measured| / measured
  double p95 = 0;
  double total = 0;  // all predictions over all measured time
};

struct ReplayReport {
  std::size_t num_requests = 0;
  double length_scale = 1;
  double rate = 0;
  double load = 0;
  std::size_t num_threads = 0;
  std::vector<double> shape_errors;  // of bench cost-model, on shapes that it has not seen
  std::vector<StepCost> costs;
  std::vector<Summary> simulated;  // by each of the costs
  std::vector<Summary> real;       // by run
  // Each run by a cost fitted to its own steps: what the simulator itself is off by, when the
  // machine is no faster or slower than it was meanwhile.
  std::vector<Summary> simulated_by_own;
  std::vector<RecordedStep> steps;

  void add_run(const ReplayRun& run, const Trace& trace, const SimulationOptions& options);
};

std::vector<StepErrors> step_errors(const ReplayReport& report);
std::string replay_text(const ReplayReport& report);
std::string steps_csv(const std::vector<RecordedStep>& steps);
OrderedJson replay_json(const ReplayReport& report);

}  // namespace millrace
