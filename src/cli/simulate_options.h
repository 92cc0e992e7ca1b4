// Options that every command which simulates shares: the workload, the machine, the scheduler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "simulate/simulation.h"
#include "simulate/trace.h"
#include "simulate/workload.h"

namespace CLI {
class App;
}  // namespace CLI

namespace millrace {

struct SimulateOptions {
  std::string trace_path;
  WorkloadSpec workload;
  std::optional<double> rate;
  std::optional<double> load;
  std::optional<std::size_t> num_requests;
  std::optional<double> first_seconds;
  double on_seconds = 30;
  double off_seconds = 30;
  double day_seconds = 86'400;

  std::string cost_model = "h200-llama-3.1-8b";
  std::optional<std::uint64_t> cache_tokens;
  std::string policy = "ours";
  bool reuses_prefixes = true;
  std::optional<std::size_t> queue_max;         // of each class
  std::optional<std::size_t> queue_tokens_max;  // of each class
  std::vector<double> queue_wait_seconds;       // by class; the last holds for the rest
  std::vector<double> deadline_seconds;         // by class; the last holds for the rest
  std::vector<double> shares;                   // by class
  double control_interval_seconds = 1;
  SimulationOptions simulation;
};

void add_simulate_options(CLI::App& command, SimulateOptions& options);

// The machine and the scheduler; errors name what is missing.
Result<SimulationOptions> simulation_options(const SimulateOptions& options);
// The requests; with --load, at that part of what the machine was found to do.
Result<Trace> simulated_workload(const SimulateOptions& options,
                                 const SimulationOptions& simulation);

}  // namespace millrace
