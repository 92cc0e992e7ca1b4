// Signs, prefixes, grouping and padding around digits.
#include "text/jinja/format_number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/literal.h"
#include "text/jinja/repr.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

bool is_align(char c) {
  return c == '<' || c == '>' || c == '=' || c == '^';
}

// Digits at the front of a text, taken off it; nothing when there are none.
Result<std::optional<std::int64_t>> take_digits(std::string_view& text) {
  std::size_t num_digits = 0;
  while (num_digits < text.size() && text[num_digits] >= '0' && text[num_digits] <= '9') {
    ++num_digits;
  }
  if (num_digits == 0) return std::optional<std::int64_t>();
  const auto number = parse_digits(text.substr(0, num_digits), 10);
  if (!number) return template_error("too many decimal digits in format string");
  text.remove_prefix(num_digits);
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// Whether a fill was given.
bool take_fill_and_align(std::string_view& text, FormatSpec& spec) {
  const std::size_t fill_bytes = text.empty() ? 0 : code_point_offset(text, 1);
  if (fill_bytes < text.size() && is_align(text[fill_bytes])) {
    spec.fill = text.substr(0, fill_bytes);
    spec.align = text[fill_bytes];
    text.remove_prefix(fill_bytes + 1);
    return true;
  }
  if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  return false;
}

// A number in pieces, before it is padded.
struct Layout {
  std::string sign;
  std::string prefix;
  std::string digits;  // Before the point; grouped.
  std::string rest;    // From the point on, and the exponent.
};

std::string grouped(std::string_view digits, char separator, std::size_t group, std::size_t width) {
  std::string padded(digits);
  const auto size_with = [&](std::size_t num_digits) {
    return separator == '\0' || num_digits == 0 ? num_digits
                                                : num_digits + (num_digits - 1) / group;
  };
  std::size_t num_digits = padded.size();
  while (size_with(num_digits) < width) ++num_digits;
  padded.insert(0, num_digits - padded.size(), '0');
  if (separator == '\0') return padded;
  std::string out;
  for (std::size_t i = 0; i < padded.size(); ++i) {
    if (i > 0 && (padded.size() - i) % group == 0) out += separator;
    out += padded[i];
  }
  return out;
}

Status append_padded(Sandbox& sandbox, std::string_view text, std::size_t num_characters,
                     const FormatSpec& spec, std::string& out) {
  const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(spec.width, 0));
  const std::uint64_t missing = width > num_characters ? width - num_characters : 0;
  std::uint64_t left = 0;
  if (spec.align == '>' || spec.align == '=') left = missing;
  if (spec.align == '^') left = missing / 2;
  TRY(sandbox.append_repeated(out, spec.fill, left));
  TRY(sandbox.append(out, text));
  return sandbox.append_repeated(out, spec.fill, missing - left);
}

Status append_layout(Sandbox& sandbox, const Layout& layout, FormatSpec spec, std::string& out) {
  if (spec.align == '\0') spec.align = '>';
  const std::size_t fixed = layout.sign.size() + layout.prefix.size() + layout.rest.size();
  const bool zero_fills = spec.align == '=' && spec.fill == "0";
  const std::size_t group =
      spec.type == 'x' || spec.type == 'X' || spec.type == 'b' || spec.type == 'o' ? 4 : 3;
  std::size_t digits_width = 0;
  if (zero_fills && spec.width > static_cast<std::int64_t>(fixed)) {
    digits_width = static_cast<std::size_t>(spec.width) - fixed;
    if (digits_width > sandbox.limits().output_bytes_max) {
      return Error{ErrorCode::kTooLarge,
                   "format width of " + std::to_string(spec.width) + " exceeds " +
                       std::to_string(sandbox.limits().output_bytes_max) + " bytes"};
    }
    TRY(sandbox.spend_items(digits_width));
  }
  const std::string digits = grouped(layout.digits, spec.grouping, group, digits_width);
  const std::string head = layout.sign + layout.prefix;
  const std::string tail = digits + layout.rest;
  if (spec.align != '=') {
    return append_padded(sandbox, head + tail, head.size() + tail.size(), spec, out);
  }
  TRY(sandbox.append(out, head));
  spec.width -= static_cast<std::int64_t>(head.size());
  return append_padded(sandbox, tail, tail.size(), spec, out);
}

std::string sign_of(bool is_negative, char sign) {
  if (is_negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

Status append_integer(Sandbox& sandbox, std::int64_t number, const FormatSpec& spec,
                      std::string& out) {
  if (spec.precision) return template_error("precision not allowed in integer format specifier");
  if (spec.zero_is_positive) return template_error("'z' is not allowed for integers");
  if (spec.type == 'c') {
    if (number < 0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) {
      return template_error("%c argument is not a character");
    }
    if (spec.sign != '-' || spec.is_alternate) {
      return template_error("a sign or an alternate form is not allowed with 'c'");
    }
    std::string character;
    append_utf8(static_cast<char32_t>(number), character);
    FormatSpec padding = spec;
    if (padding.align == '\0') padding.align = '>';
    return append_padded(sandbox, character, 1, padding, out);
  }
  int base = 10;
  std::string_view prefix;
  if (spec.type == 'b') base = 2, prefix = "0b";
  if (spec.type == 'o') base = 8, prefix = "0o";
  if (spec.type == 'x' || spec.type == 'X') base = 16, prefix = "0x";
  const bool is_negative = number < 0;
  const std::uint64_t magnitude =
      is_negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  Layout layout;
  layout.sign = sign_of(is_negative, spec.sign);
  if (spec.is_alternate) layout.prefix = prefix;
  layout.digits = integer_digits(magnitude, base);
  if (spec.type == 'X') {
    layout.digits = MUST(change_case(layout.digits, LetterCase::kUpper));  // ASCII
    layout.prefix = MUST(change_case(layout.prefix, LetterCase::kUpper));  // ASCII
  }
  return append_layout(sandbox, layout, spec, out);
}

// Where the digits before the point end.
std::size_t whole_end(std::string_view digits) {
  const std::size_t end = digits.find_first_not_of("0123456789");
  return end == std::string_view::npos ? digits.size() : end;
}

// Without a type Python shows a float as repr() does, or as g does with one more digit at least.
std::string untyped_digits(double magnitude, const FormatSpec& spec) {
  if (!spec.precision) return float_repr(magnitude);
  const std::int64_t precision = std::max<std::int64_t>(*spec.precision, 1);
  const std::string scientific = float_digits(magnitude, 'e', precision - 1, false);
  const auto exponent = parse_digits(scientific.substr(scientific.find('e') + 1), 10);
  const bool needs_exponent = *exponent < -4 || *exponent >= precision - 1;
  if (magnitude != 0 && needs_exponent) {
    std::string mantissa = scientific.substr(0, scientific.find('e'));
    if (mantissa.find('.') != std::string::npos) {
      mantissa.erase(mantissa.find_last_not_of('0') + 1);
      if (mantissa.back() == '.') mantissa.pop_back();
    }
    return mantissa + scientific.substr(scientific.find('e'));
  }
  std::string digits = float_digits(magnitude, 'g', precision, spec.is_alternate);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return digits;
}

std::string typed_digits(double magnitude, const FormatSpec& spec) {
  if (std::isnan(magnitude)) return "nan";
  if (std::isinf(magnitude)) return "inf";
  const char style = spec.type;
  if (style == '\0') return untyped_digits(magnitude, spec);
  const std::int64_t precision = spec.precision.value_or(6);
  if (style == '%') return float_digits(magnitude, 'f', precision, spec.is_alternate) + "%";
  const char lower = style == 'n' ? 'g' : static_cast<char>(style | 0x20);
  return float_digits(magnitude, lower, precision, spec.is_alternate);
}

Status append_float(Sandbox& sandbox, double number, const FormatSpec& spec, std::string& out) {
  if (spec.precision.value_or(0) > kPrecisionMax) {
    return Error{ErrorCode::kTooLarge, "format precision of " + std::to_string(*spec.precision) +
                                           " exceeds " + std::to_string(kPrecisionMax)};
  }
  TRY(sandbox.spend_items(static_cast<std::uint64_t>(spec.precision.value_or(0))));
  double magnitude = std::abs(number);
  if (spec.type == '%') magnitude *= 100;
  std::string digits = typed_digits(magnitude, spec);
  bool is_negative = std::signbit(number) && !std::isnan(number);
  if (spec.zero_is_positive && digits.find_first_of("123456789i") == std::string::npos) {
    is_negative = false;
  }
  if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') {
    digits = MUST(change_case(digits, LetterCase::kUpper));  // ASCII
  }
  Layout layout;
  layout.sign = sign_of(is_negative, spec.sign);
  layout.digits = digits.substr(0, whole_end(digits));
  layout.rest = digits.substr(layout.digits.size());
  return append_layout(sandbox, layout, spec, out);
}

bool is_one_of(char type, std::string_view types) {
  return type != '\0' && types.find(type) != std::string_view::npos;
}

}  // namespace

Result<FormatSpec> parse_format_spec(std::string_view text) {
  FormatSpec spec;
  const bool has_fill = take_fill_and_align(text, spec);
  if (!text.empty() && (text[0] == '+' || text[0] == '-' || text[0] == ' ')) {
    spec.sign = text[0];
    text.remove_prefix(1);
  }
  spec.zero_is_positive = take(text, 'z');
  spec.is_alternate = take(text, '#');
  if (!has_fill && text.starts_with('0')) {
    text.remove_prefix(1);
    spec.fill = "0";
    if (spec.align == '\0') spec.align = '0';  // = for numbers, < for text.
  }
  spec.width = TRY(take_digits(text)).value_or(0);
  if (text.starts_with(',') || text.starts_with('_')) {
    spec.grouping = text[0];
    text.remove_prefix(1);
  }
  if (take(text, '.')) {
    spec.precision = TRY(take_digits(text));
    if (!spec.precision) return template_error("Format specifier missing precision");
  }
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) return template_error("Invalid format specifier");
  return spec;
}

Status append_number(Sandbox& sandbox, const Value& number, const FormatSpec& given,
                     std::string& out) {
  FormatSpec spec = given;
  if (spec.align == '0') spec.align = '=';
  if (number.is_integral() && (spec.type == '\0' || is_one_of(spec.type, "bcdoxXn"))) {
    return append_integer(sandbox, number.as_int(), spec, out);
  }
  if (spec.type == '\0' || is_one_of(spec.type, "eEfFgGn%")) {
    return append_float(sandbox, number.as_double(), spec, out);
  }
  return template_error("Unknown format code '" + std::string(1, spec.type) +
                        "' for object of type '" + std::string(type_name(number)) + "'");
}

Status append_text(Sandbox& sandbox, std::string_view text, const FormatSpec& given,
                   std::string& out) {
  FormatSpec spec = given;
  if (spec.align == '0' || spec.align == '\0') spec.align = '<';
  if (spec.type != '\0' && spec.type != 's') {
    return template_error("Unknown format code '" + std::string(1, spec.type) +
                          "' for object of type 'str'");
  }
  if (spec.sign != '-' || spec.is_alternate || spec.align == '=' || spec.grouping != '\0' ||
      spec.zero_is_positive) {
    return template_error("a format for numbers is not allowed for object of type 'str'");
  }
  if (spec.precision) {
    text = text.substr(0, code_point_offset(text, static_cast<std::size_t>(*spec.precision)));
  }
  TRY(sandbox.spend_items(text.size()));
  return append_padded(sandbox, text, count_code_points(text), spec, out);
}

std::string integer_digits(std::uint64_t magnitude, int base) {
  std::array<char, 65> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, base);
  return std::string(buffer.data(), end.ptr);
}

std::string float_digits(double magnitude, char style, std::int64_t precision, bool is_alternate) {
  if (std::isnan(magnitude)) return "nan";
  if (std::isinf(magnitude)) return "inf";
  if (style == 'g' && precision == 0) precision = 1;
  const std::chars_format format = style == 'e'   ? std::chars_format::scientific
                                   : style == 'f' ? std::chars_format::fixed
                                                  : std::chars_format::general;
  // The largest double has 309 digits before the point.
  std::string buffer(static_cast<std::size_t>(precision) + 330, '\0');
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, format,
                                 static_cast<int>(precision));
  buffer.resize(static_cast<std::size_t>(end.ptr - buffer.data()));
  if (!is_alternate) return buffer;
  const std::size_t exponent = std::min(buffer.find('e'), buffer.size());
  std::string mantissa = buffer.substr(0, exponent);
  if (mantissa.find('.') == std::string::npos) mantissa += '.';
  if (style == 'g') {
    const auto num_digits = static_cast<std::int64_t>(
        std::count_if(mantissa.begin(), mantissa.end(), [](char c) { return c >= '0'; }));
    const std::int64_t num_leading = mantissa.starts_with("0.") ? 1 : 0;
    const std::int64_t missing = precision - num_digits + num_leading;
    if (missing > 0) mantissa.append(static_cast<std::size_t>(missing), '0');
  }
  return mantissa + buffer.substr(exponent);
}

}  // namespace millrace::jinja
