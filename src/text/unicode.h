// Character classes, case and normal forms: the only code that asks utf8proc.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// An error naming `what` when this build has no Unicode tables.
Status require_unicode_tables(const std::string& what);

// The White_Space property; needs no tables.
bool is_whitespace(char32_t code_point);

// False for everything outside ASCII without tables.
bool is_letter(char32_t code_point);       // General categories L*.
bool is_numeric(char32_t code_point);      // General categories N*.
bool is_punctuation(char32_t code_point);  // P*, and all of ASCII that is printable and no letter,
                                           // digit or space.
bool is_word(char32_t code_point);         // Alphabetic, M*, Nd, Pc, the zero-width joiners.
bool is_mark(char32_t code_point);         // M*.
bool is_nonspacing_mark(char32_t code_point);  // Mn.
bool is_control(char32_t code_point);          // C*, without tab, line feed and carriage return.

// Appends the lower case of one character.
void append_lowercase(char32_t code_point, std::string& out);

// The bytes of the grapheme cluster (what a reader takes for one character) that begins a text that
// is valid UTF-8 and not empty; one character without tables.
std::size_t grapheme_bytes(std::string_view text);

// `text` is valid UTF-8. O(n log n) even for long runs of combining marks.
std::string to_unicode_form(std::string_view text, UnicodeForm form);

}  // namespace millrace
