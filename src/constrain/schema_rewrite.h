// Keywords that hold under a condition, in terms of those that a grammar has.
#pragma once

#include "base/result.h"
#include "constrain/schema_document.h"

namespace millrace {

// Under this key a oneOf has its branches once more, each without what the others allow: for
// branches that do not exclude each other by themselves. Only where all of them can be negated.
inline constexpr const char* kExclusiveBranches = "x-millrace-exclusive";

// Rewrites a schema in all of its parts: `if` is (if and then) or (not if and else); dependentX of
// a name is that the name is not there, or X; `not` is what negating its schema gives. What cannot
// be negated stays, to be refused by name.
void rewrite_conditions(SchemaNode& root);

}  // namespace millrace
