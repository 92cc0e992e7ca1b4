// ThreadTeam: every rank runs every step, barriers order writes, and ranges cover the work once.
#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <numeric>

namespace millrace {
namespace {

TEST(ThreadTeam, EveryRankRunsEveryStep) {
  for (const std::size_t num_threads : {1u, 2u, 3u, 5u}) {
    ThreadTeam team(num_threads);
    std::vector<int> calls(num_threads, 0);
    for (int step = 0; step < 200; ++step) team.run([&](std::size_t rank) { ++calls[rank]; });
    for (const int count : calls) EXPECT_EQ(count, 200);
  }
}

// Fewer ranks run a step, then more again: nobody runs what is not his, and nobody misses his own.
TEST(ThreadTeam, StepsOfFewerRanksLeaveTheOthersOut) {
  constexpr std::size_t kThreads = 5;
  ThreadTeam team(kThreads);
  std::vector<std::size_t> calls(kThreads, 0);
  std::vector<std::size_t> expected(kThreads, 0);
  for (std::size_t step = 0; step < 600; ++step) {
    const std::size_t num_ranks = 1 + (step * step / 7 + step) % kThreads;
    std::size_t num_after_barrier[kThreads] = {};
    team.run(num_ranks, [&](std::size_t rank) {
      ++calls[rank];
      team.barrier();
      num_after_barrier[rank] = std::accumulate(calls.begin(), calls.end(), std::size_t{0});
    });
    for (std::size_t rank = 0; rank < num_ranks; ++rank) ++expected[rank];
    const std::size_t sum = std::accumulate(expected.begin(), expected.end(), std::size_t{0});
    for (std::size_t rank = 0; rank < num_ranks; ++rank) ASSERT_EQ(num_after_barrier[rank], sum);
  }
  EXPECT_EQ(calls, expected);
  // They slept meanwhile, and wake when they are wanted.
  for (int step = 0; step < 30; ++step) {
    for (int i = 0; i < 10; ++i) team.run(2, [&](std::size_t rank) { ++calls[rank]; });
    team.run([&](std::size_t rank) { ++calls[rank]; });
  }
  for (std::size_t rank = 0; rank < kThreads; ++rank) {
    EXPECT_EQ(calls[rank], expected[rank] + (rank < 2 ? 330 : 30));
  }
}

TEST(ThreadTeam, BarrierMakesWritesOfAllRanksVisible) {
  constexpr std::size_t kThreads = 4;
  ThreadTeam team(kThreads);
  std::vector<std::size_t> cells(kThreads, 0);
  std::vector<std::size_t> sums(kThreads, 0);
  team.run([&](std::size_t rank) {
    for (std::size_t round = 1; round <= 500; ++round) {
      cells[rank] = round;
      team.barrier();
      sums[rank] += std::accumulate(cells.begin(), cells.end(), std::size_t{0});
      team.barrier();
    }
  });
  for (const std::size_t sum : sums) EXPECT_EQ(sum, kThreads * 500 * 501 / 2);
}

TEST(SplitWork, CoversTheRangeOnceInWholeGrains) {
  for (const std::size_t count : {0u, 1u, 15u, 16u, 17u, 100u, 4096u}) {
    for (const std::size_t num_ranks : {1u, 2u, 3u, 7u}) {
      std::size_t expected_begin = 0;
      for (std::size_t rank = 0; rank < num_ranks; ++rank) {
        const WorkRange range = split_work(count, 16, rank, num_ranks);
        EXPECT_EQ(range.begin, expected_begin);
        EXPECT_LE(range.begin, range.end);
        if (range.end != count) {
          EXPECT_EQ(range.end % 16, 0u);
        }
        expected_begin = range.end;
      }
      EXPECT_EQ(expected_begin, count);
    }
  }
}

}  // namespace
}  // namespace millrace
