// Patterns as tokenizer files write them (Oniguruma's Ruby syntax) put into PCRE2's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// What differs and is rewritten: \s and \w (Unicode white space and word characters), \b and \B
// with that idea of a word, \h (a hex digit), \v, \O, \uHHHH, long names of properties and POSIX
// classes,
// {,n}, quantifiers after intervals ({n}+ is not possessive), (?m) and the reach of (?i), classes
// inside classes and the intersection &&. What PCRE2 alone would understand ((*VERB), \Q) is
// refused or a plain letter. The result is for UTF, UCP and multi-line mode.
// Source: Oniguruma 6.9 doc/RE; PCRE2 10.42 pcre2pattern(3).
Result<std::string> to_pcre2_syntax(std::string_view pattern);

}  // namespace millrace
