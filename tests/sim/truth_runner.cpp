// Writes, reads and samples of the runner that knows every right answer.
#include "sim/truth_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint64_t kTokenSalt = 0x746F6B656Eu;
constexpr std::uint64_t kBadSalt = 0x626164u;
constexpr std::uint64_t kPoisonSalt = 0x706F69u;
constexpr std::uint64_t kBadOneIn = 400;
constexpr std::uint64_t kPoisonOneIn = 150;
constexpr std::uint64_t kFaultOneIn = 5;

std::uint64_t keyed(std::uint64_t salt, std::uint64_t seed, RequestId request,
                    std::size_t position) {
  return mix64(mix64(mix64(seed + salt) + request.value) + position);
}

// The hash of tokens[0, position] given that of tokens[0, position).
std::uint64_t extend_hash(std::uint64_t prefix_hash, TokenId token) {
  return mix64(prefix_hash + token + 1);
}

}  // namespace

TokenId true_token(std::uint64_t seed, RequestId request, std::size_t position,
                   std::size_t vocabulary) {
  return static_cast<TokenId>(keyed(kTokenSalt, seed, request, position) % vocabulary);
}

bool is_bad_position(std::uint64_t seed, RequestId request, std::size_t position) {
  return keyed(kBadSalt, seed, request, position) % kBadOneIn == 0;
}

bool is_poison_position(std::uint64_t seed, RequestId request, std::size_t position) {
  return keyed(kPoisonSalt, seed, request, position) % kPoisonOneIn == 0;
}

TruthRunner::Step::Step(std::size_t num_slots) {
  constexpr std::size_t kShared = 16;  // sequences that hold the same slots
  chunks.reserve(kChunksMax);
  tokens.reserve(kShared * num_slots);
  blocks.reserve(kShared * num_slots);
}

TruthRunner::TruthRunner(const TruthRunnerOptions& options)
    : options_(options),
      random_(mix64(options.seed)),
      slots_(options.num_blocks * options.block_tokens),
      steps_{Step(slots_.size()), Step(slots_.size())} {
  drawn_.reserve(kChunksMax);
  last_given_.reserve(kChunksMax);
}

std::size_t TruthRunner::slot_index(const Step& step, const Chunk& chunk,
                                    std::size_t position) const {
  const std::size_t block = position / options_.block_tokens;
  CHECK(block < chunk.num_blocks);
  return step.blocks[chunk.first_block + block].index * options_.block_tokens +
         position % options_.block_tokens;
}

void TruthRunner::trace(const StepPlan& plan) const {
  if (options_.trace == nullptr) return;
  for (const PlannedChunk& chunk : plan.chunks) {
    *options_.trace += " " + std::to_string(chunk.sequence->request.id.value) + ":" +
                       std::to_string(chunk.num_computed) + "+" + std::to_string(chunk.num_tokens);
  }
  for (const Sequence* sequence : plan.preempted) {
    *options_.trace += " preempt " + std::to_string(sequence->request.id.value);
  }
  *options_.trace += "\n";
}

void TruthRunner::plant_fault(const StepPlan& plan) {
  if (options_.fault == SimFault::kStalePrefix && index_ != nullptr) make_stale();
  if (random_.below(2 * kFaultOneIn) != 0) return;
  if (options_.fault == SimFault::kEarlyRelease && num_begun_ > num_finished_) {
    const Step& before = steps_[num_finished_ % kBegunMax];
    options_.pool->release(before.blocks.back());
  }
  if (options_.fault == SimFault::kLostReference) {
    options_.pool->release(plan.chunks.front().sequence->blocks.blocks().back());
  }
  if (options_.fault == SimFault::kLeak) static_cast<void>(options_.pool->try_acquire());
}

// The first idle block of the index from a random one on.
void TruthRunner::make_stale() {
  const std::size_t first = random_.below(options_.num_blocks);
  for (std::size_t i = 0; i < options_.num_blocks; ++i) {
    const BlockId block{static_cast<std::uint32_t>((first + i) % options_.num_blocks)};
    if (!index_->contains(block) || options_.pool->num_holders(block) > 1) continue;
    for (std::size_t j = 0; j < options_.block_tokens; ++j) {
      slots_[block.index * options_.block_tokens + j].prefix_hash ^= 1;
    }
    return;
  }
}

// What a loop does that forgets to drop the token of the step that was under way when a stop token
// became known: the stop is taken for another token, and comes one token later.
void TruthRunner::delay_stops(Step& step, Step& next) {
  if (next.has_run || !step.status.ok()) return;
  for (const Chunk& chunk : next.chunks) {
    if (!chunk.planned->drawn_by) continue;
    const std::size_t at = *chunk.planned->drawn_by;
    const Request& request = chunk.planned->sequence->request;
    TokenId& token = step.result.samples[at].token;
    const auto is_stop = [&](TokenId id) {
      return std::count(request.stop_ids.begin(), request.stop_ids.end(), id) > 0;
    };
    if (!is_stop(token)) continue;
    late_stops_[request.id.value] = token;
    while (is_stop(token)) token = (token + 1) % static_cast<TokenId>(options_.vocabulary);
    drawn_[at].token = token;
  }
}

Status TruthRunner::run(const StepPlan& plan, StepResult& result) {
  CHECK(num_begun_ == num_finished_);
  begin(plan);
  return finish(result);
}

void TruthRunner::begin(const StepPlan& plan) {
  CHECK(num_begun_ - num_finished_ < kBegunMax);
  trace(plan);
  plant_fault(plan);
  pack(steps_[num_begun_ % kBegunMax], plan);
  ++num_begun_;
  // The device may be ahead of the engine by any number of steps.
  for (std::size_t i = num_finished_; i < num_begun_; ++i) {
    if (!random_.chance(0.5)) return;
    execute(steps_[i % kBegunMax]);
  }
}

Status TruthRunner::finish(StepResult& result) {
  CHECK(num_begun_ > num_finished_);
  Step& step = steps_[num_finished_ % kBegunMax];
  execute(step);
  check_held(step);
  if (options_.fault == SimFault::kLateStop && num_begun_ == num_finished_ + 2) {
    delay_stops(step, steps_[(num_finished_ + 1) % kBegunMax]);
  }
  ++num_finished_;
  if (num_begun_ == num_finished_) is_broken_ = false;
  const bool is_stale = options_.fault == SimFault::kStaleResult && step.status.ok() &&
                        random_.below(kFaultOneIn) == 0 &&
                        result.samples.size() == last_given_.size();
  std::swap(result, step.result);
  if (is_stale) result.samples = last_given_;
  last_given_ = result.samples;
  return step.status;
}

void TruthRunner::abandon() {
  is_broken_ = false;
  num_finished_ = num_begun_;
}

void TruthRunner::pack(Step& step, const StepPlan& plan) const {
  step.plan = &plan;
  step.has_run = false;
  step.status = Ok{};
  step.chunks.clear();
  step.tokens.clear();
  step.blocks.clear();
  step.result.reset(plan.chunks.size());
  for (const PlannedChunk& planned : plan.chunks) {
    const std::span<const BlockId> blocks = planned.sequence->blocks.blocks();
    const Chunk chunk{.planned = &planned,
                      .first_token = step.tokens.size(),
                      .first_block = step.blocks.size(),
                      .num_blocks = blocks.size()};
    const std::vector<TokenId>& tokens = planned.sequence->tokens;
    const std::size_t num_known = chunk.end() - (planned.drawn_by ? 1 : 0);
    CHECK(num_known <= tokens.size());
    step.tokens.insert(step.tokens.end(), tokens.begin(),
                       tokens.begin() + static_cast<std::ptrdiff_t>(num_known));
    if (planned.drawn_by) step.tokens.push_back(0);
    step.blocks.insert(step.blocks.end(), blocks.begin(), blocks.end());
    step.chunks.push_back(chunk);
  }
}

void TruthRunner::fill_drawn(Step& step) {
  for (const Chunk& chunk : step.chunks) {
    if (!chunk.planned->drawn_by) continue;
    CHECK(*chunk.planned->drawn_by < drawn_.size());
    step.tokens[chunk.first_token + chunk.end() - 1] = drawn_[*chunk.planned->drawn_by].token;
  }
}

void TruthRunner::check_held(const Step& step) const {
  if (options_.pool == nullptr) return;
  for (const BlockId block : step.blocks) CHECK(options_.pool->num_holders(block) > 0);
}

bool TruthRunner::is_poisoned(const StepPlan& plan) const {
  if (!options_.has_poison) return false;
  return std::any_of(plan.chunks.begin(), plan.chunks.end(), [&](const PlannedChunk& chunk) {
    return chunk.samples && is_poison_position(options_.seed, chunk.sequence->request.id,
                                               chunk.num_computed + chunk.num_tokens);
  });
}

void TruthRunner::execute(Step& step) {
  if (step.has_run || is_broken_) return;
  step.has_run = true;
  const StepPlan& plan = *step.plan;
  fill_drawn(step);
  check_held(step);
  for (const BlockCopy& copy : plan.copies) {
    const auto begin =
        slots_.begin() + static_cast<std::ptrdiff_t>(copy.from.index * options_.block_tokens);
    std::copy_n(
        begin, options_.block_tokens,
        slots_.begin() + static_cast<std::ptrdiff_t>(copy.to.index * options_.block_tokens));
  }
  num_copies_ += plan.copies.size();
  const bool fails = is_poisoned(plan) || random_.chance(options_.failure_chance);
  const std::size_t num_written = fails ? random_.below(plan.chunks.size()) : plan.chunks.size();
  for (std::size_t i = 0; i < num_written; ++i) write(step, step.chunks[i]);
  if (fails) {
    step.status = Error{ErrorCode::kUnavailable, "the simulated device failed"};
    is_broken_ = true;
    return;
  }
  if (options_.step_seconds > 0) {
    const double per_token = 0.1 * static_cast<double>(plan.num_tokens);
    const double noise = 0.8 + 0.4 * random_.uniform();
    step.result.elapsed = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(options_.step_seconds * (1 + per_token) * noise));
  }
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
    read(step, step.chunks[i]);
    if (plan.chunks[i].samples) sample(step.chunks[i], i, step.result);
  }
  drawn_ = step.result.samples;
}

void TruthRunner::write(const Step& step, const Chunk& chunk) {
  std::uint64_t prefix_hash = 0;
  for (std::size_t i = 0; i < chunk.end(); ++i) {
    const TokenId token = step.tokens[chunk.first_token + i];
    prefix_hash = extend_hash(prefix_hash, token);
    if (i < chunk.planned->num_computed) continue;
    std::size_t index = slot_index(step, chunk, i);
    const bool is_faulty = random_.below(kFaultOneIn) == 0;
    if (is_faulty && options_.fault == SimFault::kSkippedWrite) continue;
    if (is_faulty && options_.fault == SimFault::kWrongSlot && index > 0) --index;
    slots_[index] = {prefix_hash, i, token};
  }
}

void TruthRunner::put(std::span<const TokenId> prefix, std::size_t at, BlockId block) {
  std::uint64_t prefix_hash = 0;
  for (std::size_t i = 0; i < (at + 1) * options_.block_tokens; ++i) {
    prefix_hash = extend_hash(prefix_hash, prefix[i]);
    if (i < at * options_.block_tokens) continue;
    slots_[block.index * options_.block_tokens + i % options_.block_tokens] = {prefix_hash, i,
                                                                               prefix[i]};
  }
}

void TruthRunner::read(const Step& step, const Chunk& chunk) {
  std::uint64_t prefix_hash = 0;
  for (std::size_t i = 0; i < chunk.end(); ++i) {
    const TokenId token = step.tokens[chunk.first_token + i];
    prefix_hash = extend_hash(prefix_hash, token);
    const Slot expected{prefix_hash, i, token};
    CHECK(slots_[slot_index(step, chunk, i)] == expected);
    ++num_slots_checked_;
  }
}

void TruthRunner::sample(const Chunk& chunk, std::size_t index, StepResult& result) {
  const Sequence& sequence = *chunk.planned->sequence;
  const RequestId request = sequence.request.id;
  const std::size_t position = chunk.end();
  // The grammar's state must be that of the tokens before.
  if (const auto* constraint = static_cast<CountingConstraint*>(sequence.constraint.get())) {
    CHECK(constraint->num_advanced() == position - sequence.num_prompt());
  }
  SampledToken& sample = result.samples[index];
  if (is_bad_position(options_.seed, request, position)) {
    sample.outcome = SampleOutcome::kBadLogits;
    return;
  }
  sample.outcome = SampleOutcome::kToken;
  sample.token = true_token(options_.seed, request, position, options_.vocabulary);
  if (const auto late = late_stops_.find(request.value); late != late_stops_.end()) {
    sample.token = late->second;
  }
  sample.logprob = -static_cast<float>(position);
  sample.num_top = sequence.request.sampling.top_logprobs.value_or(0);
  for (std::uint32_t i = 0; i < sample.num_top; ++i) {
    result.top_space(index)[i] = {i, -static_cast<float>(position + i)};
  }
}

}  // namespace millrace
