// The automaton that finds the first trigger: the search automaton (Aho & Corasick 1975, here by
// the subset construction), cut where it accepts.
#include "constrain/free_text.h"

#include <utility>

namespace millrace {
namespace {

// Texts that end with one of these, and have none before.
Result<Automaton> first_of(Grammar& grammar, const std::vector<ExprId>& ends) {
  const ExprId any = grammar.repeat(grammar.any_char(), 0, kNoMax);
  const std::size_t states_max = grammar.budget().limits().pattern_states_max;
  const ExprId search = grammar.sequence({any, grammar.alternatives(ends)});
  Automaton automaton = TRY(grammar.to_automaton(search, states_max));
  for (Automaton::State& state : automaton.states) {
    if (state.accepts) state.ranges.clear();
  }
  return automaton;
}

}  // namespace

Result<ExprId> free_text(Grammar& grammar, const std::vector<FreeTextTrigger>& triggers,
                         FreeTextEnd end) {
  const std::size_t states_max = grammar.budget().limits().pattern_states_max;
  const ExprId any = grammar.repeat(grammar.any_char(), 0, kNoMax);
  if (triggers.empty()) return any;
  std::vector<ExprId> ends;
  for (const FreeTextTrigger& trigger : triggers) ends.push_back(grammar.bytes(trigger.bytes));
  const Automaton first = TRY(first_of(grammar, ends));
  const Automaton text = TRY(grammar.to_automaton(any, states_max));
  const Automaton has_trigger = TRY(
      grammar.to_automaton(grammar.sequence({any, grammar.alternatives(ends), any}), states_max));
  const Automaton without =
      TRY(intersect(text, complement(has_trigger), states_max, grammar.budget()));

  const RuleId rule = grammar.add_rule("free text");
  std::vector<ExprId> choices = {grammar.automaton(without)};
  for (std::size_t i = 0; i < triggers.size(); ++i) {
    const Automaton one = TRY(grammar.to_automaton(grammar.sequence({any, ends[i]}), states_max));
    const Automaton before = TRY(intersect(first, one, states_max, grammar.budget()));
    std::vector<ExprId> parts = {grammar.automaton(before), triggers[i].behind};
    if (end == FreeTextEnd::kGoesOn) parts.push_back(grammar.rule(rule));
    choices.push_back(grammar.sequence(std::move(parts)));
  }
  grammar.define(rule, grammar.alternatives(std::move(choices)));
  TRY(grammar.status());
  return grammar.rule(rule);
}

}  // namespace millrace
