// The fit finds coefficients that made the samples, and none below zero.
#include "simulate/cost_fit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace millrace {
namespace {

std::vector<CostSample> samples_of(const LinearCost& cost, double noise, std::uint64_t seed) {
  Random random(seed);
  std::vector<CostSample> samples;
  for (int i = 0; i < 100; ++i) {
    CostSample sample;
    for (std::uint64_t n = random.below(16); n > 0; --n) {
      sample.shape.add_chunk(random.below(2000), 1, 1);
    }
    sample.shape.add_chunk(random.below(1000), random.between(1, 512), random.below(2));
    sample.seconds = cost.seconds(sample.shape) * (1 + noise * (random.uniform() - 0.5));
    samples.push_back(sample);
  }
  return samples;
}

constexpr LinearCost kCost = {.per_step = 2e-3,
                              .per_token = 1e-5,
                              .per_sequence = 3e-5,
                              .per_kv_token = 2e-8,
                              .per_attended = 4e-9,
                              .per_many_token = 2e-6,
                              .per_sampled = 4e-5};

TEST(FitCost, FindsWhatMadeTheSamples) {
  const LinearCost found = fit_cost(samples_of(kCost, 0, 1));
  EXPECT_NEAR(found.per_step, kCost.per_step, 1e-3 * kCost.per_step);
  EXPECT_NEAR(found.per_token, kCost.per_token, 1e-3 * kCost.per_token);
  EXPECT_NEAR(found.per_sequence, kCost.per_sequence, 1e-2 * kCost.per_sequence);
  EXPECT_NEAR(found.per_kv_token, kCost.per_kv_token, 1e-2 * kCost.per_kv_token);
  EXPECT_NEAR(found.per_attended, kCost.per_attended, 1e-2 * kCost.per_attended);
  EXPECT_NEAR(found.per_many_token, kCost.per_many_token, 1e-2 * kCost.per_many_token);
  EXPECT_NEAR(found.per_sampled, kCost.per_sampled, 1e-2 * kCost.per_sampled);
  EXPECT_EQ(found.per_few_token, 0);
}

TEST(FitCost, ForetellsUnseenStepsThroughNoise) {
  const LinearCost found = fit_cost(samples_of(kCost, 0.1, 1));
  const std::vector<double> errors = relative_errors(found, samples_of(kCost, 0, 2));
  ASSERT_EQ(errors.size(), 100u);
  // Noise is within 5 %, so a fit to a hundred of them is nearer than that.
  EXPECT_LT(errors.back(), 0.05);
  EXPECT_TRUE(std::is_sorted(errors.begin(), errors.end()));
}

TEST(FitCost, NeverGoesBelowZero) {
  // Seconds fall with tokens, which no cost may.
  std::vector<CostSample> samples;
  for (std::uint64_t n = 1; n <= 20; ++n) {
    CostSample sample{.shape = {}, .seconds = 1.0 / static_cast<double>(n)};
    sample.shape.add_chunk(0, n, 1);
    samples.push_back(sample);
  }
  const LinearCost found = fit_cost(samples);
  for (const double term :
       {found.per_step, found.per_token, found.per_sequence, found.per_kv_token, found.per_attended,
        found.per_few_token, found.per_many_token, found.per_sampled}) {
    EXPECT_GE(term, 0);
  }
  EXPECT_GT(found.seconds(samples[0].shape), 0);
}

}  // namespace
}  // namespace millrace
