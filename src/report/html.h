// Any text as the text of an HTML or SVG element or of a quoted attribute.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// & < > " and ' as character references; control characters other than tab and newline become
// U+FFFD. Bytes from 0x80 on pass: the page says that it is UTF-8, and no such byte is markup.
std::string escape_html(std::string_view text);

// Shortest text with `num_digits` significant digits at most, without exponent between 1e-4 and
// 1e15: "0.25", "1200".
std::string number_text(double value, int num_digits = 6);

}  // namespace millrace
