// Numbers within bounds, and multiples, as automata over their digits.
#pragma once

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/json_grammar.h"
#include "constrain/schema_facts.h"

namespace millrace {

// Numbers that the facts allow: integers alone, or decimals as well. With bounds or multiples they
// are written without an exponent.
Result<ExprId> number_grammar(JsonGrammar& json, const SchemaFacts& facts);

// The same for whole texts, to look a given number up.
Result<Automaton> number_automaton(JsonGrammar& json, const SchemaFacts& facts);

}  // namespace millrace
