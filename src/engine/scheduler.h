// Decides what one step computes: continuous batching, chunked prompts, preemption by recompute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/sequence.h"
#include "engine/step.h"
#include "memory/block_pool.h"

namespace millrace {

struct SchedulerOptions {
  // Waiting and running together; more are refused.
  std::size_t num_requests_max = 1024;
  // Running at once, so chunks and rows of logits in a step. Decode of a small model gains little
  // beyond this on a few cores.
  std::size_t num_sequences_max = 32;
  // Tokens of all chunks of a step; at least num_sequences_max, so that nobody is left out.
  std::size_t step_tokens_max = 256;
  // Tokens of one prompt in one step, so that a test can cut prompts small.
  std::size_t chunk_tokens_max = 256;
  // Of the KV cache; 16 as KvCacheSpec has it.
  std::size_t block_tokens = 16;
};

// kInvalidArgument naming the option, what was found and what is expected.
Status check_options(const SchedulerOptions& options);

// Tokens and ends since the last clear, in the order in which they came about.
struct StepEvents {
  struct Token {
    const Sequence* sequence = nullptr;
    std::size_t chunk = 0;  // of the plan and its result
  };
  std::vector<Token> tokens;                        // drawn and kept; a stop token is not kept
  std::vector<std::unique_ptr<Sequence>> finished;  // with `finish` set and no blocks
};

// A value: no device, no threads, no I/O; the same calls give the same plans. One thread.
//
// Sequences are kept in order of arrival, the running ones before the waiting ones:
//
//   live_:  | running, oldest first | waiting, oldest first |
//                                   ^ num_running_
//
// so a running sequence is always older than a waiting one. A step gives one token to every running
// sequence that needs just one, then cuts chunks of the others' tokens, oldest first, then admits
// from the head of the waiting ones. A sequence gets blocks for all tokens that it knows when it is
// admitted, and one more when it grows past the last. When none is free the youngest running
// sequence gives up all of its blocks and waits again at the head, to be computed once more.
// Admission leaves one free block per running sequence, so that a sequence is not admitted
// just to be preempted.
//
// Never starves: the oldest live sequence is never preempted and gets at least
// steps_bound's share in every step, so a request ends at the latest after the sum of steps_bound
// over itself and the requests that were live when it was submitted.
class Scheduler {
 public:
  // `pool` is that of the KV cache, outlives the scheduler, and is used by nobody else.
  Scheduler(const SchedulerOptions& options, BlockPool& pool);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues a sequence; fewer than num_requests_max are live, and it fits the cache when alone.
  SequenceId submit(std::unique_ptr<Sequence> sequence);
  // The sequence ends with `finish` at the next plan, unless it has ended already.
  void cancel(SequenceId id, Finish finish);

  // Ends what is cancelled or late, then decides. A plan with chunks must be answered by apply or
  // fail before the next one.
  const StepPlan& plan(TimePoint now);
  // The step's tokens: append, finish, release.
  void apply(const StepResult& result);
  // The step came to nothing: every sequence in it ends with the error.
  void fail(const Error& error);

  const StepPlan& last_plan() const { return plan_; }
  const StepEvents& events() const { return events_; }
  // Frees the sequences in events().finished and their ids.
  void clear_events();

  const SchedulerOptions& options() const { return options_; }
  std::size_t num_live() const { return live_.size(); }
  std::size_t num_running() const { return num_running_; }
  std::size_t num_waiting() const { return live_.size() - num_running_; }

  // O(blocks + live): order, counts, and that every block is held by exactly one sequence.
  void check_invariants() const;

 private:
  void end(Sequence& sequence, Finish finish);
  void expire(TimePoint now);
  void collect_finished();
  void plan_decodes();
  void plan_prompts();
  void admit();
  bool can_admit(const Sequence& sequence) const;
  bool try_grow(Sequence& sequence);
  void preempt_youngest();
  void add_chunk(const Sequence& sequence, std::size_t num_tokens);
  void take_token(Sequence& sequence, std::size_t chunk, const SampledToken& sample);

  SchedulerOptions options_;
  BlockPool& pool_;
  std::vector<std::unique_ptr<Sequence>> live_;
  std::size_t num_running_ = 0;
  std::vector<SequenceId> free_ids_;
  std::vector<Sequence*> by_id_;
  std::uint64_t num_arrivals_ = 0;
  std::size_t num_finishing_ = 0;               // live ones whose finish is set
  std::optional<TimePoint> earliest_deadline_;  // of the live ones, or earlier
  StepPlan plan_;
  bool plan_is_open_ = false;  // waits for apply or fail
  StepEvents events_;
};

// Steps in which a request that is the oldest one is surely done.
std::size_t steps_bound(const SchedulerOptions& options, const Request& request);

}  // namespace millrace
