// Sizes as people write and read them: "8G", "1.2 GiB".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// "4096", "512M", "8G", "1.5GiB": powers of 1024, whatever the spelling. kInvalidArgument naming
// the text.
Result<std::uint64_t> parse_bytes(std::string_view text);
// "1.20 GiB".
std::string show_bytes(std::uint64_t num_bytes);
// "494.0 M": powers of 1000.
std::string show_count(std::uint64_t count);

}  // namespace millrace
