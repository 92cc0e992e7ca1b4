// The team's step hand-over and its barrier.
#include "base/thread_team.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

// About 20 microseconds of pauses: longer than the gap between two steps of a small model, short
// enough that an idle server does not burn a core.
constexpr std::size_t kSpinsBeforeSleep = 2000;
// A barrier inside a step is met within microseconds unless a core was taken away. Then sleeping
// gets it back sooner than yielding does: whoever yields stays in line behind others for a time
// slice per barrier.
constexpr std::size_t kSpinsBeforeWait = 4000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(std::size_t num_threads) : num_threads_(num_threads) {
  CHECK(num_threads > 0);
  workers_.reserve(num_threads - 1);
  for (std::size_t rank = 1; rank < num_threads; ++rank) {
    workers_.emplace_back([this, rank] { worker_loop(rank); });
  }
}

ThreadTeam::~ThreadTeam() {
  stopping_ = true;
  step_.fetch_add(1, std::memory_order_release);
  step_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::run(FunctionRef<void(std::size_t)> work) {
  if (num_threads_ == 1) {
    work(0);
    return;
  }
  work_ = &work;
  step_.fetch_add(1, std::memory_order_seq_cst);
  if (num_sleeping_.load(std::memory_order_seq_cst) > 0) step_.notify_all();
  work(0);
  barrier();  // The last rank out; work must not be touched after this.
}

void ThreadTeam::worker_loop(std::size_t rank) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_for_step(seen);
    ++seen;
    if (stopping_) return;
    (*work_)(rank);
    barrier();
  }
}

void ThreadTeam::wait_for_step(std::uint32_t seen) {
  for (std::size_t spin = 0; spin < kSpinsBeforeSleep; ++spin) {
    if (step_.load(std::memory_order_acquire) != seen) return;
    pause_cpu();
  }
  num_sleeping_.fetch_add(1, std::memory_order_seq_cst);
  while (step_.load(std::memory_order_seq_cst) == seen) step_.wait(seen, std::memory_order_seq_cst);
  num_sleeping_.fetch_sub(1, std::memory_order_seq_cst);
}

void ThreadTeam::barrier() {
  if (num_threads_ == 1) return;
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (num_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == num_threads_) {
    num_arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_seq_cst);
    if (num_waiting_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();
    return;
  }
  for (std::size_t spin = 0; spin < kSpinsBeforeWait; ++spin) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    pause_cpu();
  }
  num_waiting_.fetch_add(1, std::memory_order_seq_cst);
  while (generation_.load(std::memory_order_seq_cst) == generation) {
    generation_.wait(generation, std::memory_order_seq_cst);
  }
  num_waiting_.fetch_sub(1, std::memory_order_seq_cst);
}

WorkRange split_work(std::size_t count, std::size_t grain, std::size_t rank,
                     std::size_t num_ranks) {
  CHECK(grain > 0);
  CHECK(rank < num_ranks);
  const std::size_t num_grains = (count + grain - 1) / grain;
  const std::size_t begin = num_grains * rank / num_ranks * grain;
  const std::size_t end = num_grains * (rank + 1) / num_ranks * grain;
  return {std::min(begin, count), std::min(end, count)};
}

}  // namespace millrace
