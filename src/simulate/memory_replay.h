// Replays the KV allocations of a run through other ways to give memory out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "simulate/lane.h"

namespace millrace {

// What one sequence did with memory: in the order in which sequences were admitted.
struct SequenceLog {
  std::uint32_t num_prompt = 0;
  std::uint32_t num_output = 0;
  std::uint32_t num_prompt_steps = 0;  // in which its prompt was computed, evenly
};

// How a sequence's keys and values get their memory.
enum class KvPlacement : std::uint8_t {
  kReserveContext,  // one range for the longest sequence allowed
  kReserveExact,    // one range for all that it will need, as if an oracle told
  kReservePower,    // one range of the next power of two tokens above that
  kGrowDouble,      // one range that doubles: a new one, a copy, the old one back
  kBlocks,          // blocks of a pool, taken as tokens come
};

enum class ReplayAllocator : std::uint8_t { kBestFit, kCaching, kBlockPool };

struct ReplayOptions {
  ReplayAllocator allocator = ReplayAllocator::kBlockPool;
  KvPlacement placement = KvPlacement::kBlocks;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t bytes_per_token = 0;
  std::uint32_t context_tokens = 16'384;  // of kReserveContext
  std::size_t block_tokens = 16;          // of kBlocks
};

// While the queue was not empty, as parts of the capacity C, with U the bytes of live tokens:
// useful U/C, internal (held - U)/C, external (C - held)/C. They add up to 1.
struct ReplayReport {
  double useful = 0;
  double internal = 0;
  double external = 0;
  double num_sequences = 0;     // running, mean
  std::uint64_t num_steps = 0;  // that were counted
  std::uint64_t num_preemptions = 0;
  std::uint64_t num_refused = 0;  // could not be placed even alone
};

// Watches a simulated run; also adds up how well its own pool was used while requests waited.
class AllocationRecorder final : public StepObserver {
 public:
  // Of the pool that is watched.
  AllocationRecorder(std::uint32_t num_blocks, std::size_t block_tokens)
      : num_blocks_(num_blocks), block_tokens_(block_tokens) {}

  void on_plan(const Scheduler& scheduler) override;
  void on_finished(const Sequence& sequence) override;

  // Of all sequences that finished.
  std::vector<SequenceLog> log() const;
  // Of the run itself, in steps with requests that waited: prompts must share nothing, so that each
  // block has one holder.
  ReplayReport as_it_ran() const;

 private:
  struct Entry {
    std::size_t order = 0;  // of its first run
    SequenceLog log;
    bool has_finished = false;
  };

  const std::uint32_t num_blocks_;
  const std::size_t block_tokens_;
  ReplayReport sums_;
  std::unordered_map<std::uint64_t, Entry> entries_;  // by request
};

// Closed loop: all sequences of the log wait at first; each step every running one gets the next
// piece of its prompt or one token, ended ones give their memory back, and the head of the queue
// starts while it can be placed. When a running one cannot grow, the youngest gives its memory
// up and waits again at the head. Counted from the first head that did not fit until the queue is
// empty. The pool keeps one block free for each eight running sequences when one starts, as
// the scheduler does.
ReplayReport replay_log(const std::vector<SequenceLog>& log, const ReplayOptions& options);

}  // namespace millrace
