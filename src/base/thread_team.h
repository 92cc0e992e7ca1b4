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
  void run(FunctionRef<void(std::size_t rank)> work);

  // Every rank of the running step calls this the same number of times; all writes before it are
  // seen by all ranks after it.
  void barrier();

 private:
  void worker_loop(std::size_t rank);
  void wait_for_step(std::uint32_t seen);

  const std::size_t num_threads_;
  std::vector<std::thread> workers_;

  // Written by rank 0 before step_ is raised, read by workers after they see it.
  const FunctionRef<void(std::size_t)>* work_ = nullptr;
  bool stopping_ = false;

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
