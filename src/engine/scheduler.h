// Decides what one step computes: shares of classes, chunked prompts, prefix reuse, preemption.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "engine/class_state.h"
#include "engine/cost_model.h"
#include "engine/fair_share.h"
#include "engine/hot_prefixes.h"
#include "engine/scheduler_options.h"
#include "engine/sequence.h"
#include "engine/step.h"
#include "memory/block_pool.h"
#include "memory/prefix_index.h"

namespace millrace {

// Tokens, starts and ends since the last clear, in the order in which they came about.
struct StepEvents {
  struct Token {
    const Sequence* sequence = nullptr;
    std::size_t chunk = 0;  // of the plan and its result
  };
  std::vector<Token> tokens;                        // drawn and kept; a stop token is not kept
  std::vector<const Sequence*> started;             // run for the first time
  std::vector<std::unique_ptr<Sequence>> finished;  // with `finish` set and no blocks
  std::optional<ShareDecision> share_decision;      // the controller moved shares
};

// How a class stands.
struct ClassStatus {
  std::size_t num_waiting = 0;
  std::size_t num_running = 0;
  std::size_t num_blocks = 0;  // in its sequences' tables; shared ones count in each
  double share_part = 0;       // of all
  std::uint64_t work_done = 0;
  double start_tokens_per_second = 0;  // of prompts, while some wait; 0 when not known
  ClassCounts counts;
};

// A value: no device, no threads, no I/O; the same calls give the same plans. One thread.
//
//   class A:  prompts that run | waiting by start_by     running_: decodes and prompts of all
//   class B:  prompts that run | waiting by start_by     classes in order of admission
//
// A step gives one token to every running sequence that needs just one, then deals chunks of
// prompts: the class that is furthest behind its share (FairShare) takes the next chunk, for its
// running prompts first, then for the head of its waiting ones. Blocks are taken as chunks need
// them. When none is free or idle, running sequences of the class that is most over its quota are
// preempted, youngest first: they give up their blocks and wait again; what the prefix index keeps
// of them meanwhile they need not compute again.
//
// One live sequence is the elder until it ends. It is never preempted and moves on in every
// step, by elder_tokens() of its prompt or by one token, so its steps are bounded by
// steps_bound(); the next elder is the first of the class whose turn it is. That bounds
// everybody's wait: README.md.
class Scheduler {
 public:
  // `pool` is that of the KV cache, outlives the scheduler, and is used by nobody else.
  Scheduler(const SchedulerOptions& options, BlockPool& pool);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues a sequence; fewer than num_requests_max are live, and it fits the cache when alone and
  // the cap of its class.
  // With a leader, which has the same prompt, class and salt and is live: the sequence is parked
  // until the leader has computed the prompt or ended, then shares its blocks.
  SequenceId submit(std::unique_ptr<Sequence> sequence,
                    std::optional<SequenceId> leader = std::nullopt);
  // The sequence ends with `finish` at the next plan, unless it has ended already.
  void cancel(SequenceId id, Finish finish);

  // Ends what is cancelled or late, then decides. A plan with chunks must be answered by apply or
  // fail before the next one.
  const StepPlan& plan(TimePoint now);
  // The step's tokens: append, publish, finish, release; learns from the time that it took.
  void apply(const StepResult& result);
  // The step came to nothing: every sequence in it ends with the error.
  void fail(const Error& error);

  const StepPlan& last_plan() const { return plan_; }
  const StepEvents& events() const { return events_; }
  // Frees the sequences in events().finished and their ids.
  void clear_events();

  // Between steps: takes a prefix of whole blocks into the cache and pins it, without computing it.
  // `fill` gives a block's bytes to those that are not there yet, in order; when it cannot, or
  // there is no room, nothing of the prefix is pinned. Gives how many blocks were filled.
  Result<std::size_t> restore(std::span<const TokenId> prefix, HotSource source,
                              FunctionRef<Status(std::size_t at, BlockId block)> fill);
  const HotPrefixes& hot_prefixes() const { return hot_; }

  // Shares from here on, as parts of all.
  void set_share_parts(std::span<const double> parts) { shares_.set_parts(parts); }
  double share_part(ClassId id) const { return shares_.part(id); }
  // Starts from what was learned before.
  void set_cost_model(const CostModel& model) { cost_model_ = model; }

  const SchedulerOptions& options() const { return options_; }
  const CostModel& cost_model() const { return cost_model_; }
  const PrefixIndex& prefix_index() const { return index_; }
  ClassStatus class_status(ClassId id) const;
  std::size_t num_live() const { return num_live_; }
  std::size_t num_running() const { return running_.size(); }
  std::size_t num_waiting() const { return num_live_ - running_.size(); }  // parked ones too

  // O(blocks + live): order, counts, and that every reference to a block is accounted for.
  void check_invariants() const;

 private:
  enum class Room : std::uint8_t { kSlots, kBlocks };

  // What a plan has left, besides the plan itself.
  struct Budget {
    std::size_t elder_tokens = 0;  // kept back for the elder's prompt until it is dealt
    std::size_t elder_blocks = 0;
    std::size_t prompt_tokens = 0;          // dealt so far
    std::optional<Duration> step_time_max;  // strictest token target of those that decode
    double decode_seconds = 0;              // predicted for the decodes alone
    bool is_stalled = false;                // a running prompt lacks blocks: nobody starts
    std::optional<ClassId> reclaiming;      // others were preempted for it in this step
  };

  // scheduler.cpp: life cycle.
  ClassState& state_of(const Sequence& sequence) {
    return classes_[sequence.request.service_class.index];
  }
  TimePoint start_by_of(const Sequence& sequence) const;
  void end(Sequence& sequence, Finish finish);
  void expire(TimePoint now);
  void collect_finished();
  void retire_finished();
  void retire(Sequence& sequence);
  void publish(Sequence& sequence);
  Status check_pin(const Sequence& sequence) const;
  void pin_prompt(Sequence& sequence);
  void unpark_followers(Sequence& leader);
  void note_response(const Sequence& sequence, Duration elapsed);
  void take_token(Sequence& sequence, std::size_t chunk, const SampledToken& sample);

  // scheduler_plan.cpp: who gets what.
  ClassSet all_classes() const;
  void choose_elder();
  ClassId next_elder_class() const;
  void plan_decodes();
  void gather_prompts();
  void deal_prompts();
  bool try_deal(ClassState& state);
  void deal(Sequence& sequence, std::size_t num_tokens);
  std::size_t tokens_left(const Sequence& sequence) const;
  std::size_t tokens_in_time(std::size_t num_computed, std::size_t wanted) const;
  std::size_t chunk_tokens(const Sequence& sequence, std::size_t wanted);
  std::size_t prompt_blocks_left(const Sequence& sequence) const;
  std::size_t growth_reserve() const;
  void settle();
  void control_shares(TimePoint now);
  ClassObservation observe_class(ClassId id);
  void add_chunk(const Sequence& sequence, std::size_t num_tokens);

  // scheduler_room.cpp: slots and blocks, who must give them up.
  void make_room();
  bool try_find_shortage(ClassSet& among);
  void reclaim();
  Denial start_denial(const Sequence& sequence) const;
  void start(Sequence& sequence);
  void attach_prefix(Sequence& sequence);
  void copy_last_block(Sequence& sequence);
  void extend(Sequence& sequence, std::size_t num_blocks);
  void give_back(Sequence& sequence);
  std::size_t blocks_wanted(const Sequence& sequence) const;
  double quota(ClassId id, Room room) const;
  double held(ClassId id, Room room) const;
  bool is_below_quota(ClassId id, Room room) const;
  ClassSet over_quota(Room room) const;
  Sequence* youngest_of_most_over(ClassSet among, Room room) const;
  void preempt(Sequence& sequence);

  SchedulerOptions options_;
  BlockPool& pool_;
  PrefixIndex index_;
  HotPrefixes hot_;
  FairShare shares_;
  CostModel cost_model_;
  std::optional<ShareController> controller_;
  std::vector<ClassState> classes_;
  std::vector<std::unique_ptr<Sequence>> by_id_;
  std::vector<SequenceId> free_ids_;
  std::vector<Sequence*> running_;  // in order of admission
  Sequence* elder_ = nullptr;
  std::vector<std::size_t> elders_passed_max_;  // by class
  std::size_t num_live_ = 0;
  std::size_t num_parked_ = 0;
  std::uint64_t num_arrivals_ = 0;
  std::size_t num_finishing_ = 0;               // live ones whose finish is set
  std::optional<TimePoint> earliest_deadline_;  // of the live ones, or earlier
  std::optional<TimePoint> last_plan_time_;
  Budget budget_;
  StepPlan plan_;
  bool plan_is_open_ = false;  // waits for apply or fail
  StepEvents events_;
};

}  // namespace millrace
