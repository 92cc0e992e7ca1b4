// The cost model against machines whose times are known.
#include "engine/cost_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace millrace {
namespace {

// Seconds of the CPU that the project is developed on, in orders of magnitude.
constexpr CostModel::Coefficients kMachine = {0.01, 8e-4, 5e-4, 2e-4, 1e-4, 2e-7, 1e-9};

// A step as a server makes them: some decodes, now and then a chunk of a prompt.
StepShape draw_shape(Random& random) {
  StepShape shape;
  const std::size_t num_decodes = random.below(32);
  for (std::size_t i = 0; i < num_decodes; ++i) shape.add_chunk(random.below(4000), 1, 1);
  if (num_decodes == 0 || random.chance(0.5)) {
    shape.add_chunk(random.below(2000), random.between(1, 256), random.below(2));
  }
  return shape;
}

double mean_error(const CostModel& model, const CostModel& machine) {
  Random random(99);
  double sum = 0;
  constexpr int kSteps = 500;
  for (int i = 0; i < kSteps; ++i) {
    const StepShape shape = draw_shape(random);
    sum += std::abs(model.predict(shape) / machine.predict(shape) - 1);
  }
  return sum / kSteps;
}

TEST(StepShape, CountsWhatAttentionReadsAndComputes) {
  StepShape shape;
  shape.add_chunk(10, 1, 1);
  shape.add_chunk(4, 3, 0);
  EXPECT_EQ(shape, (StepShape{.num_tokens = 4,
                              .num_sequences = 2,
                              .num_kv_tokens = 11 + 7,
                              .num_attended = 11 + (5 + 6 + 7),
                              .num_sampled = 1}));
  EXPECT_EQ(shape.num_few_tokens(), 4u);
  EXPECT_EQ(shape.num_many_tokens(), 0u);
  shape.add_chunk(0, 100, 1);
  EXPECT_EQ(shape.num_few_tokens(), 16u);
  EXPECT_EQ(shape.num_many_tokens(), 88u);
  EXPECT_EQ(shape.num_sampled, 2u);
}

TEST(CostModel, LearnsALinearMachine) {
  const CostModel machine(kMachine);
  CostModel model;
  EXPECT_FALSE(model.is_learned());
  EXPECT_EQ(model.predict({.num_tokens = 5}), 0);
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const StepShape shape = draw_shape(random);
    model.observe(shape, machine.predict(shape));
  }
  EXPECT_TRUE(model.is_learned());
  EXPECT_LT(mean_error(model, machine), 0.02);
  EXPECT_LT(model.relative_error(), 0.02);
}

TEST(CostModel, LearnsThroughNoiseAndInterruptions) {
  const CostModel machine(kMachine);
  CostModel model;
  Random random(2);
  for (int i = 0; i < 3000; ++i) {
    const StepShape shape = draw_shape(random);
    const double factor = random.chance(0.01) ? 20.0 : std::exp(0.1 * random.normal());
    model.observe(shape, machine.predict(shape) * factor);
  }
  // One step in a hundred counts as four, which is 3 %; the rest is the noise of the fit.
  EXPECT_LT(mean_error(model, machine), 0.08);
}

TEST(CostModel, FollowsAMachineThatSlowsDown) {
  CostModel::Coefficients half = kMachine;
  for (double& seconds : half) seconds /= 2;
  CostModel model(half);
  EXPECT_TRUE(model.is_learned());
  const CostModel machine(kMachine);
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    const StepShape shape = draw_shape(random);
    model.observe(shape, machine.predict(shape));
  }
  EXPECT_LT(mean_error(model, machine), 0.03);
}

// Reading the weights is the limit of small steps, arithmetic of large ones: the first rows are
// nearly free and those beyond are not.
TEST(CostModel, LearnsThatFirstTokensAreCheap) {
  const CostModel machine({0.017, 5e-5, 7e-4, 2e-4, 1e-4, 5e-7, 3e-7});
  CostModel model;
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    const StepShape shape = draw_shape(random);
    model.observe(shape, machine.predict(shape));
  }
  EXPECT_LT(mean_error(model, machine), 0.02);
  EXPECT_LT(model.coefficients()[1], model.coefficients()[2]);
}

// Some neighbour takes a fifth of the machine for a while: predictions follow within twenty steps,
// and come back when it has gone.
TEST(CostModel, FollowsTheSpeedOfTheMoment) {
  const CostModel machine(kMachine);
  CostModel model;
  Random random(8);
  const auto observe = [&](int num_steps, double factor) {
    for (int i = 0; i < num_steps; ++i) {
      const StepShape shape = draw_shape(random);
      model.observe(shape, machine.predict(shape) * factor);
    }
  };
  observe(1000, 1.0);
  observe(20, 1.25);
  StepShape shape;
  shape.add_chunk(500, 64, 1);
  EXPECT_NEAR(model.predict(shape) / machine.predict(shape), 1.25, 0.06);
  observe(30, 1.0);
  EXPECT_NEAR(model.predict(shape) / machine.predict(shape), 1.0, 0.05);
}

// Whatever is observed, doing more is never predicted to take less.
TEST(CostModel, CoefficientsAreNeverBelowZero) {
  CostModel model;
  Random random(4);
  for (int i = 0; i < 1000; ++i) {
    model.observe(draw_shape(random), 1e-6 + random.uniform());
    for (const double seconds : model.coefficients()) {
      ASSERT_GE(seconds, 0);
      ASSERT_TRUE(std::isfinite(seconds));
    }
  }
}

TEST(CostModel, GivesTheLongestChunkThatFits) {
  const CostModel machine(kMachine);
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    const StepShape step = draw_shape(random);
    const std::size_t computed = random.below(3000);
    const double limit = machine.predict(step) + 0.2 * random.uniform();
    const std::size_t found = machine.tokens_within(step, computed, 512, limit);
    const auto seconds = [&](std::size_t tokens) {
      StepShape with = step;
      with.add_chunk(computed, tokens, 1);
      return machine.predict(with);
    };
    if (found > 0) {
      EXPECT_LE(seconds(found), limit);
    }
    if (found < 512) {
      EXPECT_GT(seconds(found + 1), limit);
    }
  }
}

TEST(CostModel, ObservationIsAValueOfTheHistory) {
  CostModel first;
  CostModel second;
  Random random(6);
  for (int i = 0; i < 100; ++i) {
    const StepShape shape = draw_shape(random);
    const double seconds = 0.001 + random.uniform();
    first.observe(shape, seconds);
    second.observe(shape, seconds);
  }
  EXPECT_EQ(first.coefficients(), second.coefficients());
}

}  // namespace
}  // namespace millrace
