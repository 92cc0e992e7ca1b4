// The formats of strings that JSON Schema names, as patterns.
#pragma once

#include <optional>
#include <string_view>

namespace millrace {

// A pattern for the whole text. Narrower than the standard where a pattern cannot follow it: leap
// seconds in universal time only, ASCII host names of up to four labels, none of them punycode,
// addresses without comments.
// Nothing for a format that is not known.
std::optional<std::string_view> format_pattern(std::string_view format);

// Formats of OpenAPI and others that say nothing of what a text looks like.
bool is_annotation_format(std::string_view format);

}  // namespace millrace
