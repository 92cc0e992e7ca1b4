// Methods of strings, lists, dicts and tuples, by type and name.
#pragma once

#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

struct Method {
  std::string_view name;
  Result<Value> (*call)(Sandbox& sandbox, const Value& self, const Arguments& arguments);
};

// Null when the type has none of that name that templates may call.
const Method* find_method(const Value& self, std::string_view name);
// The method with the value that it belongs to, to be called later.
Result<Value> bind_method(Sandbox& sandbox, const Value& self, const Method& method);

// Parts of the tables, each in its own file.
const Method* find_string_method(std::string_view name);
const Method* find_string_search_method(std::string_view name);
const Method* find_string_class_method(std::string_view name);

}  // namespace millrace::jinja
