// From source to tokens, with the white space rules of trim_blocks and lstrip_blocks.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/token.h"

namespace millrace::jinja {

// The last token is kEnd. The source must be well-formed UTF-8.
Result<std::vector<Token>> tokenize(std::string_view source);

// kCorruptData at a line of the template.
Error syntax_error(int line, const std::string& message, const char* file = __builtin_FILE(),
                   int at = __builtin_LINE());

}  // namespace millrace::jinja
