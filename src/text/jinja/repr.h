// What str() and repr() of Python make of a value.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

Status append_str(Sandbox& sandbox, const Value& value, std::string& out);
Status append_repr(Sandbox& sandbox, const Value& value, std::string& out);
Result<std::string> to_str(Sandbox& sandbox, const Value& value);

// The shortest digits that read back as the same number: 1.0, 1e-05, 1e+16, inf, nan.
std::string float_repr(double number);
// In quotes, with escapes for what cannot be printed.
Status append_quoted(Sandbox& sandbox, std::string_view text, std::string& out);

}  // namespace millrace::jinja
