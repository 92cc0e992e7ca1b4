// Which script a character is of, for the pre-tokeniser that cuts between scripts.
#pragma once

#include <cstdint>

namespace millrace {

// A number for each script, Hiragana and Katakana being Han; 0 for a space and for what is not
// assigned, which go with every script.
std::uint16_t script_number(char32_t code_point);

}  // namespace millrace
