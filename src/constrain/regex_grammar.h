// Patterns of ECMAScript, as far as they are regular, as automata over UTF-8.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "constrain/grammar.h"

namespace millrace {

enum class RegexMatch {
  kWhole,   // the text is what the pattern says
  kSearch,  // the pattern is found somewhere in the text, as JSON Schema has it
};

// Alternatives, groups, quantifiers (greedy or not), classes, ^ and $ as ends of the whole text,
// \d \w \s of ASCII digits and letters and Unicode's white space. kUnsupported naming what is not
// regular or not here: look-around, back references, \b, \p. `name` begins messages.
Result<Automaton> regex_automaton(Grammar& grammar, std::string_view pattern, RegexMatch match,
                                  const std::string& name);

}  // namespace millrace
