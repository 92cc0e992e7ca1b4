// Matching the arguments of a call with the names of parameters, as Python does.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// A parameter whose name is empty takes positional arguments only.
struct Signature {
  std::string_view function;
  std::initializer_list<std::string_view> parameters;
  std::size_t num_required = 0;
};

// One value for each parameter, missing where none was given. Fails for too many arguments, unknown
// names, and required parameters without one.
Result<std::vector<Value>> bind(const Arguments& arguments, const Signature& signature);

// What Python says of a value of the wrong type where it wants an int or a str.
Result<std::int64_t> to_index(const Value& value);
Result<std::int64_t> index_or(const Value& value, std::int64_t otherwise);
Result<std::string_view> to_text(const Value& value, std::string_view function);

// map(…) and the like: an attribute's name, dots and numbers included, applied to an item.
Result<Value> get_path(Sandbox& sandbox, Value item, const Value& path, const Value& otherwise);

Result<Value> call_value(Sandbox& sandbox, const Value& callee, Arguments arguments);

}  // namespace millrace::jinja
