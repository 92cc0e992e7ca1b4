// A sequence held to a grammar: the LogitConstraint that the engine forks and asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "constrain/constraint_spec.h"
#include "constrain/machine.h"
#include "constrain/mask_cache.h"
#include "constrain/token_vocabulary.h"
#include "constrain/walker.h"
#include "engine/logit_constraint.h"

namespace millrace {

// What all sequences of one grammar share; immutable but for the cache, which has its own lock.
struct CompiledGrammar {
  std::shared_ptr<const TokenVocabulary> vocabulary;
  std::shared_ptr<MaskCache> masks;  // shared with the compiler
  Machine machine;
  std::uint64_t number = 0;  // in the cache of masks
  AtTokenLimit at_limit = AtTokenLimit::kFinish;
};

// Stop tokens are allowed exactly where the text so far is an answer, and nothing else is once it
// can only end. Where the number of tokens is limited, none is allowed from which the shortest way
// to an answer and its stop token would be longer than what is left. A stop token may be advanced
// over: the text has ended, and only stop tokens follow.
class GrammarConstraint final : public LogitConstraint {
 public:
  // Tokens that can be taken back at once; drafts of speculation are shorter.
  static constexpr std::size_t kRollbackTokensMax = 64;

  explicit GrammarConstraint(std::shared_ptr<const CompiledGrammar> grammar);

  void mask(std::span<std::uint32_t> allowed) const override;
  void advance(TokenId token) override;
  void rollback(std::size_t num_tokens) override;
  void limit_tokens(std::size_t num_tokens_max) override { num_tokens_max_ = num_tokens_max; }
  std::unique_ptr<LogitConstraint> fork() const override;

  // Whether the text so far is an answer.
  bool can_end() const { return states_.back().can_end; }
  // Whether advance(token) may come next; slower than a mask, for one token.
  bool allows(TokenId token) const;

 private:
  // After each token: its configurations, and what lies behind them when it is taken back.
  struct State {
    std::uint32_t configurations_begin = 0;
    std::uint32_t configurations_end = 0;
    std::uint32_t frames_end = 0;
    bool can_end = false;
    bool has_ended = false;
  };

  GrammarConstraint(const GrammarConstraint&) = default;

  void reserve();
  std::span<const Configuration> current() const;
  ConfigurationSet read_token(Walker& walker, TokenId token) const;
  void push_state(const Walker& walker, const ConfigurationSet& set, WalkScratch& scratch);
  void forget_old_states();
  MaskKey key_of(std::uint32_t num_frames) const;
  std::uint32_t frames_looked_at(std::uint32_t least_depth) const;
  std::uint32_t rest_below(const Configuration& configuration, std::uint32_t num_frames) const;
  std::uint32_t fill_mask(std::span<std::uint32_t> allowed) const;
  void steer(std::uint32_t rest_max, std::span<std::uint32_t> allowed) const;

  // Shared because sequences and the compiler's cache use it side by side.
  std::shared_ptr<const CompiledGrammar> grammar_;
  std::vector<StackFrame> frames_;  // each behind the one below it
  std::vector<Configuration> configurations_;
  std::vector<State> states_;  // the last is now
  std::size_t num_tokens_ = 0;
  std::optional<std::size_t> num_tokens_max_;
};

}  // namespace millrace
