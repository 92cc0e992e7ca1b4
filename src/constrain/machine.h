// The linked machine: all rules of a grammar in flat tables, ready to read bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/machine_rest.h"
#include "constrain/rule_builder.h"
#include "constrain/token_vocabulary.h"

namespace millrace {

// Immutable. A pushdown automaton without dead ends: from each state the rest of its rule can be
// written, with bytes that are tokens of the vocabulary by themselves, and so can what called it.
//
//   state ─► row of 256 targets, or a few ranges ─► state       reading a byte
//         └► steps ─► state                                     reading nothing
class Machine {
 public:
  static constexpr std::uint32_t kDead = 0;  // the state that every missing edge leads to

  struct Range {
    std::uint8_t first = 0;
    std::uint8_t last = 0;
    std::uint32_t target = 0;
  };
  struct Step {
    StepKind kind = StepKind::kGoto;
    bool is_tail = false;      // of kCall: nothing comes behind it in its rule
    std::uint32_t target = 0;  // of kCall: where the rule returns to
    std::uint32_t callee = 0;  // of kCall: the start of what is called, and its turns
    std::uint32_t turns_min = 0;
    std::uint32_t turns_max = 0;
  };
  // What plain characters (text_tokens.h) do to a state.
  enum class TextKind : std::uint8_t {
    kInert,    // none is read
    kUniform,  // each is read, and all lead to the same state
    kMixed,
  };
  struct State {
    std::uint32_t row = 0;  // in rows(), when num_ranges is kHasRow
    std::uint32_t steps_begin = 0;
    std::uint16_t num_ranges = 0;
    std::uint16_t num_steps = 0;
    bool accepts = false;
    bool is_plain = false;          // reads bytes and does nothing else
    bool is_deterministic = false;  // a byte has one target at most
    TextKind text = TextKind::kMixed;
  };
  static constexpr std::uint16_t kHasRow = 0xFFFF;

  // kInvalidArgument when no text is in the grammar, or a rule begins with itself.
  static Result<Machine> link(const std::vector<BuiltRule>& rules, RuleId root,
                              const Grammar& grammar, const TokenVocabulary& vocabulary,
                              CompileBudget& budget);

  std::uint32_t start() const { return start_; }
  std::uint32_t start_turns_min() const { return start_turns_min_; }
  std::uint32_t start_turns_max() const { return start_turns_max_; }
  const State& state(std::uint32_t id) const { return states_[id]; }
  std::span<const Step> steps(const State& state) const {
    return std::span(steps_).subspan(state.steps_begin, state.num_steps);
  }
  bool reads(const State& state) const { return state.num_ranges != 0; }
  std::size_t num_states() const { return states_.size(); }
  std::uint64_t memory_bytes() const;

  // Tokens from here to the end of the state's rule, whose loop still needs `turns_min` turns; as
  // rest_tokens() has them.
  std::uint32_t rest_tokens(std::uint32_t state, std::uint32_t turns_min) const {
    const std::uint64_t turns = turns_min == 0 ? 0 : std::uint64_t{turns_min} * turn_tokens_[state];
    return saturated_sum(rest_tokens_[state], turns);
  }

  // The target of a byte in a deterministic state.
  std::uint32_t only_next(const State& state, std::uint8_t byte) const {
    if (state.num_ranges == kHasRow) return rows_[state.row][byte];
    for (std::uint32_t i = 0; i < state.num_ranges; ++i) {
      const Range& range = ranges_[state.row + i];
      if (byte >= range.first && byte <= range.last) return range.target;
    }
    return kDead;
  }
  // The target of a byte; of states that are not deterministic `on_more` gets all but the first.
  template <class OnMore>
  std::uint32_t next(const State& state, std::uint8_t byte, OnMore on_more) const {
    if (state.num_ranges == kHasRow) return rows_[state.row][byte];
    std::uint32_t found = kDead;
    for (std::uint32_t i = 0; i < state.num_ranges; ++i) {
      const Range& range = ranges_[state.row + i];
      if (byte < range.first || byte > range.last) continue;
      if (found == kDead) {
        found = range.target;
      } else {
        on_more(range.target);
      }
    }
    return found;
  }

 private:
  friend class MachineLinker;
  using Row = std::array<std::uint32_t, 256>;

  std::uint32_t start_ = 0;
  std::uint32_t start_turns_min_ = 0;
  std::uint32_t start_turns_max_ = 0;
  std::vector<State> states_;
  std::vector<Range> ranges_;
  std::vector<Row> rows_;
  std::vector<Step> steps_;
  std::vector<std::uint32_t> rest_tokens_;  // by state
  std::vector<std::uint32_t> turn_tokens_;  // by state: of one turn of its rule's loop
};

}  // namespace millrace
