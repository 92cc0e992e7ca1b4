// The allocators' own invariants under random histories, and replays whose outcome is known.
#include "simulate/memory_replay.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/random.h"
#include "simulate/general_allocator.h"
#include "simulate/simulation.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

TEST(BestFitAllocator, TakesTheSmallestRangeThatFits) {
  BestFitAllocator allocator(1000, 10);
  EXPECT_EQ(allocator.try_allocate(100), 0u);
  EXPECT_EQ(allocator.try_allocate(51), 100u);  // rounded to 60
  EXPECT_EQ(allocator.try_allocate(200), 160u);
  EXPECT_EQ(allocator.try_allocate(10), 360u);
  allocator.release(0);    // 100 free
  allocator.release(160);  // 200 free
  EXPECT_EQ(allocator.try_allocate(150), 160u);
  EXPECT_EQ(allocator.try_allocate(40), 310u);  // the 50 that are left there, not the 100
  EXPECT_EQ(allocator.held_bytes(), 60u + 10 + 150 + 40);
  EXPECT_EQ(allocator.try_allocate(631), std::nullopt);
  EXPECT_EQ(allocator.try_allocate(630), 370u);
  allocator.check_invariants();
}

TEST(BestFitAllocator, JoinsFreeNeighbours) {
  BestFitAllocator allocator(300, 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(allocator.try_allocate(100));
  allocator.release(0);
  allocator.release(200);
  EXPECT_EQ(allocator.try_allocate(200), std::nullopt);  // 200 free, but apart
  allocator.release(100);
  EXPECT_EQ(allocator.try_allocate(300), 0u);
}

TEST(CachingAllocator, SplitsAndJoinsInsideItsSegments) {
  CachingAllocator allocator(64 * kMiB);
  const auto first = allocator.try_allocate(1000);  // rounded to 1,024, in a segment of 2 MiB
  const auto second = allocator.try_allocate(1000);
  EXPECT_EQ(allocator.reserved_bytes(), 2 * kMiB);
  EXPECT_EQ(*second, *first + 1024);
  const auto third = allocator.try_allocate(5 * kMiB);  // in one of 20 MiB
  EXPECT_EQ(allocator.reserved_bytes(), 22 * kMiB);
  // 41 MiB rounded to 42 fill the device.
  const auto fourth = allocator.try_allocate(41 * kMiB);
  EXPECT_EQ(allocator.reserved_bytes(), 64 * kMiB);
  // What is left of its segment is not worth splitting.
  EXPECT_EQ(allocator.held_bytes(), 2 * 1024 + 5 * kMiB + 42 * kMiB);
  // Free segments are given back for another size; those that are partly used are not.
  allocator.release(*fourth);
  EXPECT_EQ(allocator.try_allocate(43 * kMiB), std::nullopt);
  allocator.release(*third);
  EXPECT_TRUE(allocator.try_allocate(43 * kMiB));
  allocator.release(*first);
  allocator.release(*second);
  allocator.check_invariants();
}

// Ranges never overlap, never leave the arena, and what is released can be had again.
void churn(GeneralAllocator& allocator, std::uint64_t bytes_max, std::uint64_t seed) {
  Random random(seed);
  std::map<std::uint64_t, std::uint64_t> held;
  for (int i = 0; i < 4000; ++i) {
    if (random.chance(0.45) && !held.empty()) {
      auto victim = held.begin();
      std::advance(victim, static_cast<std::ptrdiff_t>(random.below(held.size())));
      allocator.release(victim->first);
      held.erase(victim);
    } else {
      const std::uint64_t num_bytes = random.between(1, bytes_max);
      const auto offset = allocator.try_allocate(num_bytes);
      if (!offset) continue;
      const auto next = held.lower_bound(*offset);
      if (next != held.end()) {
        ASSERT_LE(*offset + num_bytes, next->first);
      }
      if (next != held.begin()) {
        ASSERT_LE(std::prev(next)->first + std::prev(next)->second, *offset);
      }
      held[*offset] = num_bytes;
    }
    if (i % 50 == 0) allocator.check_invariants();
  }
  for (const auto& [offset, num_bytes] : held) allocator.release(offset);
  EXPECT_EQ(allocator.held_bytes(), 0u);
  allocator.check_invariants();
}

TEST(BestFitAllocator, KeepsItsInvariants) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    BestFitAllocator allocator(10'000, 16);
    churn(allocator, 900, seed);
    EXPECT_EQ(allocator.try_allocate(9'990), 0u);
  }
}

TEST(CachingAllocator, KeepsItsInvariants) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CachingAllocator allocator(256 * kMiB);
    churn(allocator, seed % 2 == 0 ? 30 * kMiB : 2 * kMiB, seed);
    EXPECT_TRUE(allocator.try_allocate(256 * kMiB));
  }
}

std::vector<SequenceLog> same_sequences(std::size_t count, SequenceLog one) {
  return std::vector<SequenceLog>(count, one);
}

TEST(ReplayLog, BlocksOfOneTokenWasteNothingInside) {
  ReplayOptions options;
  options.capacity_bytes = 1000;
  options.bytes_per_token = 1;
  options.block_tokens = 1;
  const auto log = same_sequences(200, {.num_prompt = 50, .num_output = 20, .num_prompt_steps = 1});
  const ReplayReport report = replay_log(log, options);
  EXPECT_NEAR(report.internal, 0, 1e-12);
  EXPECT_NEAR(report.useful + report.external, 1, 1e-12);
  EXPECT_GT(report.useful, 0.9);
  EXPECT_EQ(report.num_refused, 0u);
}

TEST(ReplayLog, ReservingTheContextWastesTheRest) {
  ReplayOptions options;
  options.allocator = ReplayAllocator::kBestFit;
  options.placement = KvPlacement::kReserveContext;
  options.capacity_bytes = 1024 * 1000;
  options.bytes_per_token = 1024;
  options.context_tokens = 100;
  // One token of output: each sequence holds 10 tokens for one step.
  const auto log = same_sequences(100, {.num_prompt = 10, .num_output = 1, .num_prompt_steps = 1});
  const ReplayReport report = replay_log(log, options);
  EXPECT_NEAR(report.useful, 0.1, 1e-12);
  EXPECT_NEAR(report.internal, 0.9, 1e-12);
  EXPECT_EQ(report.num_sequences, 10);
}

TEST(ReplayLog, EveryPlacementEndsForUnlikeSequences) {
  Random random(5);
  std::vector<SequenceLog> log;
  for (int i = 0; i < 500; ++i) {
    log.push_back({.num_prompt = static_cast<std::uint32_t>(random.between(1, 400)),
                   .num_output = static_cast<std::uint32_t>(random.between(1, 200)),
                   .num_prompt_steps = static_cast<std::uint32_t>(random.between(1, 3))});
  }
  log.push_back({.num_prompt = 100'000, .num_output = 1, .num_prompt_steps = 1});
  for (const auto& [allocator, placement] :
       {std::pair{ReplayAllocator::kBestFit, KvPlacement::kReserveContext},
        {ReplayAllocator::kBestFit, KvPlacement::kReserveExact},
        {ReplayAllocator::kBestFit, KvPlacement::kReservePower},
        {ReplayAllocator::kBestFit, KvPlacement::kGrowDouble},
        {ReplayAllocator::kCaching, KvPlacement::kReserveExact},
        {ReplayAllocator::kCaching, KvPlacement::kGrowDouble},
        {ReplayAllocator::kBlockPool, KvPlacement::kBlocks}}) {
    ReplayOptions options;
    options.allocator = allocator;
    options.placement = placement;
    options.bytes_per_token = 100'000;
    options.capacity_bytes = 4000 * options.bytes_per_token;
    options.context_tokens = 1024;
    const ReplayReport report = replay_log(log, options);
    EXPECT_EQ(report.num_refused, 1u);
    EXPECT_GT(report.num_steps, 0u);
    EXPECT_NEAR(report.useful + report.internal + report.external, 1, 1e-9);
    EXPECT_GE(report.internal, -1e-9);
    EXPECT_GE(report.external, -1e-9);
  }
}

TEST(AllocationRecorder, LogsWhatTheSchedulerDid) {
  SimulationOptions options;
  options.policy = Policy::kFirstCome;
  options.scheduler.num_requests_max = 1000;
  options.scheduler.step_tokens_max = 100;
  options.scheduler.chunk_tokens_max = 100;
  options.num_blocks = 100;
  options.cost.roofs = {{"all", {.per_step = 1e-3}}};
  AllocationRecorder recorder(options.num_blocks, options.scheduler.block_tokens);
  options.observer = &recorder;
  WorkloadSpec spec;
  spec.num_requests = 100;
  spec.lengths = {.kind = LengthKind::kUniform, .prompt_tokens = 150, .output_tokens = 30};
  spec.arrivals.kind = ArrivalKind::kAtOnce;
  const Trace trace = MUST(make_workload(spec, {}));
  MUST(simulate(trace, options));  // options are within their limits
  const std::vector<SequenceLog> log = recorder.log();
  ASSERT_EQ(log.size(), 100u);
  for (std::size_t i = 0; i < log.size(); ++i) {
    // First come, first served: in the order of the trace.
    EXPECT_EQ(log[i].num_prompt, trace.requests[i].num_prompt);
    EXPECT_EQ(log[i].num_output, trace.requests[i].num_output);
    EXPECT_GE(log[i].num_prompt_steps, (log[i].num_prompt + 99) / 100);
  }
  const ReplayReport ran = recorder.as_it_ran();
  EXPECT_GT(ran.num_steps, 0u);
  EXPECT_NEAR(ran.useful + ran.internal + ran.external, 1, 1e-9);
}

}  // namespace
}  // namespace millrace
