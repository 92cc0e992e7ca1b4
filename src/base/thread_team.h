// Workers that enter a whole step together and meet at spin barriers: no queue, no allocation, no
// lock inside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace millrace {

// The calling thread is rank 0; num_threads - 1 workers wait for it. One step at a time: run() is
// entered by one thread only (the engine thread), and returns when every rank has finished.
//
//   team.run([&](std::size_t rank) { …; team.barrier(); …; });
//
// Between steps workers spin for a moment, then sleep; at a barrier they do the same, so that a
// machine with more threads than free cores still makes progress.
class ThreadTeam {
 public:
  explicit ThreadTeam(std::size_t num_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::size_t num_threads() const { return num_threads_; }

  // Calls work(rank) on every rank at once.
  void run(FunctionRef<void(std::size_t rank)> work) { run(num_threads_, work); }
  // The same on the first `num_ranks` only, at least one: the other workers sleep on, but for
  // finding that the step is not theirs, and leave their cores to others.
  void run(std::size_t num_ranks, FunctionRef<void(std::size_t rank)> work);

  // Every rank of the running step calls this the same number of times; all writes before it are
  // seen by all ranks after it.
  void barrier();

 private:
  // A step as workers see it: the low bits say how many ranks run it, the others count steps. No
  // rank runs the last one. A worker may miss steps that are not its own: a million of them in a
  // row, without looking once, before a count could be mistaken for another.
  static constexpr std::uint32_t kRankBits = 12;
  static constexpr std::uint32_t kRankMask = (1u << kRankBits) - 1;

  enum class Patience : std::uint8_t { kSpins, kSleeps };

  void announce(std::size_t num_ranks);
  void worker_loop(std::size_t rank);
  std::uint32_t wait_for_step(std::uint32_t seen, Patience patience);

  const std::size_t num_threads_;
  std::vector<std::thread> workers_;

  // Written by rank 0 before step_ changes, read by the ranks of that step after they see it.
  const FunctionRef<void(std::size_t)>* work_ = nullptr;
  std::size_t num_ranks_ = 0;

  // On cache lines of their own: each is written by one side and polled by the other.
  alignas(64) std::atomic<std::uint32_t> step_{0};
  alignas(64) std::atomic<std::uint32_t> num_sleeping_{0};
  alignas(64) std::atomic<std::uint32_t> num_arrived_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> num_waiting_{0};  // asleep at the barrier
};

// The part of [0, count) that belongs to `rank`, cut at multiples of `grain`: parts differ by at
// most one grain.
struct WorkRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};
WorkRange split_work(std::size_t count, std::size_t grain, std::size_t rank, std::size_t num_ranks);

}  // namespace millrace
