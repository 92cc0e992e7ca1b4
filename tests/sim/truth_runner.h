// A runner without a model: its cache holds what every slot must contain, and it checks every read.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
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
  kEarlyRelease,   // a block that a submitted step names goes free before the step has run
  kStaleResult,    // a step's tokens are given for the step after it too
  kLateStop,       // a stop token takes effect one step late: one token too many
};

// The token that request `request` has at `position`, whatever was scheduled when.
TokenId true_token(std::uint64_t seed, RequestId request, std::size_t position,
                   std::size_t vocabulary);
// Whether the pretended model gives logits that are not finite there.
bool is_bad_position(std::uint64_t seed, RequestId request, std::size_t position);
// Whether a step that draws the token there fails as a whole.
bool is_poison_position(std::uint64_t seed, RequestId request, std::size_t position);

// Allows everything, and knows how often it was advanced.
class CountingConstraint final : public LogitConstraint {
 public:
  void mask(std::span<std::uint32_t>) const override {}
  void advance(TokenId) override { ++num_advanced_; }
  void rollback(std::size_t num_tokens) override { num_advanced_ -= num_tokens; }
  std::unique_ptr<LogitConstraint> fork() const override {
    return std::make_unique<CountingConstraint>(*this);
  }
  std::size_t num_advanced() const { return num_advanced_; }

 private:
  std::size_t num_advanced_ = 0;
};

struct TruthRunnerOptions {
  std::uint64_t seed = 0;
  std::size_t num_blocks = 0;
  std::size_t block_tokens = 0;
  std::size_t vocabulary = 0;
  double failure_chance = 0;  // of a whole step
  bool has_poison = false;    // see is_poison_position
  double step_seconds = 0;    // that a step of one token claims to take; others in proportion
  SimFault fault = SimFault::kNone;
  BlockPool* pool = nullptr;     // for faults that play a bug in whoever counts its blocks
  std::string* trace = nullptr;  // one line per plan is appended
};

// Instead of floats a slot stores (hash of the prefix, position, token). "Attention" walks the
// block table of each planned sequence and checks that every slot holds what that prefix demands.
//
// A device of its own is played by steps that run late: what was begun runs at a random moment
// until it is finished, in order, from a copy of what its plan named when it was begun. Meanwhile
// every block that it names must have a holder.
class TruthRunner final : public ModelRunner {
 public:
  explicit TruthRunner(const TruthRunnerOptions& options);

  Status run(const StepPlan& plan, StepResult& result) override;
  void begin(const StepPlan& plan) override;
  Status finish(StepResult& result) override;
  void abandon() override;

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

  // What a chunk named when its step was begun.
  struct Chunk {
    const PlannedChunk* planned = nullptr;
    std::size_t first_token = 0;  // in Step::tokens
    std::size_t first_block = 0;  // in Step::blocks
    std::size_t num_blocks = 0;
    std::size_t end() const { return planned->num_computed + planned->num_tokens; }
  };
  struct Step {
    explicit Step(std::size_t num_slots);
    const StepPlan* plan = nullptr;
    std::vector<Chunk> chunks;
    std::vector<TokenId> tokens;  // what comes from the step before is filled in when it runs
    std::vector<BlockId> blocks;
    StepResult result{kChunksMax};
    Status status = Ok{};
    bool has_run = false;
  };
  static constexpr std::size_t kChunksMax = 64;

  void pack(Step& step, const StepPlan& plan) const;
  void execute(Step& step);
  void fill_drawn(Step& step);
  void check_held(const Step& step) const;
  std::size_t slot_index(const Step& step, const Chunk& chunk, std::size_t position) const;
  void trace(const StepPlan& plan) const;
  void plant_fault(const StepPlan& plan);
  void make_stale();
  void delay_stops(Step& step, Step& next);
  void write(const Step& step, const Chunk& chunk);
  void read(const Step& step, const Chunk& chunk);
  bool is_poisoned(const StepPlan& plan) const;
  void sample(const Chunk& chunk, std::size_t index, StepResult& result);

  TruthRunnerOptions options_;
  Random random_;
  const PrefixIndex* index_ = nullptr;
  std::vector<Slot> slots_;
  std::array<Step, kBegunMax> steps_;
  std::size_t num_begun_ = 0;
  std::size_t num_finished_ = 0;
  bool is_broken_ = false;           // a step has failed: nothing that was begun behind it runs
  std::vector<SampledToken> drawn_;  // by the step that ran last
  std::vector<SampledToken> last_given_;         // for kStaleResult
  std::map<std::uint64_t, TokenId> late_stops_;  // for kLateStop, by request
  std::uint64_t num_slots_checked_ = 0;
  std::uint64_t num_copies_ = 0;
};

}  // namespace millrace
