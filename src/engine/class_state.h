// What the scheduler keeps for each service class: who waits, who runs, what it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "engine/sequence.h"
#include "engine/service_class.h"

namespace millrace {

// Waiting sequences, who goes first last, so that taking the head and adding the newest touch
// little. Never allocates after construction.
class WaitingQueue {
 public:
  explicit WaitingQueue(std::size_t num_max) { sequences_.reserve(num_max); }

  std::size_t size() const { return sequences_.size(); }
  bool empty() const { return sequences_.empty(); }
  Sequence& head() const;
  void insert(Sequence& sequence);
  void pop_head();
  // Drops those whose end is known.
  void erase_finished();
  // Who goes first last.
  const std::vector<Sequence*>& sequences() const { return sequences_; }

 private:
  std::vector<Sequence*> sequences_;
};

// Tokens per second over the last half minute of work, so that a wait can be foretold.
class TokenPace {
 public:
  void add(std::size_t num_tokens, Duration elapsed);
  // 0 while nothing was measured.
  double tokens_per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0.0; }

 private:
  double tokens_ = 0;
  double seconds_ = 0;
};

// What a metric says about a class.
struct ClassCounts {
  std::uint64_t num_prompt_tokens = 0;  // computed, those again that preemption lost
  std::uint64_t num_cached_tokens = 0;  // found in the prefix index instead
  std::uint64_t num_asked_tokens = 0;   // that the prefix index was asked for
  std::uint64_t num_output_tokens = 0;
  std::uint64_t num_preemptions = 0;
  std::uint64_t num_reclaims = 0;  // times that others were preempted to give it its quota back
};

enum class Denial : std::uint8_t { kNone, kSlot, kBlocks, kOwnCap };

// Plain state; Scheduler keeps it consistent.
struct ClassState {
  ClassState(std::size_t num_requests_max, std::size_t num_sequences_max)
      : waiting(num_requests_max) {
    prompts.reserve(num_sequences_max);
  }

  WaitingQueue waiting;
  std::size_t num_running = 0;
  std::size_t num_blocks = 0;         // in the tables of its sequences; shared ones count in each
  std::size_t num_elders_passed = 0;  // elders of other classes since its last
  std::size_t num_denied_steps = 0;   // in a row in which it was below its quota and got no room
  TokenPace start_pace;               // of prompts that begin to run, while some wait
  ClassCounts counts;
  // Since the controller last looked: times to first token over the class's target.
  double response_ratios = 0;
  std::size_t num_responses = 0;

  // Within one plan.
  std::size_t num_wanted = 0;      // blocks that it takes whatever happens
  std::vector<Sequence*> prompts;  // running ones with more than one token to compute, in order
  std::size_t num_prompts_dealt = 0;
  bool was_cut = false;           // a prompt got fewer tokens than it could have taken
  Denial denial = Denial::kNone;  // why the head of the waiting ones did not start
};

}  // namespace millrace
