// The loop: drain the inbox, plan, run, apply, emit. Takes requests from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "engine/admission.h"
#include "engine/engine_meter.h"
#include "engine/model_runner.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/token_stream.h"
#include "memory/block_pool.h"

namespace millrace {

struct EngineOptions {
  SchedulerOptions scheduler = {};
  std::size_t vocabulary = 0;      // V of the model
  std::size_t context_tokens = 0;  // prompt and generated tokens of one request
  // What the runner can do beside drawing tokens: RequestLimits has the meaning.
  std::size_t pooled_width = 0;
  std::size_t adapter_rank_max = 0;
  // Of one block of the KV cache; needed where a class has a kv_bytes_max.
  std::uint64_t block_bytes = 0;
  // Mixed with the request's id when a request brings no seed of its own. Whoever wants a different
  // text at every start passes something different.
  std::uint64_t seed = 0;
  // Told of the streams whose requests have a `watch`; outlives the engine.
  StreamListener* listener = nullptr;
};

enum class Shutdown : std::uint8_t {
  kDrain,   // what was accepted is finished
  kCancel,  // what was accepted ends as cancelled
};

// One thread owns all serving state: the one that runs after start(), or the one that calls step()
// where tests and the simulator turn the loop by hand; never both. submit and shutdown may be
// called from any thread. Every accepted request ends exactly once, whatever happens.
class Engine {
 public:
  // The pool is the KV cache's; it, the runner and the clock outlive the engine and are used by
  // nobody else while it runs. kInvalidArgument when an option is outside its limits.
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options, BlockPool& pool,
                                                ModelRunner& runner, const Clock& clock);
  // Cancels what is live and waits for the thread.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Checks the request, gives it an id and queues it. kInvalidArgument or kTooLarge when it can
  // never run; kResourceExhausted when too many are live, its class's queue is full, or its wait
  // would be too long, see Admission; kUnavailable after shutdown.
  Result<TokenStream> submit(Request request);
  // The same for so many answers to one prompt, 1 to kChoicesMax, which is computed once: a stream
  // each, all or none. Answer i > 0 draws from a seed of its own, made from the request's and i.
  Result<std::vector<TokenStream>> submit_choices(Request request, std::size_t num_choices);

  // Computes a hot prompt like a request of its class and keeps its whole blocks in the cache for
  // as long as the engine lives, for requests without salt. The stream ends with kLength when it is
  // there, with an error that has both numbers when it does not fit HotPrefixOptions.
  Result<TokenStream> pin(std::vector<TokenId> prefix, ClassId service_class = {});
  // The same from bytes that were saved, see Scheduler::restore. Before start(), or by hand.
  Result<std::size_t> restore(std::span<const TokenId> prefix, HotSource source,
                              FunctionRef<Status(std::size_t at, BlockId block)> fill);
  // What is pinned, for whoever saves it. Any thread; nothing of it changes until `visit` returns.
  Status visit_hot(FunctionRef<Status(std::span<const HotPrefix>)> visit) const {
    return scheduler_.hot_prefixes().visit(visit);
  }

  // Runs the loop on a thread of its own until shutdown.
  void start();
  // No new requests from here on. With start(): returns when all streams have ended. By hand: the
  // next steps end them.
  void shutdown(Shutdown how);

  // One turn by hand; false when there was nothing to do. When the loop overlaps, the turn begins a
  // step and finishes the one before; when nothing is live any more, none is left running.
  bool step();
  // Finishes what the last turn has begun, for whoever wants to use the device otherwise.
  void settle();
  // When nothing is live, once in kIdleCheckInterval at most: looks whether anything was left over.
  // What is found is counted (EngineStats::num_breaches); in debug builds it ends the process.
  void check_idle();
  static constexpr Duration kIdleCheckInterval = std::chrono::seconds(1);
  // By hand too, for whoever steps several engines: accepts what was submitted and says whose
  // requests are live.
  ClassSet poll();
  // Accepted and not ended. Any thread.
  std::size_t num_live() const { return num_live_.load(std::memory_order_relaxed); }

  // From the next turn on: other shares, bounds, targets, limits of queues and priorities of the
  // same classes in the same order. Caps on the cache stay as they are. Any thread.
  void set_classes(std::vector<ServiceClass> classes);

  const Scheduler& scheduler() const { return scheduler_; }
  // Who waits, how long that takes, and when a refused client may come back. Any thread.
  const Admission& admission() const { return admission_; }
  // What the share controller did last and why, for the log and the metrics. Any thread.
  std::optional<ShareDecision> last_share_decision() const;
  // What was done and how things stand, as of the end of the last step. Any thread.
  EngineStats stats() const;
  // What a request of this class is held against.
  RequestLimits request_limits(ClassId id) const;

 private:
  struct Choice {
    std::unique_ptr<Sequence> sequence;
    std::shared_ptr<StreamState> stream;  // shared with the client's TokenStream
  };
  struct Submission {
    std::vector<Choice> choices;  // of one request; at least one
  };

  Engine(const EngineOptions& options, BlockPool& pool, ModelRunner& runner, const Clock& clock);
  void run_loop();
  Result<std::vector<TokenStream>> submit_checked(Request request, std::size_t num_choices,
                                                  std::size_t pin_blocks);
  Status enter(const Request& request, std::size_t num_choices, TimePoint now);
  void leave(const Request& request, std::size_t num_choices);
  void accept(Submission submission);
  SequenceId accept_choice(Choice choice, std::optional<SequenceId> leader);
  void take_classes();
  void read_cancellations();
  bool begin_step();
  void finish_step();
  void recover(const Error& error);
  void run_parts(const StepPlan& plan, std::optional<Error> failure);
  void fill_part(const StepPlan& plan, std::size_t begin, std::size_t end);
  void take_part(const StepPlan& plan, std::size_t begin, std::size_t end);
  void emit();
  void end_turn();
  void note_change(const StreamState& stream);
  void leave_queue();
  void emit_tokens(TimePoint now);
  void prefetch_emitted(std::size_t at) const;

  const EngineOptions options_;
  const RequestLimits request_limits_;
  BlockPool& pool_;
  ModelRunner& runner_;
  const Clock& clock_;

  // Any thread.
  BoundedQueue<Submission> inbox_;
  Admission admission_;
  std::atomic<std::uint64_t> num_submitted_{0};
  std::atomic<std::size_t> num_live_{0};  // in the inbox or in the scheduler
  std::atomic<bool> cancel_all_{false};
  const std::shared_ptr<std::atomic<std::uint64_t>> num_cancels_;  // see StreamState

  EngineMeter meter_;

  std::mutex classes_mutex_;  // Guards new_classes_, which the engine thread takes.
  std::vector<ServiceClass> new_classes_;
  std::atomic<bool> has_new_classes_{false};

  // Engine thread.
  Scheduler scheduler_;
  StepResult result_;
  StepPlan part_;  // of a plan that failed
  StepResult part_result_;
  std::vector<std::shared_ptr<StreamState>> streams_;  // by SequenceId
  std::vector<std::optional<TimePoint>> token_times_;  // of the last one, by SequenceId
  std::vector<std::uint64_t> changed_watches_;         // of the step
  std::uint64_t num_cancels_seen_ = 0;
  std::optional<TimePoint> last_idle_check_;

  mutable std::mutex decision_mutex_;  // Guards last_decision_.
  std::optional<ShareDecision> last_decision_;
  std::thread thread_;
};

}  // namespace millrace
