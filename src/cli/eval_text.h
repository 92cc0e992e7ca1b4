// Texts that models are measured on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace millrace {

// The file's first bytes, cut back to a whole character; all of it without a number.
Result<std::string> read_first_bytes(const std::string& path,
                                     std::optional<std::uint64_t> num_bytes);

}  // namespace millrace
