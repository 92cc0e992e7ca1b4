// str.format: replacement fields in braces, their conversions and their specifications.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

Result<Value> format_braces(Sandbox& sandbox, const Value& self, const Arguments& arguments);
Result<Value> format_braces_map(Sandbox& sandbox, const Value& self, const Arguments& arguments);

// format(value, specification)
Status append_formatted(Sandbox& sandbox, const Value& value, std::string_view specification,
                        std::string& out);

}  // namespace millrace::jinja
