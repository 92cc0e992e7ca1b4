// The tests of the template language ("x is defined"), by name.
#pragma once

#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// The first positional argument is the value before "is".
struct Predicate {
  std::string_view name;
  Result<bool> (*holds)(Sandbox& sandbox, const Arguments& arguments);
};

// Null when there is no such test.
const Predicate* find_predicate(std::string_view name);

}  // namespace millrace::jinja
