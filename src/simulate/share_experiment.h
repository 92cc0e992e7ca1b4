// One workload under every policy and load: who gets how much, how fast, and at what throughput.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "report/table.h"
#include "simulate/simulation.h"
#include "simulate/summary.h"
#include "simulate/trace.h"

namespace millrace {

// Requests per second that the machine can do: those of the trace, all there at once and first
// come, first served, until nine tenths of them are done (the rest leaves the machine half empty).
Result<double> measure_capacity(const Trace& trace, const SimulationOptions& options);

struct ShareCase {
  std::string scenario;  // "both", "only interactive", …
  double load = 0;       // arrivals over what the machine can do
  Policy policy = Policy::kOurs;
  Summary summary;
};

// What a share can give at all: the class alone at its part of the machine, as a fluid that is
// served first come, first served, while nothing is lent. A scheduler that keeps shares stays near
// it while everybody is backlogged, whatever its order: above by what is given in whole steps,
// below by what it leaves of outputs for later, and by what others lend.
struct FluidWait {
  std::string class_name;
  double load = 0;
  double asked_part = 0;  // of what the machine can do, by what came of the class
  double share_part = 0;
  double p50 = 0;  // seconds
  double p99 = 0;
  // The same if all slots were the class's and whoever is in one left its whole output for later:
  // while nothing is lent, nothing that starts requests in order of arrival is faster.
  double least_p99 = 0;
};

struct ShareExperiment {
  double capacity = 0;  // requests per second
  std::vector<ShareCase> cases;
  std::vector<FluidWait> fluid;  // by load, then class
};

// Waits of the trace's requests of a class that gets `work_per_second`, when the outputs of the
// last `num_left` that came are left for later.
Percentiles fluid_waits(const Trace& trace, std::uint32_t class_index, double work_per_second,
                        std::size_t num_left);

// The trace's requests, faster or slower, at each load with all classes; and at the highest load
// with all requests given to one class, so that the others idle. Policy of `options` is ignored.
Result<ShareExperiment> run_share_experiment(const Trace& trace, const SimulationOptions& options,
                                             const std::vector<double>& loads);

Table share_table(const ShareExperiment& experiment);
Table fluid_table(const ShareExperiment& experiment);
OrderedJson share_json(const ShareExperiment& experiment);

}  // namespace millrace
