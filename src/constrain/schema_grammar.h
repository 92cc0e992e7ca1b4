// JSON Schema (draft 2020-12) as a grammar of the JSON that it allows.
#pragma once

#include <string>

#include "base/result.h"
#include "constrain/constraint_spec.h"
#include "constrain/grammar.h"

namespace millrace {

// Messages name the place in the schema as a JSON pointer. `quote` is what stands around texts. In
// Python's notation the schema is one of the arguments of a call.
Result<ExprId> build_schema_grammar(Grammar& grammar, const std::string& schema,
                                    const JsonStyle& style, const std::string& quote = "\"");

// The strings that fulfil the schema, as they are, but for those with `without` in them.
// kUnsupported where something else than a string may.
Result<ExprId> build_schema_text(Grammar& grammar, const std::string& schema,
                                 const std::string& without);

}  // namespace millrace
