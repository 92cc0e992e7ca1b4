// The % operator of strings: printf's conversions, as Python has them.
#pragma once

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// A tuple gives one value for each conversion, a dict values by name, anything else one value.
Result<Value> format_percent(Sandbox& sandbox, const Value& format, const Value& values);

}  // namespace millrace::jinja
