// The functions that every template can call: range, dict, namespace, …
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// Nothing when there is no global of that name.
std::optional<Value> find_global(std::string_view name);

}  // namespace millrace::jinja
