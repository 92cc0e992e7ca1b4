// The filters of the template language, by name.
#pragma once

#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// The first positional argument is the value before the bar.
struct Filter {
  std::string_view name;
  Result<Value> (*apply)(Sandbox& sandbox, const Arguments& arguments);
};

// Null when there is no such filter. Filters that jinja2 has and we do not fail when applied.
const Filter* find_filter(std::string_view name);

}  // namespace millrace::jinja
