// Slots and KV blocks: who starts, who grows, and who gives way.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checked.h"
#include "engine/scheduler.h"

namespace millrace {

double Scheduler::quota(ClassId id, Room room) const {
  const double part = shares_.part(id);
  // Nobody has a share of what is pinned.
  if (room == Room::kBlocks) {
    return part * static_cast<double>(pool_.num_blocks() - index_.num_pinned());
  }
  return std::max(1.0, static_cast<double>(static_cast<std::size_t>(
                           part * static_cast<double>(options_.num_sequences_max))));
}

double Scheduler::held(ClassId id, Room room) const {
  const ClassState& state = classes_[id.index];
  return static_cast<double>(room == Room::kBlocks ? state.num_blocks : state.num_running);
}

bool Scheduler::is_below_quota(ClassId id, Room room) const {
  return held(id, room) < quota(id, room);
}

ClassSet Scheduler::over_quota(Room room) const {
  ClassSet found;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    if (held(ClassId{i}, room) > quota(ClassId{i}, room)) found.insert(ClassId{i});
  }
  return found;
}

// Of those that may be preempted: running, not the elder.
Sequence* Scheduler::youngest_of_most_over(ClassSet among, Room room) const {
  Sequence* youngest = nullptr;
  double most = 0;
  for (Sequence* sequence : running_) {
    const ClassId id = sequence->service_class;
    if (sequence == elder_ || !among.contains(id)) continue;
    const double over = held(id, room) / quota(id, room);
    const bool is_better =
        youngest == nullptr || over > most || (over == most && youngest->goes_before(*sequence));
    if (!is_better) continue;
    youngest = sequence;
    most = over;
  }
  return youngest;
}

void Scheduler::stop_running(Sequence& sequence) {
  CHECK(sequence.is_running);
  ClassState& state = state_of(sequence);
  CHECK(state.num_running > 0);
  --state.num_running;
  sequence.is_running = false;
}

void Scheduler::free_blocks(Sequence& sequence) {
  CHECK(sequence.num_submitted == 0);
  ClassState& state = state_of(sequence);
  CHECK(state.num_blocks >= sequence.blocks.num_blocks());
  state.num_blocks -= sequence.blocks.num_blocks();
  index_.release_all(sequence.blocks);
}

void Scheduler::preempt(Sequence& sequence) {
  CHECK(&sequence != elder_);
  CHECK(sequence.num_pending == 0);
  stop_running(sequence);
  free_blocks(sequence);
  state_of(sequence).counts.num_lost_tokens += sequence.num_computed;
  sequence.num_computed = 0;
  sequence.num_published = 0;
  ++sequence.num_preemptions;
  running_.erase(std::find(running_.begin(), running_.end(), &sequence));
  ClassState& state = state_of(sequence);
  ++state.counts.num_preemptions;
  state.waiting.insert(sequence);
  plan_->preempted.push_back(&sequence);
}

void Scheduler::extend(Sequence& sequence, std::size_t num_blocks) {
  const std::size_t num_held = sequence.blocks.num_blocks();
  if (num_blocks <= num_held) return;
  CHECK(index_.try_extend(sequence.blocks, num_blocks));
  state_of(sequence).num_blocks += num_blocks - num_held;
}

// Takes the head of its class's queue among the running ones, with what is cached of it.
void Scheduler::start(Sequence& sequence) {
  ClassState& state = state_of(sequence);
  CHECK(&state.waiting.head() == &sequence);
  CHECK(running_.size() < options_.num_sequences_max);
  state.waiting.erase(sequence);
  running_.push_back(&sequence);
  ++state.num_running;
  sequence.is_running = true;
  if (options_.prefix_reuse == PrefixReuse::kOn) attach_prefix(sequence);
  if (sequence.num_cached) return;  // It ran before.
  sequence.num_cached = sequence.num_computed;
  sequence.waited = *last_plan_time_ - sequence.submitted;
  if (options_.prefix_reuse == PrefixReuse::kOn) hot_.note_start(sequence);
  state.start_pace.add(sequence.num_queued_tokens, Duration{0});
  events_.started.push_back(&sequence);
}

void Scheduler::attach_prefix(Sequence& sequence) {
  ClassState& state = state_of(sequence);
  const std::size_t num_cached =
      index_.attach(sequence.prefix_key(), sequence.num_reusable() / options_.block_tokens,
                    options_.classes[sequence.service_class.index].cache_priority, sequence.blocks);
  state.num_blocks += num_cached;
  sequence.num_published = num_cached;
  sequence.num_computed = num_cached * options_.block_tokens;
  copy_last_block(sequence);
  state.counts.num_cached_tokens += sequence.num_computed;
  if (sequence.num_reusable() > 0) state.counts.num_asked_tokens += sequence.tokens.size();
}

// Of the prompt, which ends inside a block: a follower copies what its leader computed of it. The
// leader writes behind the prompt only, so a step may do both.
void Scheduler::copy_last_block(Sequence& sequence) {
  Sequence* leader = sequence.leader;
  if (leader == nullptr || !leader->is_running || sequence.num_generated() > 0) return;
  const std::size_t num_wanted = sequence.num_prompt() - 1;
  const std::size_t last = num_wanted / options_.block_tokens;
  const bool has_rest =
      sequence.num_computed == last * options_.block_tokens && num_wanted > sequence.num_computed;
  if (!has_rest || leader->num_computed < num_wanted || index_.num_available() == 0) return;
  const std::optional<std::uint32_t> blocks_max =
      options_.classes[sequence.service_class.index].blocks_max;
  if (blocks_max && state_of(sequence).num_blocks >= *blocks_max) return;
  extend(sequence, last + 1);
  plan_->copies.push_back(
      {leader->blocks.blocks()[last], sequence.blocks.blocks()[last], &sequence});
  next_->copied.push_back(leader);
  next_->copied.push_back(&sequence);
  sequence.num_computed = num_wanted;
}

// Blocks beyond those it has, for what it computes in this step whatever happens.
std::size_t Scheduler::blocks_wanted(const Sequence& sequence) const {
  if (!sequence.can_advance()) return 0;
  const std::size_t num_remaining = sequence.num_remaining();
  std::size_t num_tokens = sequence.num_computed;
  if (num_remaining == 1) {
    num_tokens += 1;
  } else if (&sequence == elder_) {
    num_tokens += std::min(num_remaining, elder_tokens(options_));
  }
  const std::size_t num_blocks = blocks_for_tokens(num_tokens, options_.block_tokens);
  return num_blocks - std::min(num_blocks, sequence.blocks.num_blocks());
}

// Preempts until every decoding sequence and the elder can grow.
void Scheduler::make_room() {
  if (elder_ != nullptr && !elder_->is_running) {
    // It became the elder in this step because the last one ended, which left its slot.
    CHECK(running_.size() < options_.num_sequences_max);
    start(*elder_);
  }
  ClassSet among;
  while (try_find_shortage(among)) {
    Sequence* victim = youngest_of_most_over(among, Room::kBlocks);
    CHECK(victim != nullptr);  // The elder fits the pool and its class's cap alone.
    preempt(*victim);
  }
}

// Whether there is room even if everybody who runs takes a block more, and the elder what its
// prompt may: then nobody need be asked.
bool Scheduler::has_plenty() const {
  const std::size_t of_elder =
      elder_ == nullptr ? 0 : 1 + blocks_for_tokens(elder_tokens(options_), options_.block_tokens);
  if (running_.size() + of_elder > index_.num_available()) return false;
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    const std::optional<std::uint32_t> blocks_max = options_.classes[i].blocks_max;
    const ClassState& state = classes_[i];
    if (blocks_max && state.num_blocks + state.num_running + of_elder > *blocks_max) return false;
  }
  return true;
}

// Whether what must grow cannot, and if so, which classes may give way for it.
bool Scheduler::try_find_shortage(ClassSet& among) {
  if (has_plenty()) return false;
  std::size_t num_wanted = 0;
  for (ClassState& state : classes_) state.num_wanted = 0;
  for (const Sequence* sequence : running_) {
    const std::size_t wanted = blocks_wanted(*sequence);
    if (wanted == 0) continue;
    num_wanted += wanted;
    state_of(*sequence).num_wanted += wanted;
  }
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    const std::optional<std::uint32_t> blocks_max = options_.classes[i].blocks_max;
    if (!blocks_max || classes_[i].num_blocks + classes_[i].num_wanted <= *blocks_max) continue;
    among = {};
    among.insert(ClassId{i});
    return true;
  }
  among = all_classes();
  return num_wanted > index_.num_available();
}

// The one that waited long enough below its quota and is furthest behind.
std::optional<ClassId> Scheduler::reclaiming_class() const {
  ClassSet waiting_long;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    const ClassState& state = classes_[i];
    if (state.num_denied_steps >= options_.reclaim_steps && !state.waiting.empty()) {
      waiting_long.insert(ClassId{i});
    }
  }
  return shares_.furthest_behind(waiting_long);
}

// Who gives way next, from the classes above their quotas; null when nobody does.
Sequence* Scheduler::next_reclaimed(ClassId id) const {
  const Denial denial = start_denial(classes_[id.index].waiting.head());
  if (denial != Denial::kSlot && denial != Denial::kBlocks) return nullptr;
  const Room room = denial == Denial::kSlot ? Room::kSlots : Room::kBlocks;
  ClassSet others = over_quota(room);
  others.erase(id);
  return is_below_quota(id, room) ? youngest_of_most_over(others, room) : nullptr;
}

void Scheduler::reclaim() {
  const std::optional<ClassId> id = reclaiming_class();
  if (!id) return;
  while (Sequence* victim = next_reclaimed(*id)) {
    preempt(*victim);
    budget_.reclaiming = *id;
  }
  if (budget_.reclaiming) ++classes_[id->index].counts.num_reclaims;
}

// Why it cannot start now, when it is the head of its class.
Denial Scheduler::start_denial(const Sequence& sequence) const {
  const ClassId id = sequence.service_class;
  if (running_.size() >= options_.num_sequences_max) return Denial::kSlot;
  const std::size_t whole = blocks_for_tokens(sequence.num_tokens(), options_.block_tokens);
  PrefixIndex::Cached cached;
  if (options_.prefix_reuse == PrefixReuse::kOn) {
    cached =
        index_.find_cached(sequence.prefix_key(), sequence.num_reusable() / options_.block_tokens);
  }
  // A prompt streams into what is free. One that was preempted waits until it fits, so that
  // it does not start just to be preempted again.
  const std::size_t num_new =
      sequence.num_preemptions > 0 ? whole - cached.num_blocks : std::size_t{1};
  const std::optional<std::uint32_t> blocks_max = options_.classes[id.index].blocks_max;
  if (blocks_max && classes_[id.index].num_blocks + cached.num_blocks + num_new > *blocks_max) {
    return Denial::kOwnCap;
  }
  const std::size_t num_kept =
      cached.num_idle + budget_.elder_blocks + (running_.empty() ? 0 : growth_reserve());
  return num_new + num_kept <= index_.num_available() ? Denial::kNone : Denial::kBlocks;
}

Result<std::size_t> Scheduler::restore(std::span<const TokenId> prefix, HotSource source,
                                       FunctionRef<Status(std::size_t, BlockId)> fill) {
  CHECK(num_open_ == 0);
  CHECK(prefix.size() % options_.block_tokens == 0);
  const std::size_t num_blocks = prefix.size() / options_.block_tokens;
  CHECK(num_blocks > 0);
  std::vector<std::uint64_t> hashes;
  extend_prefix_hashes({}, prefix, options_.block_tokens, hashes);
  const PrefixKey key{{}, prefix, hashes};
  TRY(hot_.check_asked(key, num_blocks));
  BlockTable table(num_blocks);
  // The priority of their first users comes with them.
  const std::size_t num_there = index_.attach(key, num_blocks, 0, table);
  Status status = Ok{};
  if (!index_.try_extend(table, num_blocks)) {
    status = Error{ErrorCode::kResourceExhausted,
                   "a hot prompt of " + std::to_string(num_blocks) + " blocks finds " +
                       std::to_string(index_.num_available()) + " free"};
  }
  for (std::size_t i = num_there; i < num_blocks && status.ok(); ++i) {
    status = fill(i, table.blocks()[i]);
    if (!status.ok()) break;
    // What follows a block that was not there was not there either.
    CHECK(!index_.publish(key, i, 0, table).has_value());
  }
  if (status.ok()) status = hot_.pin(table.blocks(), hashes.back(), source);
  index_.release_all(table);
  TRY(std::move(status));
  return num_blocks - num_there;
}

}  // namespace millrace
