// From a spec, with all that it is made of, to a grammar.
#pragma once

#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "constrain/grammar.h"
#include "constrain/token_vocabulary.h"

namespace millrace {

// The rule that stands for the whole spec.
Result<RuleId> build_grammar(Grammar& grammar, const TokenVocabulary& vocabulary,
                             const ConstraintSpec& spec);

}  // namespace millrace
