// Weighted normal equations with forgetting, solved for coefficients that are not below zero.
#include "engine/cost_model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace millrace {
namespace {

using Terms = CostModel::Coefficients;

// Terms of an ordinary step are near 1 when divided by these, so that the equations are well
// conditioned whatever the units.
constexpr Terms kScales = {1.0, 16.0, 256.0, 32.0, 32.0, 32'768.0, 1'048'576.0};
constexpr double kForgetting = 0.999;      // half of the weight lies in the last 700 steps
constexpr double kErrorForgetting = 0.99;  // and in the last 70 for the error
constexpr double kLevelForgetting = 0.9;
constexpr double kLevelMax = 1.5;
constexpr double kOutlierFactor = 4.0;
// Against terms that never varied: far below what one step weighs.
constexpr double kRidge = 1e-9;
// From a warm start a step moves the solution little; more sweeps changed predictions of a
// synthetic machine by less than 0.1 %.
constexpr int kNumSweeps = 8;

Terms scaled_terms(const StepShape& shape) {
  return {1.0 / kScales[0],
          static_cast<double>(shape.num_few_tokens()) / kScales[1],
          static_cast<double>(shape.num_many_tokens()) / kScales[2],
          static_cast<double>(shape.num_sequences) / kScales[3],
          static_cast<double>(shape.num_sampled) / kScales[4],
          static_cast<double>(shape.num_kv_tokens) / kScales[5],
          static_cast<double>(shape.num_attended) / kScales[6]};
}

double dot(const Terms& a, const Terms& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

CostModel::CostModel(const Coefficients& seconds_per) : was_given_(true) {
  for (std::size_t i = 0; i < kNumTerms; ++i) {
    CHECK(seconds_per[i] >= 0);
    scaled_[i] = seconds_per[i] * kScales[i];
  }
}

CostModel::Coefficients CostModel::coefficients() const {
  Coefficients seconds_per{};
  for (std::size_t i = 0; i < kNumTerms; ++i) seconds_per[i] = scaled_[i] / kScales[i];
  return seconds_per;
}

double CostModel::predict(const StepShape& shape) const {
  return level_ * dot(scaled_, scaled_terms(shape));
}

void CostModel::observe(const StepShape& shape, double seconds) {
  CHECK(seconds > 0);
  CHECK(std::isfinite(seconds));
  const Terms terms = scaled_terms(shape);
  const double fitted = dot(scaled_, terms);
  if (is_learned() && fitted > 0) {
    seconds = std::min(seconds, kOutlierFactor * fitted);
    const double error = std::abs(level_ * fitted - seconds) / seconds;
    relative_error_ = kErrorForgetting * relative_error_ + (1 - kErrorForgetting) * error;
    const double level = std::clamp(seconds / fitted, 1 / kLevelMax, kLevelMax);
    level_ += (1 - kLevelForgetting) * (level - level_);
  }
  const double weight = 1.0 / (seconds * seconds);
  for (std::size_t i = 0; i < kNumTerms; ++i) {
    for (std::size_t j = 0; j < kNumTerms; ++j) {
      gram_[i][j] = kForgetting * gram_[i][j] + weight * terms[i] * terms[j];
    }
    target_[i] = kForgetting * target_[i] + weight * terms[i] * seconds;
  }
  ++num_observed_;
  solve();
}

void CostModel::solve() {
  const double ridge = kRidge * (gram_[0][0] + 1.0);
  for (int sweep = 0; sweep < kNumSweeps; ++sweep) {
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      const double gradient = target_[i] - dot(gram_[i], scaled_);
      scaled_[i] = std::max(0.0, scaled_[i] + gradient / (gram_[i][i] + ridge));
    }
  }
}

std::size_t CostModel::tokens_within(const StepShape& step, std::size_t computed,
                                     std::size_t tokens_max, double seconds) const {
  const auto fits = [&](std::size_t num_tokens) {
    StepShape with = step;
    with.add_chunk(computed, num_tokens, 1);
    return predict(with) <= seconds;
  };
  if (tokens_max == 0 || !fits(1)) return 0;
  if (fits(tokens_max)) return tokens_max;
  std::size_t low = 1;  // fits
  std::size_t high = tokens_max;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace millrace
