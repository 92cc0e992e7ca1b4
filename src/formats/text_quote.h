// Names and values from files, made safe and short for an error message.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// In single quotes; bytes that do not print become \xNN, and what is beyond 80 bytes becomes "…".
std::string in_quotes(std::string_view text);

// The file's name without its folders.
std::string_view base_name(std::string_view path);

}  // namespace millrace
