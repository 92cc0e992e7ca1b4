// One loop over several ways to place a sequence's keys and values.
#include "simulate/memory_replay.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "memory/block_pool.h"
#include "memory/block_table.h"
#include "simulate/general_allocator.h"

namespace millrace {

namespace {

// Sums of steps to means.
ReplayReport mean_of(ReplayReport sums) {
  if (sums.num_steps == 0) return sums;
  const auto steps = static_cast<double>(sums.num_steps);
  for (double* sum : {&sums.useful, &sums.internal, &sums.external, &sums.num_sequences}) {
    *sum /= steps;
  }
  return sums;
}

}  // namespace

void AllocationRecorder::on_plan(const Scheduler& scheduler) {
  double live = 0;
  double held = 0;
  const StepPlan& plan = scheduler.last_plan();
  for (const PlannedChunk& chunk : plan.chunks) {
    const Sequence& sequence = *chunk.sequence;
    live += static_cast<double>(chunk.num_computed + chunk.num_tokens);
    held += static_cast<double>(sequence.blocks.num_blocks() * block_tokens_);
    const auto [entry, is_new] = entries_.try_emplace(sequence.request.id.value);
    if (is_new) {
      entry->second.order = entries_.size();
      entry->second.log.num_prompt = static_cast<std::uint32_t>(sequence.num_prompt());
    }
    // What preemption computes again after the first token is no growth of this log.
    if (chunk.num_computed < sequence.num_prompt() && sequence.num_generated() == 0) {
      ++entry->second.log.num_prompt_steps;
    }
  }
  sums_.num_preemptions += plan.preempted.size();
  if (scheduler.num_waiting() == 0) return;
  const double capacity = static_cast<double>(num_blocks_) * static_cast<double>(block_tokens_);
  sums_.useful += live / capacity;
  sums_.internal += (held - live) / capacity;
  sums_.external += 1 - held / capacity;
  sums_.num_sequences += static_cast<double>(plan.chunks.size());
  ++sums_.num_steps;
}

void AllocationRecorder::on_finished(const Sequence& sequence) {
  Entry& entry = entries_.at(sequence.request.id.value);
  entry.log.num_output = static_cast<std::uint32_t>(sequence.num_generated());
  entry.has_finished = true;
}

ReplayReport AllocationRecorder::as_it_ran() const {
  return mean_of(sums_);
}

std::vector<SequenceLog> AllocationRecorder::log() const {
  std::vector<std::pair<std::size_t, SequenceLog>> ordered;
  for (const auto& [number, entry] : entries_) {
    if (entry.has_finished) ordered.emplace_back(entry.order, entry.log);
  }
  std::sort(ordered.begin(), ordered.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SequenceLog> log;
  for (const auto& [order, entry] : ordered) log.push_back(entry);
  return log;
}

namespace {

struct Running {
  std::size_t number = 0;        // in the log
  std::uint32_t num_tokens = 0;  // live in the cache
  std::uint32_t num_steps = 0;   // since it started
};

// The last token is never computed, so it takes no room.
std::uint32_t tokens_at_end(const SequenceLog& sequence) {
  return sequence.num_prompt + sequence.num_output - 1;
}

// After `num_steps` steps.
std::uint32_t tokens_after(const SequenceLog& sequence, std::uint32_t num_steps) {
  const std::uint32_t prompt_steps = std::max(1u, sequence.num_prompt_steps);
  if (num_steps < prompt_steps) {
    return static_cast<std::uint32_t>(
        ceil_div(std::uint64_t{sequence.num_prompt} * num_steps, prompt_steps));
  }
  return std::min(tokens_at_end(sequence), sequence.num_prompt + num_steps - prompt_steps);
}

// Where sequences lie; by their number in the log.
class Placement {
 public:
  virtual ~Placement() = default;
  // Room for the first `num_tokens` of a sequence that starts beside `num_running` others.
  virtual bool try_start(std::size_t number, const SequenceLog& sequence, std::uint32_t num_tokens,
                         std::size_t num_running) = 0;
  virtual bool try_grow(std::size_t number, std::uint32_t num_tokens) = 0;
  virtual void release(std::size_t number) = 0;
  virtual std::uint64_t held_bytes() const = 0;
};

class ContiguousPlacement final : public Placement {
 public:
  ContiguousPlacement(const ReplayOptions& options, std::size_t num_sequences)
      : options_(options), ranges_(num_sequences) {
    // 256 bytes is what GPU allocators align to.
    if (options.allocator == ReplayAllocator::kBestFit) {
      allocator_ = std::make_unique<BestFitAllocator>(options.capacity_bytes, 256);
    } else {
      allocator_ = std::make_unique<CachingAllocator>(options.capacity_bytes);
    }
  }

  bool try_start(std::size_t number, const SequenceLog& sequence, std::uint32_t num_tokens,
                 std::size_t) override {
    return try_place(number, tokens_to_reserve(sequence, num_tokens));
  }

  bool try_grow(std::size_t number, std::uint32_t num_tokens) override {
    Range& range = ranges_[number];
    if (num_tokens <= range.num_tokens) return true;
    CHECK(options_.placement == KvPlacement::kGrowDouble);
    const Range old = range;
    // Where there is no room for twice as much, just enough may still do.
    if (!try_place(number, std::max(num_tokens, 2 * old.num_tokens)) &&
        !try_place(number, num_tokens)) {
      return false;
    }
    allocator_->release(old.offset);  // after the copy
    return true;
  }

  void release(std::size_t number) override { allocator_->release(ranges_[number].offset); }
  std::uint64_t held_bytes() const override { return allocator_->held_bytes(); }

 private:
  struct Range {
    std::uint64_t offset = 0;
    std::uint32_t num_tokens = 0;
  };

  std::uint32_t tokens_to_reserve(const SequenceLog& sequence, std::uint32_t num_tokens) const {
    const std::uint32_t all = tokens_at_end(sequence);
    switch (options_.placement) {
      case KvPlacement::kReserveContext:
        return std::max(all, options_.context_tokens);
      case KvPlacement::kReserveExact:
        return all;
      case KvPlacement::kReservePower:
        return std::bit_ceil(all);
      case KvPlacement::kGrowDouble:
      case KvPlacement::kBlocks:
        break;
    }
    return num_tokens;
  }

  bool try_place(std::size_t number, std::uint32_t num_tokens) {
    const auto offset = allocator_->try_allocate(num_tokens * options_.bytes_per_token);
    if (offset) ranges_[number] = {*offset, num_tokens};
    return offset.has_value();
  }

  const ReplayOptions options_;
  std::unique_ptr<GeneralAllocator> allocator_;
  std::vector<Range> ranges_;
};

class BlockPlacement final : public Placement {
 public:
  explicit BlockPlacement(const ReplayOptions& options, std::size_t num_sequences)
      : options_(options),
        pool_(static_cast<std::uint32_t>(options.capacity_bytes /
                                         (options.bytes_per_token * options.block_tokens))) {
    tables_.reserve(num_sequences);
    for (std::size_t i = 0; i < num_sequences; ++i) tables_.emplace_back(0);
  }
  ~BlockPlacement() override {
    for (BlockTable& table : tables_) table.release_all(pool_);
  }

  bool try_start(std::size_t number, const SequenceLog&, std::uint32_t num_tokens,
                 std::size_t num_running) override {
    constexpr std::size_t kSequencesPerSpareBlock = 8;
    const std::size_t num_spare =
        static_cast<std::size_t>(ceil_div(num_running, kSequencesPerSpareBlock));
    if (blocks_for_tokens(num_tokens, options_.block_tokens) + num_spare > pool_.num_free()) {
      return false;
    }
    return try_grow(number, num_tokens);
  }
  bool try_grow(std::size_t number, std::uint32_t num_tokens) override {
    return tables_[number].try_extend(
        pool_, std::max(tables_[number].num_blocks(),
                        blocks_for_tokens(num_tokens, options_.block_tokens)));
  }
  void release(std::size_t number) override { tables_[number].release_all(pool_); }
  std::uint64_t held_bytes() const override {
    return std::uint64_t{pool_.num_used()} * options_.block_tokens * options_.bytes_per_token;
  }

 private:
  const ReplayOptions options_;
  BlockPool pool_;
  std::vector<BlockTable> tables_;
};

class Replay {
 public:
  Replay(const std::vector<SequenceLog>& log, const ReplayOptions& options)
      : log_(log), options_(options) {
    if (options.placement == KvPlacement::kBlocks) {
      placement_ = std::make_unique<BlockPlacement>(options, log.size());
    } else {
      placement_ = std::make_unique<ContiguousPlacement>(options, log.size());
    }
    for (std::size_t i = 0; i < log.size(); ++i) waiting_.push_back({.number = i});
  }

  ReplayReport run();

 private:
  bool fits_alone(const SequenceLog& sequence) const;
  void grow();
  void end_finished();
  void start();
  void preempt_youngest();
  void count();

  const std::vector<SequenceLog>& log_;
  const ReplayOptions options_;
  std::unique_ptr<Placement> placement_;
  std::deque<Running> waiting_;
  std::vector<Running> running_;  // oldest first
  bool is_saturated_ = false;     // a head has not fit
  bool has_preempted_ = false;    // in this step
  ReplayReport report_;
};

// Whether it could end if nobody else were there: a range that doubles lies beside its copy.
bool Replay::fits_alone(const SequenceLog& sequence) const {
  const std::uint64_t copies = options_.placement == KvPlacement::kGrowDouble ? 2 : 1;
  const std::uint64_t num_tokens =
      round_up(tokens_at_end(sequence), std::max<std::uint64_t>(1, options_.block_tokens));
  return copies * num_tokens * options_.bytes_per_token <= options_.capacity_bytes;
}

void Replay::preempt_youngest() {
  Running youngest = running_.back();
  running_.pop_back();
  placement_->release(youngest.number);
  // Computed once more: it starts with all that it knows in one step.
  waiting_.push_front(youngest);
  ++report_.num_preemptions;
  has_preempted_ = true;
}

void Replay::grow() {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const std::uint32_t wanted = tokens_after(log_[running_[i].number], running_[i].num_steps + 1);
    while (i < running_.size() && !placement_->try_grow(running_[i].number, wanted)) {
      preempt_youngest();
    }
    if (i == running_.size()) return;
    running_[i].num_tokens = wanted;
    ++running_[i].num_steps;
  }
}

void Replay::end_finished() {
  std::erase_if(running_, [&](const Running& one) {
    const SequenceLog& sequence = log_[one.number];
    // Its last token comes out of the step after the one that made it whole but for that one.
    const std::uint32_t steps = std::max(1u, sequence.num_prompt_steps) + sequence.num_output - 1;
    if (one.num_steps < steps) return false;
    placement_->release(one.number);
    return true;
  });
}

void Replay::start() {
  while (!waiting_.empty() && !has_preempted_) {
    Running next = waiting_.front();
    const SequenceLog& sequence = log_[next.number];
    if (!fits_alone(sequence)) {
      ++report_.num_refused;
      waiting_.pop_front();
      continue;
    }
    next.num_steps = std::max(next.num_steps, 1u);
    next.num_tokens = tokens_after(sequence, next.num_steps);
    if (!placement_->try_start(next.number, sequence, next.num_tokens, running_.size())) {
      if (!running_.empty()) {
        is_saturated_ = true;
        return;
      }
      ++report_.num_refused;
      waiting_.pop_front();
      continue;
    }
    waiting_.pop_front();
    running_.push_back(next);
  }
}

void Replay::count() {
  if (!is_saturated_ || waiting_.empty()) return;
  double live = 0;
  for (const Running& one : running_) live += one.num_tokens;
  const auto capacity = static_cast<double>(options_.capacity_bytes);
  const double useful = live * static_cast<double>(options_.bytes_per_token) / capacity;
  const double held = static_cast<double>(placement_->held_bytes()) / capacity;
  report_.useful += useful;
  report_.internal += held - useful;
  report_.external += 1 - held;
  report_.num_sequences += static_cast<double>(running_.size());
  ++report_.num_steps;
}

ReplayReport Replay::run() {
  while (!waiting_.empty() || !running_.empty()) {
    has_preempted_ = false;
    grow();
    end_finished();
    start();
    count();
  }
  return mean_of(report_);
}

}  // namespace

ReplayReport replay_log(const std::vector<SequenceLog>& log, const ReplayOptions& options) {
  CHECK(options.bytes_per_token > 0);
  CHECK(options.block_tokens > 0);
  CHECK((options.placement == KvPlacement::kBlocks) ==
        (options.allocator == ReplayAllocator::kBlockPool));
  Replay replay(log, options);
  return replay.run();
}

}  // namespace millrace
