// A sequence's way through the scheduler: submitted, planned, applied, ended.
#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

// Full steps of work that a class may be owed: ten to twenty seconds of most machines, and several
// times what the sequences that run at once make counters differ by on their own.
constexpr std::uint64_t kCreditSteps = 256;

Error sampling_error(SampleOutcome outcome, std::size_t num_tokens) {
  const std::string after = std::to_string(num_tokens) + " tokens";
  if (outcome == SampleOutcome::kBadLogits) {
    return {ErrorCode::kUnavailable, "the model gave logits that are not finite after " + after};
  }
  return {ErrorCode::kInvalidArgument,
          "logit_bias, min_tokens and constraint leave no token to draw after " + after};
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, BlockPool& pool)
    : options_(options),
      pool_(pool),
      index_(pool, options.block_tokens, options.hot.pinned_blocks_max),
      hot_(options.hot, options.block_tokens, index_),
      configured_parts_(share_parts(options.classes)),
      shares_(configured_parts_, kCreditSteps * options.step_tokens_max),
      // Those that have ended and that an open plan still names keep their ids.
      by_id_(options.num_requests_max + kOpenPlansMax * 3 * options.num_sequences_max),
      deadlines_(options.num_requests_max) {
  CHECK(check_options(options).ok());
  CHECK(options.hot.pinned_blocks_max < pool.num_blocks());
  CHECK(options.num_requests_max <= std::numeric_limits<std::uint32_t>::max());
  classes_.reserve(options.classes.size());
  for (std::size_t i = 0; i < options.classes.size(); ++i) {
    classes_.emplace_back(options.num_requests_max, options.num_sequences_max);
    elders_passed_max_.push_back(
        elders_passed_max(options, ClassId{static_cast<std::uint32_t>(i)}));
  }
  make_costs();
  if (options.controller) controller_.emplace(*options.controller, options.classes);
  free_ids_.reserve(by_id_.size());
  for (std::size_t i = by_id_.size(); i > 0; --i) {
    free_ids_.push_back(SequenceId{static_cast<std::uint32_t>(i - 1)});
  }
  running_.reserve(options.num_sequences_max);
  for (OpenPlan& open : open_) {
    open.plan.chunks.reserve(options.num_sequences_max);
    open.plan.preempted.reserve(options.num_sequences_max);
    open.plan.copies.reserve(options.num_sequences_max);
    open.sequences.reserve(options.num_sequences_max);
    open.copied.reserve(2 * options.num_sequences_max);
  }
  finishing_.reserve(options.num_requests_max);
  ended_.reserve(by_id_.size());
  // Each chunk of a step may fill one block that it has not begun, besides those of its tokens.
  set_aside_.reserve(options.num_sequences_max + options.step_tokens_max / options.block_tokens);
  events_.tokens.reserve(options.num_sequences_max);
  events_.started.reserve(options.num_sequences_max);
  events_.finished.reserve(options.num_requests_max);
}

// Those that are there stay: an open plan may name them.
void Scheduler::make_costs() {
  if (costs_.empty()) costs_.push_back({std::nullopt, {}});
  for (const ServiceClass& service_class : options_.classes) {
    const auto is_its = [&](const CappedCost& cost) {
      return cost.threads_max == service_class.threads_max;
    };
    if (std::any_of(costs_.begin(), costs_.end(), is_its)) continue;
    costs_.push_back({service_class.threads_max, {}});
  }
}

const CostModel& Scheduler::cost_of(std::optional<std::uint32_t> threads_max) const {
  for (const CappedCost& cost : costs_) {
    if (cost.threads_max == threads_max) return cost.model;
  }
  CHECK(false);  // Plans take their caps from classes.
}

CostModel& Scheduler::cost_of(std::optional<std::uint32_t> threads_max) {
  return const_cast<CostModel&>(std::as_const(*this).cost_of(threads_max));
}

Scheduler::~Scheduler() {
  for (Sequence* sequence : running_) index_.release_all(sequence->blocks);
  for (const std::unique_ptr<Sequence>& sequence : ended_) index_.release_all(sequence->blocks);
  for (const BlockId block : set_aside_) index_.release(block);
}

SequenceId Scheduler::submit(std::unique_ptr<Sequence> sequence, std::optional<SequenceId> leader) {
  CHECK(sequence != nullptr);
  CHECK(num_live_ < options_.num_requests_max);
  CHECK(!free_ids_.empty());
  CHECK(sequence->num_computed == 0);
  const ClassId class_id = sequence->service_class;
  CHECK(class_id.index < classes_.size());
  const std::size_t num_blocks =
      blocks_for_tokens(cache_tokens_max(sequence->request), options_.block_tokens);
  // So that the elder always fits beside what is pinned.
  CHECK(num_blocks <= pool_.num_blocks() - options_.hot.pinned_blocks_max);
  CHECK(num_blocks <= options_.classes[class_id.index].blocks_max.value_or(pool_.num_blocks()));
  const SequenceId id = free_ids_.back();
  free_ids_.pop_back();
  CHECK(by_id_[id.index] == nullptr);
  sequence->id = id;
  sequence->arrival = num_arrivals_++;
  sequence->start_by = start_by_of(*sequence);
  if (sequence->request.deadline) deadlines_.insert(*sequence);
  if (leader) {
    sequence->leader = by_id_[leader->index].get();
    CHECK(sequence->leader != nullptr);
    CHECK(sequence->leader->service_class == class_id);
    CHECK(sequence->leader->num_prompt() == sequence->num_prompt());
    sequence->next_follower = sequence->leader->first_follower;
    sequence->leader->first_follower = sequence.get();
    sequence->leader->has_parked_followers = true;
    sequence->is_parked = true;
    ++num_parked_;
  } else {
    state_of(*sequence).waiting.insert(*sequence);
  }
  sequence->is_live = true;
  by_id_[id.index] = std::move(sequence);
  ++num_live_;
  Sequence& submitted = *by_id_[id.index];
  if (submitted.pin_blocks > 0) {
    const Status status = check_pin(submitted);
    if (!status.ok()) end(submitted, {.reason = FinishReason::kError, .error = status.error()});
  }
  return id;
}

// Least slack first: when it must start to meet its class's target for the first token and its own
// deadline. Not before it was submitted, so that it never goes before one that was submitted a
// target's length earlier.
TimePoint Scheduler::start_by_of(const Sequence& sequence) const {
  TimePoint due = sequence.submitted + class_of(sequence).first_token_target;
  if (sequence.request.deadline) due = std::min(due, *sequence.request.deadline);
  StepShape prompt;
  prompt.add_chunk(0, sequence.num_prompt(), 1);
  const CostModel& cost = cost_of(class_of(sequence).threads_max);
  const double prompt_seconds = cost.is_learned() ? std::min(cost.predict(prompt), 1e6) : 0.0;
  const auto needed =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(prompt_seconds));
  return std::max(sequence.submitted, due - needed);
}

void Scheduler::end(Sequence& sequence, Finish finish) {
  if (sequence.is_ending) return;
  finish.num_prompt = sequence.num_prompt();
  finish.num_generated = sequence.num_generated() + (finish.stop_token ? 1 : 0);
  finish.num_preemptions = sequence.num_preemptions;
  finish.num_cached = sequence.num_cached.value_or(0);
  finish.waited = sequence.waited;
  sequence.finish = std::move(finish);
  sequence.is_ending = true;
  finishing_.push_back(&sequence);
}

void Scheduler::cancel(SequenceId id, Finish finish) {
  CHECK(id.index < by_id_.size());
  CHECK(by_id_[id.index] != nullptr);
  end(*by_id_[id.index], std::move(finish));
}

void Scheduler::expire(TimePoint now) {
  while (!deadlines_.empty() && *deadlines_.head().request.deadline <= now) {
    Sequence& late = deadlines_.head();
    deadlines_.erase(late);
    end(late, {.reason = FinishReason::kDeadline});
  }
}

void Scheduler::collect_finished() {
  if (finishing_.empty()) return;
  const std::size_t num_before = events_.finished.size();
  retire_finished();
  CHECK(finishing_.empty());
  for (std::size_t i = num_before; i < events_.finished.size(); ++i) {
    unpark_followers(*events_.finished[i]);
  }
}

void Scheduler::retire_finished() {
  bool has_running = false;
  for (Sequence* sequence : finishing_) {
    has_running = has_running || sequence->is_running;
    if (WaitingQueue& waiting = state_of(*sequence).waiting; waiting.contains(*sequence)) {
      waiting.erase(*sequence);
    }
  }
  if (has_running) std::erase_if(running_, [](const Sequence* s) { return s->is_ending; });
  // What they point to is kept in events_ until it is cleared.
  for (Sequence* sequence : finishing_) retire(*sequence);
  finishing_.clear();
}

// The caller drops it from where it ran or waited.
void Scheduler::retire(Sequence& sequence) {
  if (sequence.is_running) stop_running(sequence);
  if (sequence.num_submitted == 0) free_blocks(sequence);
  if (elder_ == &sequence) elder_ = nullptr;
  if (sequence.leader != nullptr) unlink_follower(sequence);
  if (sequence.is_parked) --num_parked_;
  sequence.is_parked = false;
  if (deadlines_.contains(sequence)) deadlines_.erase(sequence);
  sequence.is_live = false;
  --num_live_;
  ++state_of(sequence).counts.num_finished[static_cast<std::size_t>(sequence.finish->reason)];
  events_.finished.push_back(&sequence);
  ended_.push_back(std::move(by_id_[sequence.id.index]));
}

const StepPlan& Scheduler::plan(TimePoint now) {
  CHECK(num_open_ < kOpenPlansMax);
  next_ = &open_[(first_open_ + num_open_) % kOpenPlansMax];
  plan_ = &next_->plan;
  plan_->clear();
  next_->sequences.clear();
  next_->copied.clear();
  budget_ = {};
  expire(now);
  collect_finished();
  if (last_plan_time_) {
    for (ClassState& state : classes_) {
      if (!state.waiting.empty()) state.start_pace.add(0, now - *last_plan_time_);
    }
  }
  last_plan_time_ = now;
  control_shares(now);
  hot_.cool(now);
  choose_elder();
  if (must_wait()) return *plan_;
  reclaim();
  make_room();
  plan_decodes();
  deal_prompts();
  CHECK(plan_->num_tokens <= options_.step_tokens_max);
  // The elder always moves on, unless it waits for an open plan.
  CHECK(num_open_ > 0 || plan_->chunks.empty() == (num_live_ == 0));
  CHECK(plan_->copies.empty() || !plan_->chunks.empty());
  if (num_open_ == 0 || !plan_->chunks.empty()) settle();
  if (!plan_->chunks.empty()) open_plan(now);
  return *plan_;
}

// The plan is complete: its sequences are now where it will bring them. Decodes have moved on as
// they were added, since nothing that is planned behind them looks at where they were.
void Scheduler::open_plan(TimePoint now) {
  next_->planned_at = now;
  for (std::size_t i = budget_.num_decodes; i < plan_->chunks.size(); ++i) {
    const PlannedChunk& chunk = plan_->chunks[i];
    Sequence& sequence = *next_->sequences[i];
    ++sequence.num_submitted;
    sequence.num_computed += chunk.num_tokens;
    if (!chunk.samples) continue;
    ++sequence.num_pending;
    sequence.last_chunk = i;
  }
  for (Sequence* copied : next_->copied) ++copied->num_submitted;
  ++num_open_;
}

// No plan that is open names what was set aside. Chunks are taken back as they are applied.
Scheduler::OpenPlan& Scheduler::close_oldest() {
  CHECK(num_open_ > 0);
  OpenPlan& open = open_[first_open_];
  first_open_ = (first_open_ + 1) % kOpenPlansMax;
  --num_open_;
  for (Sequence* copied : open.copied) {
    CHECK(copied->num_submitted > 0);
    --copied->num_submitted;
  }
  for (const BlockId block : set_aside_) index_.release(block);
  set_aside_.clear();
  return open;
}

void Scheduler::apply(const StepResult& result) {
  OpenPlan& open = close_oldest();
  CHECK(result.samples.size() == open.plan.chunks.size());
  if (result.elapsed > Duration{0}) {
    cost_of(open.plan.threads_max).observe(open.plan.shape, seconds(result.elapsed));
  }
  // Steps run one after the other, each as soon as it may.
  const TimePoint begin = std::max(open.planned_at, last_step_end_.value_or(open.planned_at));
  last_step_end_ = begin + result.elapsed;
  for (std::size_t i = 0; i < open.plan.chunks.size(); ++i) {
    prefetch_applied(open, i);
    apply_chunk(open.plan.chunks[i], *open.sequences[i], i, result);
  }
  collect_finished();
  free_ended();
}

// With thousands of sequences each line of one is in no near cache any more. Asked for some
// sequences ahead, and their tokens' ends, which are known once they are there, half as far.
void Scheduler::prefetch_applied(const OpenPlan& open, std::size_t at) const {
  constexpr std::size_t kFar = 8;
  constexpr std::size_t kNear = 4;
  if (at + kFar < open.sequences.size()) {
    const Sequence& sequence = *open.sequences[at + kFar];
    __builtin_prefetch(&sequence, 1);
    __builtin_prefetch(&sequence.tokens, 1);
    __builtin_prefetch(&sequence.request.stop_ids);
  }
  if (at + kNear < open.sequences.size()) {
    const std::vector<TokenId>& tokens = open.sequences[at + kNear]->tokens;
    __builtin_prefetch(tokens.data() + tokens.size(), 1);
  }
}

void Scheduler::apply_chunk(const PlannedChunk& chunk, Sequence& sequence, std::size_t at,
                            const StepResult& result) {
  const SampledToken& sample = result.samples[at];
  CHECK(&sequence == chunk.sequence);
  CHECK(sequence.num_submitted > 0);
  --sequence.num_submitted;
  if (chunk.samples) {
    CHECK(sequence.num_pending > 0);
    --sequence.num_pending;
  }
  // It ended while the step ran, and so was this for nothing.
  if (!sequence.is_live) return;
  const std::size_t num_computed = chunk.num_computed + chunk.num_tokens;
  CHECK(num_computed <= sequence.tokens.size());
  CHECK(num_computed <= sequence.num_computed);
  if (sample.outcome == SampleOutcome::kFailed) {
    CHECK(result.failure.has_value());
    end(sequence, {.reason = FinishReason::kError, .error = result.failure});
    return;
  }
  publish(sequence, num_computed);
  if (sequence.pin_blocks > 0) pin_prompt(sequence);
  // A follower computes the last token of the prompt itself, for its logits.
  if (sequence.has_parked_followers && num_computed + 1 >= sequence.num_prompt()) {
    unpark_followers(sequence);
  }
  if (!chunk.samples) return;
  if (sequence.num_generated() == 0) note_response(sequence);
  take_token(sequence, at, sample);
}

// Those that have ended and that no open plan names any more.
void Scheduler::free_ended() {
  for (const std::unique_ptr<Sequence>& sequence : ended_) {
    if (sequence->num_submitted == 0) free_blocks(*sequence);
  }
}

// Its first token comes at the end of the step that is applied.
void Scheduler::note_response(const Sequence& sequence) {
  ClassState& state = state_of(sequence);
  const Duration response = *last_step_end_ - sequence.submitted;
  const Duration target = class_of(sequence).first_token_target;
  state.response_ratios += seconds(response) / seconds(target);
  ++state.num_responses;
  state.counts.response_seconds += seconds(response);
  ++state.counts.num_responses;
}

// The blocks that `num_computed` tokens fill, whose steps have been applied.
void Scheduler::publish(Sequence& sequence, std::size_t num_computed) {
  if ((sequence.num_published + 1) * options_.block_tokens > num_computed) return;
  if (options_.prefix_reuse == PrefixReuse::kOff) return;
  const std::size_t num_full = num_computed / options_.block_tokens;
  extend_prefix_hashes(sequence.request.salt, sequence.tokens, options_.block_tokens,
                       sequence.prefix_hashes);
  const ServiceClass& service_class = class_of(sequence);
  for (; sequence.num_published < num_full; ++sequence.num_published) {
    const std::optional<BlockId> own =
        index_.publish(sequence.prefix_key(), sequence.num_published, service_class.cache_priority,
                       sequence.blocks);
    if (!own) continue;
    if (sequence.num_submitted > 0) {
      set_aside_.push_back(*own);
    } else {
      index_.release(*own);
    }
  }
}

Status Scheduler::check_pin(const Sequence& sequence) const {
  if (options_.prefix_reuse == PrefixReuse::kOff) {
    return Error{ErrorCode::kInvalidArgument, "hot prompts need prefix reuse, which is off"};
  }
  CHECK(sequence.request.salt == PrefixSalt{});
  return hot_.check_asked(sequence.prefix_key(), sequence.pin_blocks);
}

void Scheduler::pin_prompt(Sequence& sequence) {
  const Status status = hot_.note_published(sequence);
  if (!status.ok()) end(sequence, {.reason = FinishReason::kError, .error = status.error()});
}

// Its followers may start; when it has ended they forget it.
void Scheduler::unpark_followers(Sequence& leader) {
  leader.has_parked_followers = false;
  for (Sequence* next = leader.first_follower; next != nullptr;) {
    Sequence& follower = *next;
    next = follower.next_follower;
    if (leader.finish) unlink_follower(follower);
    if (!follower.is_parked || follower.finish) continue;
    follower.is_parked = false;
    --num_parked_;
    state_of(follower).waiting.insert(follower);
  }
}

void Scheduler::unlink_follower(Sequence& follower) {
  CHECK(follower.leader != nullptr);
  Sequence** link = &follower.leader->first_follower;
  while (*link != &follower) {
    CHECK(*link != nullptr);
    link = &(*link)->next_follower;
  }
  *link = follower.next_follower;
  follower.next_follower = nullptr;
  follower.leader = nullptr;
}

void Scheduler::take_token(Sequence& sequence, std::size_t chunk, const SampledToken& sample) {
  CHECK(sample.outcome != SampleOutcome::kNone);
  if (sample.outcome == SampleOutcome::kPooled) {
    CHECK(sequence.is_pooled);
    end(sequence, {.reason = FinishReason::kStop});
    return;
  }
  if (sample.outcome != SampleOutcome::kToken) {
    end(sequence, {.reason = FinishReason::kError,
                   .error = sampling_error(sample.outcome, sequence.tokens.size())});
    return;
  }
  // The caller may have cancelled it while the step ran: then the token is dropped.
  if (sequence.is_ending) return;
  ++state_of(sequence).counts.num_output_tokens;
  const auto& stops = sequence.request.stop_ids;
  if (std::find(stops.begin(), stops.end(), sample.token) != stops.end()) {
    end(sequence, {.reason = FinishReason::kStop, .stop_token = sample.token});
    return;
  }
  sequence.tokens.push_back(sample.token);
  if (sequence.is_constrained) sequence.constraint->advance(sample.token);
  events_.tokens.push_back({&sequence, chunk});
  if (sequence.num_generated() == sequence.max_tokens) {
    end(sequence, {.reason = FinishReason::kLength});
  }
}

void Scheduler::clear_events() {
  events_.tokens.clear();
  events_.started.clear();
  events_.share_decision.reset();
  events_.finished.clear();
  if (ended_.empty()) return;
  std::erase_if(ended_, [this](const std::unique_ptr<Sequence>& sequence) {
    if (sequence->num_submitted > 0) return false;
    CHECK(by_id_[sequence->id.index] == nullptr);
    CHECK(sequence->blocks.num_blocks() == 0);
    free_ids_.push_back(sequence->id);
    return true;
  });
}

// What waits keeps its place; the controller begins anew from the new shares.
void Scheduler::set_classes(std::span<const ServiceClass> classes) {
  CHECK(classes.size() == options_.classes.size());
  for (std::size_t i = 0; i < classes.size(); ++i) {
    ServiceClass& own = options_.classes[i];
    CHECK(own.name == classes[i].name);
    const std::optional<std::uint32_t> blocks_max = own.blocks_max;
    own = classes[i];
    own.blocks_max = blocks_max;
  }
  for (std::uint32_t i = 0; i < classes.size(); ++i) {
    elders_passed_max_[i] = elders_passed_max(options_, ClassId{i});
  }
  if (options_.controller) controller_.emplace(*options_.controller, options_.classes);
  configured_parts_ = share_parts(options_.classes);
  shares_.set_parts(configured_parts_);
  make_costs();
}

ClassStats Scheduler::class_stats(ClassId id) const {
  CHECK(id.index < classes_.size());
  const ClassState& state = classes_[id.index];
  return {.num_waiting = state.waiting.size(),
          .num_running = state.num_running,
          .num_blocks = state.num_blocks,
          .share_part = shares_.part(id),
          .share_configured = configured_parts_[id.index],
          .work_done = shares_.work_done(id),
          .start_tokens_per_second = state.start_pace.tokens_per_second(),
          .counts = state.counts};
}

}  // namespace millrace
