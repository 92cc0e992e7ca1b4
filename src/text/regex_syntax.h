// Patterns as tokenizer files write them (Oniguruma's Ruby syntax) put into PCRE2's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// What differs and is rewritten: \s and \w (Unicode white space and word characters), \h (a hex
// digit), \uHHHH, {,n}, classes inside classes and the intersection &&. \b and \B are refused,
// because PCRE2's idea of a word differs. The result is for UTF, UCP and multi-line mode.
// Source: Oniguruma 6.9 doc/RE; PCRE2 10.42 pcre2pattern(3).
Result<std::string> to_pcre2_syntax(std::string_view pattern);

}  // namespace millrace
