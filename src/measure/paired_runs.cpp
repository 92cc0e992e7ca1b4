// Alternation and the statistics of ratios.
#include "measure/paired_runs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace {
namespace {

double median_of(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

RateSpread rate_spread(std::vector<double> values) {
  CHECK(!values.empty());
  RateSpread spread;
  spread.median = median_of(values);
  spread.min = values.front();
  spread.max = values.back();
  for (double& value : values) value = std::abs(value - spread.median);
  spread.mad = median_of(values);
  return spread;
}

Result<PairedRates> measure_in_pairs(const PairedOptions& options,
                                     FunctionRef<Result<double>()> ours,
                                     FunctionRef<Result<double>()> peer,
                                     FunctionRef<void(Duration)> wait) {
  CHECK(options.num_pairs > 0);
  PairedRates rates;
  std::vector<double> ratios;
  for (std::size_t pair = 0; pair < options.num_pairs; ++pair) {
    const bool ours_first = pair % 2 == 0;
    for (const bool is_ours : {ours_first, !ours_first}) {
      wait(options.pause);
      if (is_ours) {
        rates.ours.push_back(TRY(ours()));
      } else {
        rates.peers.push_back(TRY(peer()));
      }
    }
    ratios.push_back(rates.ours.back() / rates.peers.back());
  }
  rates.ratio = rate_spread(std::move(ratios));
  return rates;
}

}  // namespace millrace
