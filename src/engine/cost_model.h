// How long a step of a given shape takes, learned from the steps that ran.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/step_shape.h"

namespace millrace {

// A value: copyable, no clock, no threads; the same observations give the same predictions.
//
//   seconds = c0 + c1·few_tokens + c2·many_tokens + c3·sequences + c4·sampled + c5·kv_tokens
//             + c6·attended,   every c >= 0;   a prediction is that times the level
//
// Fitted by least squares of the relative error over an exponentially forgotten past (the last
// thousand steps or so), with the coefficients kept from going below zero by coordinate descent on
// the normal equations (Franc, Hlavac & Navara 2005, sequential coordinate-wise NNLS), a few
// sweeps from where the last observation left them. Relative, because a step of one token and one
// of a thousand matter alike; not below zero, because a plan must never get cheaper by doing more.
//
// The level is how much slower than the fit the last ten steps or so were, within 1.5 both ways: a
// shared machine is slower for a second and faster for the next. In a replay of Azure's trace on
// two CPUs it lowered the median error from 5.9 % to 4.0 % and the 95th percentile from 23 % to
// 17 %.
class CostModel {
 public:
  static constexpr std::size_t kNumTerms = 7;
  using Coefficients = std::array<double, kNumTerms>;  // seconds per one of each term

  // Knows nothing; predicts 0.
  CostModel() = default;
  // Starts from coefficients that were measured or calculated before, and counts as learned.
  explicit CostModel(const Coefficients& seconds_per);

  double predict(const StepShape& shape) const;
  // `seconds` above 0; a step beyond four times its prediction counts as four times: it was
  // interrupted rather than large.
  void observe(const StepShape& shape, double seconds);

  // Whether predictions may be relied on: coefficients were given or enough steps were seen.
  bool is_learned() const { return num_observed_ >= kObservationsMin || was_given_; }
  std::uint64_t num_observed() const { return num_observed_; }
  // Mean of |predicted - measured| / measured over the last hundred steps or so, before each was
  // learned from.
  double relative_error() const { return relative_error_; }
  Coefficients coefficients() const;  // of the fit, without the level

  // The longest chunk, at most `tokens_max`, that a sequence with `computed` tokens in the cache
  // can add to the step so that it is predicted to stay within `seconds`, should it draw a token.
  // O(log tokens_max).
  std::size_t tokens_within(const StepShape& step, std::size_t computed, std::size_t tokens_max,
                            double seconds) const;

 private:
  static constexpr std::uint64_t kObservationsMin = 16;

  void solve();

  Coefficients scaled_{};  // of the scaled terms, see cost_model.cpp
  std::array<Coefficients, kNumTerms> gram_{};
  Coefficients target_{};
  std::uint64_t num_observed_ = 0;
  double relative_error_ = 0;
  double level_ = 1;
  bool was_given_ = false;
};

}  // namespace millrace
