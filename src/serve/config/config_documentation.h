// The tables of docs/configuration.md and the JSON Schema of the file, made from the table of
// settings.
#pragma once

#include <string>

namespace millrace {

// What follows kGeneratedMark in docs/configuration.md.
std::string configuration_markdown();
inline constexpr const char* kGeneratedMark = "<!-- From here on made by the program. -->\n";

// Draft 2020-12, for editors and for checks before a file reaches the server.
std::string configuration_json_schema();

}  // namespace millrace
