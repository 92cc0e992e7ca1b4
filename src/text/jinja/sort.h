// Stable sorting with a comparison that can fail.
#pragma once

#include <cstddef>
#include <vector>

#include "base/function_ref.h"
#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// Places 0 … num_places - 1 in the order of what is there. A comparison that contradicts itself
// gives some order, no worse.
using ComesBefore = FunctionRef<Result<bool>(std::size_t a, std::size_t b)>;
Result<std::vector<std::size_t>> sort_places(Sandbox& sandbox, std::size_t num_places,
                                             ComesBefore comes_before);

}  // namespace millrace::jinja
