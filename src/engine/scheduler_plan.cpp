// The policy of one step: decodes, then prompts dealt to the class that is furthest behind.
#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/checked.h"
#include "engine/scheduler.h"

namespace millrace {

ClassSet Scheduler::all_classes() const {
  ClassSet all;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) all.insert(ClassId{i});
  return all;
}

ClassId Scheduler::next_elder_class() const {
  ClassSet with_live;
  std::optional<ClassId> overdue;
  std::size_t most_over = 0;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    const ClassState& state = classes_[i];
    if (state.waiting.empty() && state.num_running == 0) continue;
    with_live.insert(ClassId{i});
    const std::size_t passed_max = elders_passed_max_[i];
    if (state.num_elders_passed < passed_max) continue;
    const std::size_t over = state.num_elders_passed - passed_max + 1;
    if (over <= most_over) continue;
    most_over = over;
    overdue = ClassId{i};
  }
  return overdue ? *overdue : *shares_.furthest_behind(with_live);
}

void Scheduler::choose_elder() {
  if (elder_ != nullptr || num_live_ == 0) return;
  const ClassId id = next_elder_class();
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    ClassState& state = classes_[i];
    const bool is_passed = i != id.index && (!state.waiting.empty() || state.num_running > 0);
    state.num_elders_passed = is_passed ? state.num_elders_passed + 1 : 0;
  }
  for (Sequence* sequence : running_) {
    if (sequence->service_class != id) continue;
    if (elder_ == nullptr || sequence->goes_before(*elder_)) elder_ = sequence;
  }
  if (elder_ == nullptr) elder_ = &classes_[id.index].waiting.head();
}

// The elder may have to start, or somebody to be preempted: then everything must be applied first.
bool Scheduler::must_wait() {
  if (num_open_ == 0) return false;
  if (elder_ != nullptr && !elder_->is_running) return true;
  const std::optional<ClassId> reclaiming = reclaiming_class();
  if (reclaiming && next_reclaimed(*reclaiming) != nullptr) return true;
  ClassSet among;
  return try_find_shortage(among);
}

// Dealt, see add_decode for the others. The sequence's numbers move on when the plan is complete,
// see open_plan.
void Scheduler::add_chunk(Sequence& sequence, std::size_t num_tokens) {
  CHECK(num_tokens > 0);
  CHECK(sequence.can_advance());
  const PlannedChunk chunk{
      .sequence = &sequence,
      .num_computed = sequence.num_computed,
      .num_tokens = num_tokens,
      .samples = num_tokens == sequence.num_remaining(),
      .drawn_by = sequence.num_pending > 0 ? std::optional(sequence.last_chunk) : std::nullopt};
  CHECK(chunk.num_computed + num_tokens <= sequence.blocks.num_blocks() * options_.block_tokens);
  CHECK(!chunk.drawn_by || num_tokens == 1);
  plan_->threads_max = threads_with(sequence);
  plan_->chunks.push_back(chunk);
  next_->sequences.push_back(&sequence);
  plan_->num_tokens += num_tokens;
  plan_->shape.add_chunk(chunk.num_computed, num_tokens, chunk.num_logit_rows());
  if (chunk.samples) ++plan_->num_samples;
  // What preemption lost may have been generated: fed back, it is not charged again.
  const bool is_decode = num_tokens == 1 && chunk.num_computed >= sequence.num_prompt();
  const std::size_t num_prompt = is_decode ? 0 : num_tokens;
  state_of(sequence).counts.num_prompt_tokens += num_prompt;
  shares_.charge(sequence.service_class,
                 num_prompt * kPromptTokenWork + (chunk.samples ? kOutputTokenWork : 0));
}

// Those of the step when this one is in it.
std::optional<std::uint32_t> Scheduler::threads_with(const Sequence& sequence) const {
  const std::optional<std::uint32_t> own = class_of(sequence).threads_max;
  if (plan_->chunks.empty() || !own) return own;
  return plan_->threads_max ? std::optional(std::max(*plan_->threads_max, *own)) : std::nullopt;
}

// A token for each that needs just one; the others' prompts are gathered on the way.
void Scheduler::plan_decodes() {
  constexpr std::size_t kAhead = 8;  // sequences, as in prefetch_applied
  for (ClassState& state : classes_) {
    state.prompts.clear();
    state.num_decodes = 0;
    state.num_ending_prompts = 0;
  }
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (i + kAhead < running_.size()) {
      __builtin_prefetch(running_[i + kAhead], 1);
      __builtin_prefetch(&running_[i + kAhead]->tokens);
    }
    Sequence& sequence = *running_[i];
    ClassState& state = state_of(sequence);
    if (sequence.num_remaining() != 1) {
      state.prompts.push_back(&sequence);
    } else if (sequence.can_advance()) {
      add_decode(sequence, state);
    }
  }
  budget_.num_decodes = plan_->chunks.size();
  if (budget_.num_decodes > 0) account_decodes();
}

// The step's token of a sequence that needs one, which moves on at once.
void Scheduler::add_decode(Sequence& sequence, ClassState& state) {
  const std::size_t num_computed = sequence.num_computed;
  if (num_computed == sequence.blocks.num_blocks() * options_.block_tokens) {
    extend(sequence, sequence.blocks.num_blocks() + 1);
  }
  CHECK(num_computed < sequence.blocks.num_blocks() * options_.block_tokens);
  plan_->chunks.push_back(
      {.sequence = &sequence,
       .num_computed = num_computed,
       .num_tokens = 1,
       .samples = true,
       .drawn_by = sequence.num_pending > 0 ? std::optional(sequence.last_chunk) : std::nullopt});
  next_->sequences.push_back(&sequence);
  plan_->shape.add_chunk(num_computed, 1, sequence.is_pooled ? 0 : 1);
  ++state.num_decodes;
  // A generated token is charged when it is drawn, not again when it is fed back.
  if (num_computed < sequence.num_prompt_tokens) ++state.num_ending_prompts;
  sequence.num_computed = num_computed + 1;
  sequence.last_chunk = plan_->chunks.size() - 1;
  ++sequence.num_pending;
  ++sequence.num_submitted;
}

// What the decodes of the step are charged, may use and cost.
void Scheduler::account_decodes() {
  plan_->num_tokens = budget_.num_decodes;
  plan_->num_samples = budget_.num_decodes;
  bool are_capped = true;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    ClassState& state = classes_[i];
    if (state.num_decodes == 0) continue;
    state.counts.num_prompt_tokens += state.num_ending_prompts;
    shares_.charge(ClassId{i}, state.num_ending_prompts * kPromptTokenWork +
                                   state.num_decodes * kOutputTokenWork);
    const ServiceClass& service_class = options_.classes[i];
    are_capped = are_capped && service_class.threads_max.has_value();
    plan_->threads_max = std::max(plan_->threads_max, service_class.threads_max);
    if (!service_class.token_target) continue;
    budget_.step_time_max = std::min(budget_.step_time_max.value_or(*service_class.token_target),
                                     *service_class.token_target);
  }
  if (!are_capped) plan_->threads_max.reset();
  budget_.decode_seconds = cost_of(plan_->threads_max).predict(plan_->shape);
}

void Scheduler::gather_prompts() {
  for (ClassState& state : classes_) {
    state.num_prompts_dealt = 0;
    state.was_cut = false;
    state.denial = Denial::kNone;
  }
  if (elder_ != nullptr && elder_->is_running && elder_->num_remaining() != 1) {
    budget_.elder_tokens = std::min(elder_->num_remaining(), elder_tokens(options_));
    budget_.elder_blocks = blocks_wanted(*elder_);
  }
  for (ClassState& state : classes_) {
    std::sort(state.prompts.begin(), state.prompts.end(),
              [](const Sequence* a, const Sequence* b) { return a->goes_before(*b); });
  }
}

void Scheduler::deal_prompts() {
  gather_prompts();
  ClassSet dealing;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    if (!classes_[i].prompts.empty() || !classes_[i].waiting.empty()) dealing.insert(ClassId{i});
  }
  while (const std::optional<ClassId> id = shares_.furthest_behind(dealing)) {
    if (!try_deal(classes_[id->index])) dealing.erase(*id);
  }
  // What was kept back for the elder, where its class's turn did not come.
  if (budget_.elder_tokens > 0) deal(*elder_, budget_.elder_tokens);
}

// One chunk for the class, from its running prompts or the head of its queue; false when there is
// none to be had in this step.
bool Scheduler::try_deal(ClassState& state) {
  if (state.num_prompts_dealt < state.prompts.size()) {
    Sequence& sequence = *state.prompts[state.num_prompts_dealt++];
    const std::size_t wanted = std::min(sequence.num_remaining(), options_.chunk_tokens_max);
    const std::size_t num_tokens = chunk_tokens(sequence, wanted);
    state.was_cut = state.was_cut || num_tokens < wanted;
    if (num_tokens > 0) deal(sequence, num_tokens);
    return true;
  }
  if (state.waiting.empty()) return false;
  Sequence& sequence = state.waiting.head();
  if (tokens_left(sequence) == 0 || tokens_in_time(sequence, 1) == 0) return false;
  state.denial = start_denial(sequence);
  const bool is_held = budget_.is_stalled ||
                       (!plan_->preempted.empty() && budget_.reclaiming != sequence.service_class);
  if (state.denial == Denial::kNone && is_held) state.denial = Denial::kBlocks;
  if (state.denial != Denial::kNone) return false;
  const std::size_t num_copies = plan_->copies.size();
  start(sequence);
  const std::size_t wanted = std::min(sequence.num_remaining(), options_.chunk_tokens_max);
  std::size_t num_tokens = chunk_tokens(sequence, wanted);
  // What is copied is used in the same step, so that no plan has copies alone.
  if (plan_->copies.size() > num_copies) num_tokens = std::max<std::size_t>(num_tokens, 1);
  state.was_cut = state.was_cut || num_tokens < wanted;
  if (num_tokens > 0) deal(sequence, num_tokens);
  return true;
}

void Scheduler::deal(Sequence& sequence, std::size_t num_tokens) {
  extend(sequence, blocks_for_tokens(sequence.num_computed + num_tokens, options_.block_tokens));
  add_chunk(sequence, num_tokens);
  budget_.prompt_tokens += num_tokens;
  if (&sequence != elder_) return;
  budget_.elder_tokens = 0;
  budget_.elder_blocks = 0;
}

// Of the step, without what is kept for the elder.
std::size_t Scheduler::tokens_left(const Sequence& sequence) const {
  const std::size_t num_kept = &sequence == elder_ ? 0 : budget_.elder_tokens;
  return options_.step_tokens_max - plan_->num_tokens - num_kept;
}

// So many of `wanted` tokens that the step stays within the token targets of those that decode in
// it, as far as the cost model knows; prompt_tokens_min in all whatever it says.
std::size_t Scheduler::tokens_in_time(const Sequence& sequence, std::size_t wanted) const {
  if (!budget_.step_time_max) return wanted;
  const CostModel& cost = cost_of(threads_with(sequence));
  if (!cost.is_learned()) return wanted;
  // Where decodes alone come near the target, keeping it would starve prompts and with them
  // everybody's throughput for little: a step may then take half as long again as its decodes.
  constexpr double kStretch = 1.5;
  const double target =
      std::max(seconds(*budget_.step_time_max), kStretch * budget_.decode_seconds);
  // Twice the mean error: where errors fall off exponentially, six steps of seven are then in time.
  const double limit = target / (1.0 + 2.0 * cost.relative_error());
  const std::size_t fitting =
      cost.tokens_within(plan_->shape, sequence.num_computed, wanted, limit);
  const std::size_t at_least =
      options_.prompt_tokens_min - std::min(options_.prompt_tokens_min, budget_.prompt_tokens);
  return std::min(wanted, std::max(fitting, at_least));
}

// Of `wanted` tokens of a running prompt, what step, blocks and token targets leave for it.
std::size_t Scheduler::chunk_tokens(const Sequence& sequence, std::size_t wanted) {
  const bool is_elder = &sequence == elder_;
  std::size_t num_tokens = std::min(wanted, tokens_left(sequence));
  const std::size_t num_slots =
      (sequence.blocks.num_blocks() + prompt_blocks_left(sequence)) * options_.block_tokens;
  if (num_slots - sequence.num_computed < num_tokens) {
    num_tokens = num_slots - sequence.num_computed;
    budget_.is_stalled = true;
  }
  num_tokens = tokens_in_time(sequence, num_tokens);
  return is_elder ? std::max(num_tokens, budget_.elder_tokens) : num_tokens;
}

// Blocks that a prompt may take; decodes keep some to grow into.
std::size_t Scheduler::prompt_blocks_left(const Sequence& sequence) const {
  const bool is_elder = &sequence == elder_;
  const std::size_t num_kept = growth_reserve() + (is_elder ? 0 : budget_.elder_blocks);
  std::size_t num_left = index_.num_available() - std::min(index_.num_available(), num_kept);
  const ClassId id = sequence.service_class;
  if (const auto blocks_max = options_.classes[id.index].blocks_max) {
    const bool shares_cap = !is_elder && elder_ != nullptr && elder_->service_class == id;
    const std::size_t num_used =
        classes_[id.index].num_blocks + (shares_cap ? budget_.elder_blocks : 0);
    num_left = std::min(num_left, *blocks_max - std::min<std::size_t>(*blocks_max, num_used));
  }
  return is_elder ? std::max(num_left, budget_.elder_blocks) : num_left;
}

// One block for eight running sequences: with blocks of 16 tokens what they take in two steps.
// None when one runs alone: it may fill the pool.
std::size_t Scheduler::growth_reserve() const {
  constexpr std::size_t kSequencesPerBlock = 8;
  if (running_.size() <= 1) return 0;
  return static_cast<std::size_t>(ceil_div(running_.size(), kSequencesPerBlock));
}

// Once in a while: asks the controller, and starts a new count of what it looks at.
void Scheduler::control_shares(TimePoint now) {
  if (!controller_ || !controller_->is_due(now)) return;
  std::array<ClassObservation, kClassesMax> observations;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) observations[i] = observe_class(ClassId{i});
  const std::optional<ShareDecision> decision =
      controller_->decide(now, std::span(observations).first(classes_.size()));
  if (!decision) return;
  shares_.set_parts(controller_->parts());
  events_.share_decision = decision;
}

ClassObservation Scheduler::observe_class(ClassId id) {
  ClassState& state = classes_[id.index];
  ClassObservation seen{.num_waiting = state.waiting.size()};
  if (state.num_responses > 0) {
    seen.response_ratio = state.response_ratios / static_cast<double>(state.num_responses);
  }
  state.response_ratios = 0;
  state.num_responses = 0;
  const double pace = state.start_pace.tokens_per_second();
  const double target = seconds(options_.classes[id.index].first_token_target);
  if (pace > 0) seen.queue_ratio = static_cast<double>(state.waiting.num_tokens()) / pace / target;
  return seen;
}

// Who has work left over, and who is kept out of its quota although it is behind.
void Scheduler::settle() {
  ClassSet backlogged;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    const ClassState& state = classes_[i];
    const bool has_prompts_left = state.was_cut || state.num_prompts_dealt < state.prompts.size();
    // What only the class's own cap holds back is owed by nobody.
    const bool has_waiting = !state.waiting.empty() && state.denial != Denial::kOwnCap;
    if (has_prompts_left || has_waiting) backlogged.insert(ClassId{i});
  }
  const std::optional<ClassId> behind = shares_.furthest_behind(backlogged);
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    ClassState& state = classes_[i];
    const bool lacks_slot =
        state.denial == Denial::kSlot && is_below_quota(ClassId{i}, Room::kSlots);
    const bool lacks_blocks =
        state.denial == Denial::kBlocks && is_below_quota(ClassId{i}, Room::kBlocks);
    const bool is_owed = behind == ClassId{i} && (lacks_slot || lacks_blocks);
    state.num_denied_steps = is_owed ? state.num_denied_steps + 1 : 0;
  }
  shares_.settle(backlogged);
}

}  // namespace millrace
