// Fits a step cost to measured steps, and says how well it foretells steps that it has not seen.
#pragma once

#include <span>
#include <vector>

#include "engine/step_shape.h"
#include "simulate/step_cost.h"

namespace millrace {

struct CostSample {
  StepShape shape;
  double seconds = 0;  // above 0
};

// Least relative errors (squares up to a tenth, then sizes) with no coefficient below 0, by
// coordinate descent to convergence (Franc, Hlavac & Navara 2005, sequential coordinate-wise NNLS).
// Terms that never vary apart share what they explain. At least one sample.
LinearCost fit_cost(std::span<const CostSample> samples);

// |predicted - measured| / measured of each sample, rising.
std::vector<double> relative_errors(const LinearCost& cost, std::span<const CostSample> samples);

}  // namespace millrace
