// What the scheduler keeps for each service class: who waits, who runs, what it holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "engine/finish.h"
#include "engine/indexed_heap.h"
#include "engine/sequence.h"
#include "engine/service_class.h"

namespace millrace {

// Waiting sequences of a class by who goes first; one comes or goes in O(log n). Never allocates
// after construction.
class WaitingQueue {
 public:
  explicit WaitingQueue(std::size_t num_max) : heap_(num_max) {}

  std::size_t size() const { return heap_.size(); }
  bool empty() const { return heap_.empty(); }
  std::size_t num_tokens() const { return num_tokens_; }  // Sequence::num_queued_tokens of all
  Sequence& head() const { return heap_.head(); }
  bool contains(const Sequence& sequence) const { return heap_.contains(sequence); }
  void insert(Sequence& sequence);
  void erase(Sequence& sequence);
  // The head first, the others in no order.
  const std::vector<Sequence*>& sequences() const { return heap_.items(); }

 private:
  struct GoesBefore {
    bool operator()(const Sequence& a, const Sequence& b) const { return a.goes_before(b); }
  };

  IndexedHeap<Sequence, &Sequence::waiting_place, GoesBefore> heap_;
  std::size_t num_tokens_ = 0;
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
  std::uint64_t num_lost_tokens = 0;  // computed, and given up by preemption
  std::uint64_t num_reclaims = 0;     // times that others were preempted to give it its quota back
  std::uint64_t num_responses = 0;    // first tokens, and vectors
  double response_seconds = 0;        // from submission to then, of all of them
  std::array<std::uint64_t, kNumFinishReasons> num_finished{};  // by FinishReason
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
  std::size_t num_wanted = 0;          // blocks that it takes whatever happens
  std::size_t num_decodes = 0;         // sequences that compute just one token
  std::size_t num_ending_prompts = 0;  // of them, those whose token is the prompt's last
  std::vector<Sequence*> prompts;      // running ones with more than one token to compute, in order
  std::size_t num_prompts_dealt = 0;
  bool was_cut = false;           // a prompt got fewer tokens than it could have taken
  Denial denial = Denial::kNone;  // why the head of the waiting ones did not start
};

}  // namespace millrace
