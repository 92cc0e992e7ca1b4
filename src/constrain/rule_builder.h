// From the expressions of a grammar to one automaton for each rule.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "constrain/automaton.h"
#include "constrain/grammar.h"

namespace millrace {

struct BuiltRule {
  Automaton automaton;
  // How many turns its loop takes, where it has one: state 0 is the loop's head.
  std::uint32_t turns_min = 0;
  std::uint32_t turns_max = 0;
};

// The rules of the grammar by their ids, and behind them those made for long repetitions. Each is
// deterministic where that does not make it much larger. Adds expressions to the grammar.
Result<std::vector<BuiltRule>> build_rules(Grammar& grammar);

// An expression without rules, all repetitions written out; not deterministic.
Result<Automaton> build_plain_automaton(const Grammar& grammar, ExprId id, std::size_t states_max);

}  // namespace millrace
