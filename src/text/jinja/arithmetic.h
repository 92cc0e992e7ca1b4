// + - * / // % ** on numbers, strings and lists.
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/sandbox.h"

namespace millrace::jinja {

Result<Value> compute(Sandbox& sandbox, Arithmetic operation, const Value& left,
                      const Value& right);
Result<Value> negate(const Value& value);
Result<Value> posit(const Value& value);

}  // namespace millrace::jinja
