// Numbers laid out by a format specification, as Python's format() and % do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct FormatSpec {
  std::string fill = " ";  // One character.
  char align = '\0';       // < > = ^, or none given.
  char sign = '-';         // + - or a space.
  bool is_alternate = false;
  bool zero_is_positive = false;
  std::int64_t width = 0;
  char grouping = '\0';  // , or _
  std::optional<std::int64_t> precision;
  char type = '\0';
};

Result<FormatSpec> parse_format_spec(std::string_view text);

Status append_number(Sandbox& sandbox, const Value& number, const FormatSpec& spec,
                     std::string& out);
Status append_text(Sandbox& sandbox, std::string_view text, const FormatSpec& spec,
                   std::string& out);

// The digits of a finite number in style e, f or g, without a sign; `is_alternate` keeps the point
// and the zeros that g drops.
std::string float_digits(double magnitude, char style, std::int64_t precision, bool is_alternate);
std::string integer_digits(std::uint64_t magnitude, int base);

// More digits than any number needs are refused.
inline constexpr std::int64_t kPrecisionMax = 4000;

}  // namespace millrace::jinja
