// Number and string literals, as Python spells them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::jinja {

struct NumberLiteral {
  std::size_t num_bytes = 0;
  bool is_float = false;
};

// The longest number at the front of a text that starts with a digit. After a dot only an integer
// can stand: a.1.5 is two lookups.
NumberLiteral scan_number(std::string_view text, bool after_dot);

// 0x, 0o, 0b and decimal, with underscores; nothing when it does not fit.
std::optional<std::int64_t> parse_integer_literal(std::string_view literal);
double parse_float_literal(std::string_view literal);

// What is between the quotes. Fails on \x, \u, \U without their digits, on \N, and on surrogates.
Result<std::string> unescape_string_literal(std::string_view body);

// Digits of a base, an optional sign before them; nothing when there are others or too many.
std::optional<std::int64_t> parse_digits(std::string_view digits, int base);
// The whole text as a number, as the float() of Python reads it: "1_0.5e3", "inf", " nan ".
std::optional<double> parse_python_float(std::string_view text);
// As int(text, base) reads it; base 0 looks at the prefix.
Result<std::optional<std::int64_t>> parse_python_int(std::string_view text, std::int64_t base);

}  // namespace millrace::jinja
