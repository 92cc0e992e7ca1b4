// Sizes as people read them: "1.2 GiB".
#pragma once

#include <cstdint>
#include <string>

#include "base/quantity.h"

namespace millrace {

// "1.20 GiB".
std::string show_bytes(std::uint64_t num_bytes);
// "494.0 M": powers of 1000.
std::string show_count(std::uint64_t count);

}  // namespace millrace
