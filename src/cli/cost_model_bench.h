// Times real steps of many shapes through the engine's runner and fits how long a step takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/model_session.h"
#include "simulate/step_cost.h"

namespace millrace {

// Which steps are drawn: sequences that decode, a prompt's chunk, or both.
struct StepLimits {
  std::size_t num_sequences_max = 16;  // that decode; a prompt's chunk comes on top
  std::size_t depth_max = 1024;        // tokens in the cache before
  std::size_t chunk_max = 512;
};

struct StepMeasurement {
  std::size_t num_shapes = 60;  // a third of them tests the fit
  std::size_t num_repeats = 3;  // of each; the least counts: what others do meanwhile only adds
  std::uint64_t seed = 1;
  std::optional<Duration> time_max = std::nullopt;  // no more shapes after it, at least six
};

struct MeasuredCost {
  LinearCost fit;
  std::vector<double> errors;  // of the shapes that it has not seen, relative, rising
};

// Blocks of cache, rows and tokens of a step that the session is asked for.
SessionDemand step_demand(const StepLimits& limits);

// The session has room for step_demand(limits); nobody else uses it meanwhile.
Result<MeasuredCost> measure_step_cost(ModelSession& session, const StepLimits& limits,
                                       const StepMeasurement& measurement);

// The value below which so much of the values lies; at least one value.
double at_part(const std::vector<double>& rising, double part);

}  // namespace millrace
