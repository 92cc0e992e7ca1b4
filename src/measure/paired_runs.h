// Two programs measured in turns within one run, so that what else the machine does hits both.
#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"

namespace millrace {

// Middle and spread of a list of numbers; an even number of them has the mean of the middle two.
struct RateSpread {
  double median = 0;
  double min = 0;
  double max = 0;
  double mad = 0;  // median of the distances from the median
};
RateSpread rate_spread(std::vector<double> values);

struct PairedOptions {
  std::size_t num_pairs = 5;
  Duration pause{0};  // before every measurement
};

// Rates of both, pair by pair. `ratio` is of ours[i] / peers[i].
struct PairedRates {
  std::vector<double> ours;
  std::vector<double> peers;
  RateSpread ratio;
};

// A B, B A, A B, …: whoever goes first changes with every pair, so that a drift cancels out. `wait`
// pauses; an error of either ends the run.
Result<PairedRates> measure_in_pairs(const PairedOptions& options,
                                     FunctionRef<Result<double>()> ours,
                                     FunctionRef<Result<double>()> peer,
                                     FunctionRef<void(Duration)> wait);

}  // namespace millrace
