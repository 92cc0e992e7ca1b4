// What must always hold: order, counts, and every reference to a block.
#include <limits>
#include <map>
#include <vector>

#include "base/check.h"
#include "engine/scheduler.h"

namespace millrace {

void Scheduler::check_invariants() const {
  pool_.check_invariants();
  index_.check_invariants();
  CHECK(running_.size() <= options_.num_sequences_max);
  check_waiting();
  check_open();
  std::vector<std::uint32_t> num_holders(pool_.num_blocks(), 0);
  std::vector<std::size_t> num_running(classes_.size(), 0);
  std::vector<std::size_t> num_blocks(classes_.size(), 0);
  const auto count_blocks = [&](const Sequence& sequence) {
    num_blocks[sequence.request.service_class.index] += sequence.blocks.num_blocks();
    for (const BlockId block : sequence.blocks.blocks()) ++num_holders[block.index];
  };
  for (const Sequence* sequence : running_) {
    CHECK(by_id_[sequence->id.index].get() == sequence);
    CHECK(sequence->is_running);
    CHECK(sequence->num_computed < sequence->num_tokens());
    CHECK(sequence->num_computed <= sequence->blocks.num_blocks() * options_.block_tokens);
    CHECK(sequence->num_published <= sequence->num_computed / options_.block_tokens);
    ++num_running[sequence->request.service_class.index];
    count_blocks(*sequence);
  }
  for (const std::unique_ptr<Sequence>& sequence : ended_) {
    CHECK(sequence->finish.has_value());
    CHECK(sequence->num_submitted > 0 || sequence->blocks.num_blocks() == 0);
    count_blocks(*sequence);
  }
  for (const BlockId block : set_aside_) ++num_holders[block.index];
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    CHECK(classes_[i].num_running == num_running[i]);
    CHECK(classes_[i].num_blocks == num_blocks[i]);
    CHECK(num_blocks[i] <=
          options_.classes[i].blocks_max.value_or(std::numeric_limits<std::uint32_t>::max()));
  }
  CHECK(num_live_ + free_ids_.size() + ended_.size() == by_id_.size());
  // Every reference is a table's or the index's: no leak, and no block in two hands unknown.
  for (std::uint32_t i = 0; i < pool_.num_blocks(); ++i) {
    const std::uint32_t of_index = index_.contains(BlockId{i}) ? 1 : 0;
    const std::uint32_t of_pins = index_.is_pinned(BlockId{i}) ? 1 : 0;
    CHECK(pool_.num_holders(BlockId{i}) == num_holders[i] + of_index + of_pins);
  }
}

bool Scheduler::has_leftovers() const {
  CHECK(num_live_ == 0);
  CHECK(num_open_ == 0);
  bool has_any = pool_.num_used() != index_.num_idle() + index_.num_pinned() ||
                 !set_aside_.empty() || num_parked_ > 0 ||
                 free_ids_.size() + ended_.size() != by_id_.size();
  for (const ClassState& state : classes_) {
    has_any = has_any || state.num_blocks > 0 || state.num_running > 0 || !state.waiting.empty();
  }
  return has_any;
}

void Scheduler::check_waiting() const {
  std::size_t num_waiting = 0;
  for (const ClassState& state : classes_) {
    const std::vector<Sequence*>& waiting = state.waiting.sequences();
    num_waiting += waiting.size();
    std::size_t num_tokens = 0;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      CHECK(by_id_[waiting[i]->id.index].get() == waiting[i]);
      CHECK(!waiting[i]->is_running);
      CHECK(waiting[i]->num_computed == 0);
      CHECK(waiting[i]->num_submitted == 0);
      CHECK(waiting[i]->blocks.num_blocks() == 0);
      CHECK(waiting[i]->waiting_place == i);
      CHECK(i == 0 || waiting[(i - 1) / 2]->goes_before(*waiting[i]));
      num_tokens += waiting[i]->num_queued_tokens;
    }
    CHECK(num_tokens == state.waiting.num_tokens());
  }
  CHECK(num_waiting + running_.size() + num_parked_ == num_live_);
}

// One of its classes allows so many, and none more.
void Scheduler::check_threads(const OpenPlan& open) const {
  bool is_any = false;
  for (const Sequence* sequence : open.sequences) {
    const std::optional<std::uint32_t> own = class_of(*sequence).threads_max;
    is_any = is_any || own == open.plan.threads_max;
    CHECK(!open.plan.threads_max || (own && *own <= *open.plan.threads_max));
  }
  CHECK(is_any);
}

// What open plans name is counted at whom they name, and nothing else is.
void Scheduler::check_open() const {
  std::map<const Sequence*, std::size_t> num_named;
  std::map<const Sequence*, std::size_t> num_drawn;
  for (std::size_t i = 0; i < num_open_; ++i) {
    const OpenPlan& open = open_[(first_open_ + i) % kOpenPlansMax];
    CHECK(open.sequences.size() == open.plan.chunks.size());
    CHECK(open.copied.size() == 2 * open.plan.copies.size());
    check_threads(open);
    for (std::size_t chunk = 0; chunk < open.sequences.size(); ++chunk) {
      ++num_named[open.sequences[chunk]];
      if (open.plan.chunks[chunk].samples) ++num_drawn[open.sequences[chunk]];
    }
    for (const Sequence* copied : open.copied) ++num_named[copied];
  }
  CHECK(num_open_ > 0 || set_aside_.empty());
  const auto check = [&](const Sequence& sequence) {
    CHECK(sequence.num_submitted == num_named[&sequence]);
    CHECK(sequence.num_pending == num_drawn[&sequence]);
  };
  for (const std::unique_ptr<Sequence>& sequence : by_id_) {
    if (sequence != nullptr) check(*sequence);
  }
  for (const std::unique_ptr<Sequence>& sequence : ended_) check(*sequence);
}

}  // namespace millrace
