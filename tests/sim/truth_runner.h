// A runner without a model: its cache holds what every slot must contain, and it checks every read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/model_runner.h"
#include "memory/block_pool.h"
#include "memory/prefix_index.h"

namespace millrace {

// Bugs that a test plants to see them caught.
enum class SimFault : std::uint8_t {
  kNone,
  kLostReference,  // a held block is given back although its sequence still uses it
  kLeak,           // a block stays in use when its sequence has gone
  kWrongSlot,      // one write in five goes to the slot before
  kSkippedWrite,   // one write in five does not happen, so what was there before stays
  kStalePrefix,    // a cached block is written over although the prefix index still names it
};

// The token that request `request` has at `position`, whatever was scheduled when.
TokenId true_token(std::uint64_t seed, RequestId request, std::size_t position,
                   std::size_t vocabulary);
// Whether the pretended model gives logits that are not finite there.
bool is_bad_position(std::uint64_t seed, RequestId request, std::size_t position);

struct TruthRunnerOptions {
  std::uint64_t seed = 0;
  std::size_t num_blocks = 0;
  std::size_t block_tokens = 0;
  std::size_t vocabulary = 0;
  double failure_chance = 0;  // of a whole step
  double step_seconds = 0;    // that a step of one token claims to take; others in proportion
  SimFault fault = SimFault::kNone;
  BlockPool* pool = nullptr;     // for faults that play a bug in whoever counts its blocks
  std::string* trace = nullptr;  // one line per plan is appended
};

// Instead of floats a slot stores (hash of the prefix, position, token). "Attention" walks the
// block table of each planned sequence and checks that every slot holds what that prefix demands.
class TruthRunner final : public ModelRunner {
 public:
  explicit TruthRunner(const TruthRunnerOptions& options);

  Status run(const StepPlan& plan, StepResult& result) override;

  // Puts block `at` of a prefix into a block of the cache, as a file that was saved would.
  void put(std::span<const TokenId> prefix, std::size_t at, BlockId block);

  // Whose cached blocks kStalePrefix writes over.
  void watch(const PrefixIndex& index) { index_ = &index; }

  std::uint64_t num_slots_checked() const { return num_slots_checked_; }
  std::uint64_t num_copies() const { return num_copies_; }

 private:
  struct Slot {
    std::uint64_t prefix_hash = 0;
    std::size_t position = 0;
    TokenId token = 0;
    bool operator==(const Slot&) const = default;
  };

  std::size_t slot_index(const Sequence& sequence, std::size_t position) const;
  void trace(const StepPlan& plan) const;
  void plant_fault(const StepPlan& plan);
  void make_stale();
  void write(const PlannedChunk& chunk);
  void read(const PlannedChunk& chunk);
  void sample(const PlannedChunk& chunk, std::size_t index, StepResult& result) const;

  TruthRunnerOptions options_;
  Random random_;
  const PrefixIndex* index_ = nullptr;
  std::vector<Slot> slots_;
  std::uint64_t num_slots_checked_ = 0;
  std::uint64_t num_copies_ = 0;
};

}  // namespace millrace
