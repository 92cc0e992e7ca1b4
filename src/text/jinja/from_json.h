// JSON as a value that templates can look at.
#pragma once

#include "base/json.h"
#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// Fails for integers beyond 64 bits with a sign, text that is not UTF-8, and nesting that is too
// deep.
Result<Value> from_json(Sandbox& sandbox, const OrderedJson& json);

}  // namespace millrace::jinja
