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
  CHECK(num_threads <= kRankMask);
  workers_.reserve(num_threads - 1);
  for (std::size_t rank = 1; rank < num_threads; ++rank) {
    workers_.emplace_back([this, rank] { worker_loop(rank); });
  }
}

ThreadTeam::~ThreadTeam() {
  announce(0);
  for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::announce(std::size_t num_ranks) {
  const std::uint32_t count = (step_.load(std::memory_order_relaxed) >> kRankBits) + 1;
  step_.store(count << kRankBits | static_cast<std::uint32_t>(num_ranks),
              std::memory_order_seq_cst);
  if (num_sleeping_.load(std::memory_order_seq_cst) > 0) step_.notify_all();
}

void ThreadTeam::run(std::size_t num_ranks, FunctionRef<void(std::size_t)> work) {
  CHECK(num_ranks > 0);
  CHECK(num_ranks <= num_threads_);
  num_ranks_ = num_ranks;
  if (num_ranks == 1) {  // The workers notice nothing.
    work(0);
    return;
  }
  work_ = &work;
  announce(num_ranks);
  work(0);
  barrier();  // The last rank out; work must not be touched after this.
}

void ThreadTeam::worker_loop(std::size_t rank) {
  std::uint32_t seen = 0;
  Patience patience = Patience::kSpins;
  for (;;) {
    seen = wait_for_step(seen, patience);
    const std::uint32_t num_ranks = seen & kRankMask;
    if (num_ranks == 0) return;
    // Steps that are not ours are likely to be followed by others.
    patience = rank < num_ranks ? Patience::kSpins : Patience::kSleeps;
    if (rank >= num_ranks) continue;
    (*work_)(rank);
    barrier();
  }
}

std::uint32_t ThreadTeam::wait_for_step(std::uint32_t seen, Patience patience) {
  const std::size_t num_spins = patience == Patience::kSpins ? kSpinsBeforeSleep : 0;
  for (std::size_t spin = 0; spin < num_spins; ++spin) {
    const std::uint32_t step = step_.load(std::memory_order_acquire);
    if (step != seen) return step;
    pause_cpu();
  }
  num_sleeping_.fetch_add(1, std::memory_order_seq_cst);
  std::uint32_t step = step_.load(std::memory_order_seq_cst);
  while (step == seen) {
    step_.wait(seen, std::memory_order_seq_cst);
    step = step_.load(std::memory_order_seq_cst);
  }
  num_sleeping_.fetch_sub(1, std::memory_order_seq_cst);
  return step;
}

void ThreadTeam::barrier() {
  // Before we arrive: after that rank 0 may be in another step already.
  const std::size_t num_ranks = num_ranks_;
  if (num_ranks == 1) return;
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (num_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == num_ranks) {
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
