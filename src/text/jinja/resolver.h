// Which variable a name means: every name gets a slot in the activation of some function.
#pragma once

#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"

namespace millrace::jinja {

// A whole template, ready to run. Immutable once resolved.
struct Program {
  ChatTemplateLimits limits;
  Block body;
  FunctionFrame frame;
  std::vector<SlotLoad> loads;
};

// Follows jinja2's own rules of scope, which are decided before a template runs: a name that is set
// anywhere in a scope belongs to that scope from its start. Also finds filters and tests.
Status resolve_names(Program& program);

}  // namespace millrace::jinja
