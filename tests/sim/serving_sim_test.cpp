// The simulator over many seeds, and proof that it sees planted bugs.
#include "sim/serving_sim.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace millrace {
namespace {

class ServingSim : public ::testing::TestWithParam<StepLoop> {};

TEST_P(ServingSim, EveryPromiseHoldsOverManySeeds) {
  SimReport sum;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::fflush(nullptr);
    const SimReport report = run_simulation({.seed = seed, .loop = GetParam()});
    if (!report.failure.empty()) print_sim_trace();
    ASSERT_EQ(report.failure, "") << "replay with: serving_sim --seed=" << seed;
    sum.num_requests += report.num_requests;
    sum.num_refused += report.num_refused;
    sum.num_preemptions += report.num_preemptions;
    sum.num_reclaims += report.num_reclaims;
    sum.num_copies += report.num_copies;
    sum.num_cached_tokens += report.num_cached_tokens;
    sum.num_asked_pins += report.num_asked_pins;
    sum.num_found_pins += report.num_found_pins;
    sum.num_failed_steps += report.num_failed_steps;
    sum.num_poisoned += report.num_poisoned;
    for (int end = 0; end < 5; ++end) sum.num_ends[end] += report.num_ends[end];
  }
  // The seeds reach what they are there for.
  EXPECT_GT(sum.num_requests, 1000u);
  EXPECT_GT(sum.num_refused, 100u);
  EXPECT_GT(sum.num_preemptions, 100u);
  EXPECT_GT(sum.num_reclaims, 20u);
  EXPECT_GT(sum.num_copies, 20u);
  EXPECT_GT(sum.num_cached_tokens, 1000u);
  EXPECT_GT(sum.num_asked_pins, 50u);
  EXPECT_GT(sum.num_found_pins, 20u);
  EXPECT_GT(sum.num_failed_steps, 200u);
  EXPECT_GT(sum.num_poisoned, 20u);
  for (const std::uint64_t num_ends : sum.num_ends) EXPECT_GT(num_ends, 20u);
}

TEST_P(ServingSim, SameSeedGivesTheSameLife) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SimReport first = run_simulation({.seed = seed, .loop = GetParam()});
    const SimReport second = run_simulation({.seed = seed, .loop = GetParam()});
    EXPECT_EQ(first.num_steps, second.num_steps);
    EXPECT_EQ(first.num_slots_checked, second.num_slots_checked);
    EXPECT_EQ(first.num_preemptions, second.num_preemptions);
  }
}

INSTANTIATE_TEST_SUITE_P(Loops, ServingSim,
                         ::testing::Values(StepLoop::kSerial, StepLoop::kOverlapped),
                         [](const auto& loop) {
                           return loop.param == StepLoop::kSerial ? "Serial" : "Overlapped";
                         });

// A broken promise may end the process, so each seed has one of its own.
bool is_caught(const SimOptions& options) {
  const pid_t child = ::fork();
  if (child == 0) {
    static_cast<void>(std::freopen("/dev/null", "w", stderr));
    ::_exit(run_simulation(options).failure.empty() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

struct FaultCase {
  const char* name;
  SimFault fault;
  StepLoop loop;
  // Of 100 seeds at least, with and without check_invariants; a leak is seen by counting alone.
  int num_caught_min;
  int num_caught_by_slots_min;
};

class PlantedFault : public ::testing::TestWithParam<FaultCase> {};

TEST_P(PlantedFault, IsCaught) {
  constexpr std::uint64_t kSeeds = 100;
  for (const InvariantChecks checks : {InvariantChecks::kOn, InvariantChecks::kOff}) {
    const bool is_on = checks == InvariantChecks::kOn;
    int num_caught = 0;
    std::uint64_t first = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const SimOptions options{.seed = seed,
                               .fault = GetParam().fault,
                               .invariant_checks = checks,
                               .loop = GetParam().loop};
      if (!is_caught(options)) continue;
      if (num_caught++ == 0) first = seed;
    }
    std::printf("%s, check_invariants %s: %d of %d seeds, first %d\n", GetParam().name,
                is_on ? "on" : "off", num_caught, static_cast<int>(kSeeds),
                static_cast<int>(first));
    EXPECT_GE(num_caught, is_on ? GetParam().num_caught_min : GetParam().num_caught_by_slots_min);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Serving, PlantedFault,
    ::testing::Values(
        FaultCase{"LostReference", SimFault::kLostReference, StepLoop::kSerial, 60, 60},
        FaultCase{"Leak", SimFault::kLeak, StepLoop::kSerial, 60, 60},
        FaultCase{"WrongSlot", SimFault::kWrongSlot, StepLoop::kSerial, 60, 60},
        FaultCase{"SkippedWrite", SimFault::kSkippedWrite, StepLoop::kSerial, 60, 60},
        FaultCase{"StalePrefix", SimFault::kStalePrefix, StepLoop::kSerial, 20, 20},
        FaultCase{"LostReferenceOverlapped", SimFault::kLostReference, StepLoop::kOverlapped, 60,
                  60},
        FaultCase{"LeakOverlapped", SimFault::kLeak, StepLoop::kOverlapped, 60, 60},
        FaultCase{"WrongSlotOverlapped", SimFault::kWrongSlot, StepLoop::kOverlapped, 60, 60},
        FaultCase{"StalePrefixOverlapped", SimFault::kStalePrefix, StepLoop::kOverlapped, 20, 20},
        FaultCase{"EarlyRelease", SimFault::kEarlyRelease, StepLoop::kOverlapped, 60, 60},
        FaultCase{"StaleResult", SimFault::kStaleResult, StepLoop::kOverlapped, 60, 60},
        FaultCase{"LateStop", SimFault::kLateStop, StepLoop::kOverlapped, 25, 25}),
    [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace millrace
