// Writes, reads and samples of the runner that knows every right answer.
#include "sim/truth_runner.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint64_t kTokenSalt = 0x746F6B656Eu;
constexpr std::uint64_t kBadSalt = 0x626164u;
constexpr std::uint64_t kBadOneIn = 400;
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

TruthRunner::TruthRunner(const TruthRunnerOptions& options)
    : options_(options),
      random_(mix64(options.seed)),
      slots_(options.num_blocks * options.block_tokens) {}

std::size_t TruthRunner::slot_index(const Sequence& sequence, std::size_t position) const {
  const std::size_t block = position / options_.block_tokens;
  CHECK(block < sequence.blocks.num_blocks());
  return sequence.blocks.blocks()[block].index * options_.block_tokens +
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

Status TruthRunner::run(const StepPlan& plan, StepResult& result) {
  trace(plan);
  plant_fault(plan);
  CHECK(result.samples.size() == plan.chunks.size());
  for (const BlockCopy& copy : plan.copies) {
    const auto begin =
        slots_.begin() + static_cast<std::ptrdiff_t>(copy.from.index * options_.block_tokens);
    std::copy_n(
        begin, options_.block_tokens,
        slots_.begin() + static_cast<std::ptrdiff_t>(copy.to.index * options_.block_tokens));
  }
  num_copies_ += plan.copies.size();
  const bool fails = random_.chance(options_.failure_chance);
  const std::size_t num_written = fails ? random_.below(plan.chunks.size()) : plan.chunks.size();
  for (std::size_t i = 0; i < num_written; ++i) write(plan.chunks[i]);
  if (fails) return Error{ErrorCode::kUnavailable, "the simulated device failed"};
  if (options_.step_seconds > 0) {
    const double per_token = 0.1 * static_cast<double>(plan.num_tokens);
    const double noise = 0.8 + 0.4 * random_.uniform();
    result.elapsed = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(options_.step_seconds * (1 + per_token) * noise));
  }
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
    read(plan.chunks[i]);
    if (plan.chunks[i].samples) sample(plan.chunks[i], i, result);
  }
  return Ok{};
}

void TruthRunner::write(const PlannedChunk& chunk) {
  const Sequence& sequence = *chunk.sequence;
  std::uint64_t prefix_hash = 0;
  for (std::size_t i = 0; i < chunk.num_computed + chunk.num_tokens; ++i) {
    prefix_hash = extend_hash(prefix_hash, sequence.tokens[i]);
    if (i < chunk.num_computed) continue;
    std::size_t index = slot_index(sequence, i);
    const bool is_faulty = random_.below(kFaultOneIn) == 0;
    if (is_faulty && options_.fault == SimFault::kSkippedWrite) continue;
    if (is_faulty && options_.fault == SimFault::kWrongSlot && index > 0) --index;
    slots_[index] = {prefix_hash, i, sequence.tokens[i]};
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

void TruthRunner::read(const PlannedChunk& chunk) {
  const Sequence& sequence = *chunk.sequence;
  std::uint64_t prefix_hash = 0;
  for (std::size_t i = 0; i < chunk.num_computed + chunk.num_tokens; ++i) {
    prefix_hash = extend_hash(prefix_hash, sequence.tokens[i]);
    const Slot expected{prefix_hash, i, sequence.tokens[i]};
    CHECK(slots_[slot_index(sequence, i)] == expected);
    ++num_slots_checked_;
  }
}

void TruthRunner::sample(const PlannedChunk& chunk, std::size_t index, StepResult& result) const {
  const Sequence& sequence = *chunk.sequence;
  const RequestId request = sequence.request.id;
  const std::size_t position = chunk.num_computed + chunk.num_tokens;
  CHECK(position == sequence.num_tokens());
  SampledToken& sample = result.samples[index];
  if (is_bad_position(options_.seed, request, position)) {
    sample.outcome = SampleOutcome::kBadLogits;
    return;
  }
  sample.outcome = SampleOutcome::kToken;
  sample.token = true_token(options_.seed, request, position, options_.vocabulary);
  sample.logprob = -static_cast<float>(position);
  sample.num_top = sequence.request.sampling.top_logprobs.value_or(0);
  for (std::uint32_t i = 0; i < sample.num_top; ++i) {
    result.top_space(index)[i] = {i, -static_cast<float>(position + i)};
  }
}

}  // namespace millrace
