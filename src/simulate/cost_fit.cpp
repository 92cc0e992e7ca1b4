// Normal equations of five scaled terms, solved within their bounds.
#include "simulate/cost_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kNumTerms = 5;
using Terms = std::array<double, kNumTerms>;

Terms terms_of(const StepShape& shape) {
  return {1.0, static_cast<double>(shape.num_tokens), static_cast<double>(shape.num_sequences),
          static_cast<double>(shape.num_kv_tokens), static_cast<double>(shape.num_attended)};
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

// Each sample weighs as its relative error; terms are divided by `scales`.
Equations equations_of(std::span<const CostSample> samples, const Terms& scales) {
  Equations equations;
  for (const CostSample& sample : samples) {
    Terms terms = terms_of(sample.shape);
    for (std::size_t i = 0; i < kNumTerms; ++i) terms[i] /= scales[i] * sample.seconds;
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      for (std::size_t j = 0; j < kNumTerms; ++j) equations.gram[i][j] += terms[i] * terms[j];
      equations.target[i] += terms[i];
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
  const Terms x = solve(equations_of(samples, scales));
  return {.per_step = x[0] / scales[0],
          .per_token = x[1] / scales[1],
          .per_sequence = x[2] / scales[2],
          .per_kv_token = x[3] / scales[3],
          .per_attended = x[4] / scales[4]};
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
