// Finite automata over bytes, with edges that call rules: how a rule is held while it is compiled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "constrain/compile_budget.h"

namespace millrace {

using RuleId = std::uint32_t;

enum class StepKind : std::uint8_t {
  kGoto,   // nothing is read
  kCall,   // a text of `rule` is read
  kCount,  // one more turn of the rule's loop is done; to its head
  kMore,   // at the head: another turn, where the counter has one left
  kDone,   // at the head: no more turns, where there were enough
};

// Deterministic or not; state 0 is the start. A rule has one loop at most whose turns are counted.
struct Automaton {
  struct Range {
    std::uint8_t first = 0;
    std::uint8_t last = 0;
    std::uint32_t target = 0;
  };
  struct Step {
    StepKind kind = StepKind::kGoto;
    RuleId rule = 0;
    std::uint32_t target = 0;
    auto operator<=>(const Step&) const = default;
  };
  struct State {
    std::vector<Range> ranges;
    std::vector<Step> steps;
    bool accepts = false;
  };
  std::vector<State> states;

  std::uint32_t add_state() {
    states.emplace_back();
    return static_cast<std::uint32_t>(states.size() - 1);
  }
};

// The same language with at most one target for each byte, one step for each rule, no kGoto, and
// ranges in order. kTooLarge when it has more than `states_max` states.
Result<Automaton> determinize(const Automaton& automaton, std::size_t states_max,
                              CompileBudget& budget);

// The following are of deterministic automata without steps.
//
// Texts of both.
Result<Automaton> intersect(const Automaton& a, const Automaton& b, std::size_t states_max,
                            CompileBudget& budget);
// Byte strings, UTF-8 or not, that it does not accept: to be intersected with texts.
Automaton complement(const Automaton& automaton);
// Without the states from which nothing is accepted.
Automaton without_dead_ends(const Automaton& automaton);
bool accepts(const Automaton& automaton, std::string_view bytes);
bool is_empty(const Automaton& automaton);

}  // namespace millrace
