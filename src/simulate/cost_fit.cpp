// Normal equations of scaled terms, solved within their bounds.
#include "simulate/cost_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kNumTerms = 7;
using Terms = std::array<double, kNumTerms>;

Terms terms_of(const StepShape& shape) {
  return {1.0,
          static_cast<double>(shape.num_few_tokens()),
          static_cast<double>(shape.num_many_tokens()),
          static_cast<double>(shape.num_sequences),
          static_cast<double>(shape.num_sampled),
          static_cast<double>(shape.num_kv_tokens),
          static_cast<double>(shape.num_attended)};
}

double dot(const Terms& a, const Terms& b) {
  double sum = 0;
  for (std::size_t i = 0; i < kNumTerms; ++i) sum += a[i] * b[i];
  return sum;
}

struct Equations {
  std::array<Terms, kNumTerms> gram{};
  Terms target{};
};

// Terms over the measured time, so that errors are relative; divided by `scales`.
Terms relative_terms(const CostSample& sample, const Terms& scales) {
  Terms terms = terms_of(sample.shape);
  for (std::size_t i = 0; i < kNumTerms; ++i) terms[i] /= scales[i] * sample.seconds;
  return terms;
}

Equations equations_of(std::span<const CostSample> samples, const Terms& scales,
                       std::span<const double> weights) {
  Equations equations;
  for (std::size_t k = 0; k < samples.size(); ++k) {
    const Terms terms = relative_terms(samples[k], scales);
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      for (std::size_t j = 0; j < kNumTerms; ++j) {
        equations.gram[i][j] += weights[k] * terms[i] * terms[j];
      }
      equations.target[i] += weights[k] * terms[i];
    }
  }
  return equations;
}

Terms solve(const Equations& equations) {
  constexpr int kSweepsMax = 200'000;
  constexpr double kConverged = 1e-13;
  Terms x{};
  for (int sweep = 0; sweep < kSweepsMax; ++sweep) {
    double moved = 0;
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      if (equations.gram[i][i] <= 0) continue;
      const double gradient = equations.target[i] - dot(equations.gram[i], x);
      const double next = std::max(0.0, x[i] + gradient / equations.gram[i][i]);
      moved = std::max(moved, std::abs(next - x[i]));
      x[i] = next;
    }
    const double largest = *std::max_element(x.begin(), x.end());
    if (moved <= kConverged * largest) break;
  }
  return x;
}

}  // namespace

LinearCost fit_cost(std::span<const CostSample> samples) {
  CHECK(!samples.empty());
  Terms scales{};
  for (const CostSample& sample : samples) {
    CHECK(sample.seconds > 0);
    const Terms terms = terms_of(sample.shape);
    for (std::size_t i = 0; i < kNumTerms; ++i) scales[i] = std::max(scales[i], terms[i]);
  }
  for (double& scale : scales) scale = std::max(scale, 1.0);
  // Least squares first, then errors beyond a tenth count by their size and not its square, so that
  // a few steps that something else held up do not move what the many say (Huber 1964, by
  // iteratively reweighted least squares).
  constexpr int kNumReweightings = 20;
  constexpr double kErrorMin = 0.1;
  std::vector<double> weights(samples.size(), 1.0);
  Terms x = solve(equations_of(samples, scales, weights));
  for (int i = 0; i < kNumReweightings; ++i) {
    for (std::size_t k = 0; k < samples.size(); ++k) {
      const double error = std::abs(dot(relative_terms(samples[k], scales), x) - 1.0);
      weights[k] = kErrorMin / std::max(error, kErrorMin);
    }
    x = solve(equations_of(samples, scales, weights));
  }
  for (std::size_t i = 0; i < kNumTerms; ++i) x[i] /= scales[i];
  // What the first tokens and those beyond have in common is said once.
  const double per_token = std::min(x[1], x[2]);
  return {.per_step = x[0],
          .per_token = per_token,
          .per_sequence = x[3],
          .per_kv_token = x[5],
          .per_attended = x[6],
          .per_few_token = x[1] - per_token,
          .per_many_token = x[2] - per_token,
          .per_sampled = x[4]};
}

std::vector<double> relative_errors(const LinearCost& cost, std::span<const CostSample> samples) {
  std::vector<double> errors;
  for (const CostSample& sample : samples) {
    errors.push_back(std::abs(cost.seconds(sample.shape) - sample.seconds) / sample.seconds);
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

}  // namespace millrace
