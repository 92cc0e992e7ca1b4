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
#include "engine/engine_stats.h"
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
  std::vector<Token> tokens;                    // drawn and kept; a stop token is not kept
  std::vector<const Sequence*> started;         // run for the first time
  std::vector<Sequence*> finished;              // with `finish` set
  std::optional<ShareDecision> share_decision;  // the controller moved shares
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
// Up to kOpenPlansMax plans may be open, that is, not applied yet: then num_computed of their
// sequences is where they will be, and the tokens that they draw are counted (num_pending) before
// they are known. What such a plan names stays as it is until it has been applied: a sequence that
// ends meanwhile keeps its blocks, and a block that the index swaps for an equal one is kept aside.
// What needs preemption waits until nothing is open.
//
// One live sequence is the elder until it ends. It is never preempted and moves on in every
// step, by elder_tokens() of its prompt or by one token, so its steps are bounded by
// steps_bound(); the next elder is the first of the class whose turn it is. That bounds
// everybody's wait: README.md.
class Scheduler {
 public:
  static constexpr std::size_t kOpenPlansMax = 2;

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

  // Ends what is cancelled or late, then decides. A plan with chunks is open until apply; fewer
  // than kOpenPlansMax are. One without chunks is not: nothing is live, or all must wait for an
  // open one.
  const StepPlan& plan(TimePoint now);
  // What came of the plan that has been open longest: append, publish, finish, release; learns from
  // the time that it took.
  void apply(const StepResult& result);

  const StepPlan& last_plan() const { return *plan_; }
  std::size_t num_open() const { return num_open_; }
  const StepPlan& oldest_open() const { return open_[first_open_].plan; }
  const StepEvents& events() const { return events_; }
  // Frees the sequences in events().finished and their ids, those that an open plan names later.
  void clear_events();

  // Between steps: takes a prefix of whole blocks into the cache and pins it, without computing it.
  // `fill` gives a block's bytes to those that are not there yet, in order; when it cannot, or
  // there is no room, nothing of the prefix is pinned. Gives how many blocks were filled.
  Result<std::size_t> restore(std::span<const TokenId> prefix, HotSource source,
                              FunctionRef<Status(std::size_t at, BlockId block)> fill);
  const HotPrefixes& hot_prefixes() const { return hot_; }

  // Between steps: the same classes with other shares, bounds, targets and priorities; their caps
  // stay.
  void set_classes(std::span<const ServiceClass> classes);
  // Shares from here on, as parts of all.
  void set_share_parts(std::span<const double> parts) { shares_.set_parts(parts); }
  double share_part(ClassId id) const { return shares_.part(id); }
  // Starts from what was learned before.
  void set_cost_model(const CostModel& model) { costs_.front().model = model; }

  const SchedulerOptions& options() const { return options_; }
  // Of steps on all threads.
  const CostModel& cost_model() const { return costs_.front().model; }
  const PrefixIndex& prefix_index() const { return index_; }
  ClassStats class_stats(ClassId id) const;
  std::size_t num_live() const { return num_live_; }
  // Every SequenceId is below.
  std::size_t num_ids() const { return by_id_.size(); }
  std::size_t num_running() const { return running_.size(); }
  std::size_t num_waiting() const { return num_live_ - running_.size(); }  // parked ones too
  std::size_t num_parked() const { return num_parked_; }

  // When nothing is live and nothing open: whether blocks, ids or counts say otherwise. O(classes).
  bool has_leftovers() const;
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
    std::size_t num_decodes = 0;            // the first chunks of the plan
    double decode_seconds = 0;              // predicted for the decodes alone
    bool is_stalled = false;                // a running prompt lacks blocks: nobody starts
    std::optional<ClassId> reclaiming;      // others were preempted for it in this step
  };

  struct EarlierDeadline {
    bool operator()(const Sequence& a, const Sequence& b) const {
      return *a.request.deadline < *b.request.deadline;
    }
  };

  // Steps on fewer threads take longer, and are learned from apart.
  struct CappedCost {
    std::optional<std::uint32_t> threads_max;
    CostModel model;
  };

  struct OpenPlan {
    StepPlan plan;
    std::vector<Sequence*> sequences;  // by chunk
    std::vector<Sequence*> copied;     // for each copy, whose block is read and whose is written
    TimePoint planned_at{};
  };

  // scheduler.cpp: life cycle.
  ClassState& state_of(const Sequence& sequence) { return classes_[sequence.service_class.index]; }
  const ServiceClass& class_of(const Sequence& sequence) const {
    return options_.classes[sequence.service_class.index];
  }
  void make_costs();
  CostModel& cost_of(std::optional<std::uint32_t> threads_max);
  const CostModel& cost_of(std::optional<std::uint32_t> threads_max) const;
  TimePoint start_by_of(const Sequence& sequence) const;
  void end(Sequence& sequence, Finish finish);
  void expire(TimePoint now);
  void collect_finished();
  void retire_finished();
  void retire(Sequence& sequence);
  void publish(Sequence& sequence, std::size_t num_computed);
  Status check_pin(const Sequence& sequence) const;
  void pin_prompt(Sequence& sequence);
  void unpark_followers(Sequence& leader);
  void unlink_follower(Sequence& follower);
  void open_plan(TimePoint now);
  void prefetch_applied(const OpenPlan& open, std::size_t at) const;
  OpenPlan& close_oldest();
  void apply_chunk(const PlannedChunk& chunk, Sequence& sequence, std::size_t at,
                   const StepResult& result);
  void free_ended();
  void note_response(const Sequence& sequence);
  void take_token(Sequence& sequence, std::size_t chunk, const SampledToken& sample);

  // scheduler_invariants.cpp
  void check_waiting() const;
  void check_open() const;
  void check_threads(const OpenPlan& open) const;

  // scheduler_plan.cpp: who gets what.
  ClassSet all_classes() const;
  void choose_elder();
  bool must_wait();
  ClassId next_elder_class() const;
  void plan_decodes();
  void add_decode(Sequence& sequence, ClassState& state);
  void account_decodes();
  void gather_prompts();
  void deal_prompts();
  bool try_deal(ClassState& state);
  void deal(Sequence& sequence, std::size_t num_tokens);
  std::size_t tokens_left(const Sequence& sequence) const;
  std::size_t tokens_in_time(const Sequence& sequence, std::size_t wanted) const;
  std::optional<std::uint32_t> threads_with(const Sequence& sequence) const;
  std::size_t chunk_tokens(const Sequence& sequence, std::size_t wanted);
  std::size_t prompt_blocks_left(const Sequence& sequence) const;
  std::size_t growth_reserve() const;
  void settle();
  void control_shares(TimePoint now);
  ClassObservation observe_class(ClassId id);
  void add_chunk(Sequence& sequence, std::size_t num_tokens);

  // scheduler_room.cpp: slots and blocks, who must give them up.
  void make_room();
  bool has_plenty() const;
  bool try_find_shortage(ClassSet& among);
  std::optional<ClassId> reclaiming_class() const;
  Sequence* next_reclaimed(ClassId id) const;
  void reclaim();
  Denial start_denial(const Sequence& sequence) const;
  void start(Sequence& sequence);
  void attach_prefix(Sequence& sequence);
  void copy_last_block(Sequence& sequence);
  void extend(Sequence& sequence, std::size_t num_blocks);
  void stop_running(Sequence& sequence);
  void free_blocks(Sequence& sequence);
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
  std::vector<double> configured_parts_;
  FairShare shares_;
  std::vector<CappedCost> costs_;  // one for each cap on threads that there is; first: none
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
  std::vector<Sequence*> finishing_;  // live ones whose finish is set
  IndexedHeap<Sequence, &Sequence::deadline_place, EarlierDeadline> deadlines_;
  std::optional<TimePoint> last_plan_time_;
  std::optional<TimePoint> last_step_end_;  // when the last one that was applied had run
  Budget budget_;
  std::array<OpenPlan, kOpenPlansMax> open_;
  std::size_t first_open_ = 0;  // the oldest
  std::size_t num_open_ = 0;
  OpenPlan* next_ = &open_[0];  // the plan that is made now, or was made last
  StepPlan* plan_ = &open_[0].plan;
  // Ended: until they have been told and no open plan names them.
  std::vector<std::unique_ptr<Sequence>> ended_;
  // Swapped for equal ones of the index while an open plan names them; freed when that is applied.
  std::vector<BlockId> set_aside_;
  StepEvents events_;
};

}  // namespace millrace
