// Filters for numbers, defaults, attributes and JSON.
#include <algorithm>
#include <cmath>

#include "text/jinja/arguments.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/filter_functions.h"
#include "text/jinja/format_number.h"
#include "text/jinja/iterate.h"
#include "text/jinja/literal.h"
#include "text/jinja/write_json.h"

namespace millrace::jinja {
namespace {

// Rounding to more digits after the point changes nothing.
constexpr std::int64_t kDigitsMax = 340;

// int() of a float; nothing for what is no number.
Result<std::optional<Value>> truncated(double number) {
  if (std::isnan(number)) return std::optional<Value>();
  const double whole = std::trunc(number);
  if (!(std::abs(whole) < 0x1p63)) {
    return template_error("a float of this size does not fit into an integer of 64 bits");
  }
  return std::optional(Value::integer(static_cast<std::int64_t>(whole)));
}

Result<std::optional<Value>> integer_in(std::string_view text, std::int64_t base) {
  if (const auto number = TRY(parse_python_int(text, base))) {
    return std::optional(Value::integer(*number));
  }
  const std::optional<double> number = parse_python_float(text);
  if (!number || std::isinf(*number)) return std::optional<Value>();
  return truncated(*number);
}

// Rounds halves to the even digit, as the exact value of the number says.
double round_float(double number, std::int64_t num_digits) {
  if (!std::isfinite(number) || num_digits > kDigitsMax) return number;
  if (num_digits < 0) {
    if (num_digits < -kDigitsMax) return std::copysign(0.0, number);
    const double scale = std::pow(10.0, static_cast<double>(-num_digits));
    return std::isinf(scale) ? std::copysign(0.0, number) : std::nearbyint(number / scale) * scale;
  }
  const std::string digits = float_digits(std::abs(number), 'f', num_digits, false);
  return std::copysign(parse_float_literal(digits), number);
}

Result<Value> round_integer(std::int64_t number, std::int64_t num_digits) {
  if (num_digits >= 0) return Value::integer(number);
  if (num_digits < -18) return Value::integer(0);
  std::int64_t scale = 1;
  for (std::int64_t i = 0; i > num_digits; --i) scale *= 10;
  std::int64_t quotient = number / scale;
  const std::int64_t rest = std::abs(number % scale);
  const bool is_up = rest > scale - rest || (rest == scale - rest && quotient % 2 != 0);
  if (is_up) quotient += number < 0 ? -1 : 1;
  std::int64_t rounded = 0;
  if (__builtin_mul_overflow(quotient, scale, &rounded)) {
    return template_error("a rounded integer does not fit into 64 bits");
  }
  return Value::integer(rounded);
}

Result<std::string> separator(const Value& value) {
  return std::string(TRY(to_text(value, "separators")));
}

}  // namespace

Result<Value> filter_abs(Sandbox&, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"abs", {""}, 1}));
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  if (bound[0].is(Kind::kFloat)) return Value::number(std::abs(bound[0].as_double()));
  if (!bound[0].is_integral()) {
    return template_error("bad operand type for abs(): '" + std::string(type_name(bound[0])) + "'");
  }
  return bound[0].as_int() < 0 ? negate(bound[0]) : posit(bound[0]);
}

Result<Value> filter_attr(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"attr", {"obj", "name"}, 2}));
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  const std::string_view name = TRY(to_text(bound[1], "attr"));
  if (!TRY(find_attribute(sandbox, bound[0], name))) {
    return sandbox.undefined_attribute(bound[0], bound[1]);
  }
  return get_attribute(sandbox, bound[0], bound[1]);
}

Result<Value> filter_default(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"default", {"value", "default_value", "boolean"}, 1}));
  const bool is_absent = bound[0].is_undefined() || (is_true(bound[2]) && !is_true(bound[0]));
  if (!is_absent) return bound[0];
  if (bound[1].is_missing()) return sandbox.string("");
  return bound[1];
}

Result<Value> filter_float(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"float", {"value", "default"}, 1}));
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  if (bound[0].is_number()) return Value::number(bound[0].as_double());
  if (bound[0].is_string()) {
    TRY(sandbox.spend_items(bound[0].text().size()));
    if (const auto number = parse_python_float(bound[0].text())) return Value::number(*number);
  }
  return bound[1].is_missing() ? Value::number(0) : bound[1];
}

Result<Value> filter_int(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"int", {"value", "default", "base"}, 1}));
  const Value otherwise = bound[1].is_missing() ? Value::integer(0) : bound[1];
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  if (bound[0].is_integral()) return Value::integer(bound[0].as_int());
  std::optional<Value> number;
  if (bound[0].is(Kind::kFloat)) number = TRY(truncated(bound[0].as_double()));
  if (bound[0].is_string()) {
    TRY(sandbox.spend_items(bound[0].text().size()));
    const std::int64_t base = bound[2].is_missing() ? 10 : TRY(to_index(bound[2]));
    number = TRY(integer_in(bound[0].text(), base));
  }
  return number ? *number : otherwise;
}

Result<Value> filter_round(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"round", {"value", "precision", "method"}, 1}));
  const std::string_view method =
      bound[2].is_missing() ? "common" : TRY(to_text(bound[2], "round"));
  if (method != "common" && method != "ceil" && method != "floor") {
    return template_error("method must be common, ceil or floor");
  }
  if (!bound[0].is_number()) {
    return template_error("round() of a value of type " + std::string(type_name(bound[0])));
  }
  const Value precision = bound[1].is_missing() ? Value::integer(0) : bound[1];
  if (method == "common") {
    if (precision.is_none()) return unsupported_error("round(none)");
    const std::int64_t num_digits = TRY(to_index(precision));
    if (bound[0].is_integral()) return round_integer(bound[0].as_int(), num_digits);
    // Digits of the number's exact value, written out and read again.
    TRY(sandbox.spend_items(
        static_cast<std::uint64_t>(std::clamp<std::int64_t>(num_digits, 0, kDigitsMax))));
    return Value::number(round_float(bound[0].as_double(), num_digits));
  }
  const Value scale = TRY(compute(sandbox, Arithmetic::kPower, Value::integer(10), precision));
  const Value scaled = TRY(compute(sandbox, Arithmetic::kMultiply, bound[0], scale));
  Value whole = scaled;
  if (scaled.is(Kind::kFloat)) {
    const double number = scaled.as_double();
    const auto integer = TRY(truncated(method == "ceil" ? std::ceil(number) : std::floor(number)));
    if (!integer) return template_error("cannot convert float NaN to integer");
    whole = *integer;
  }
  return compute(sandbox, Arithmetic::kDivide, whole, scale);
}

Result<Value> filter_sum(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"sum", {"iterable", "attribute", "start"}, 1}));
  Value total = bound[2].is_missing() ? Value::integer(0) : bound[2];
  if (total.is_string()) return template_error("sum() can't sum strings");
  const IteratorPtr items = TRY(iterate(sandbox, bound[0]));
  while (const std::optional<Value> item = TRY(items->next(sandbox))) {
    const Value addend = TRY(get_path(sandbox, *item, bound[1], Value()));
    total = TRY(compute(sandbox, Arithmetic::kAdd, total, addend));
  }
  return total;
}

Result<Value> filter_tojson(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(
      bind(arguments, {"tojson", {"x", "ensure_ascii", "indent", "separators", "sort_keys"}, 1}));
  JsonStyle style;
  if (is_true(bound[1])) style.characters = JsonCharacters::kAscii;
  if (is_true(bound[4])) style.keys = JsonKeys::kSorted;
  if (bound[2].is_string()) {
    style.indent = bound[2].text();
  } else if (!bound[2].is_missing() && !bound[2].is_none()) {
    const std::int64_t width = TRY(to_index(bound[2]));
    style.indent.emplace();
    TRY(sandbox.append_repeated(*style.indent, " ",
                                width > 0 ? static_cast<std::uint64_t>(width) : 0));
  }
  if (style.indent) style.item_separator = ",";
  if (!bound[3].is_missing() && !bound[3].is_none()) {
    const std::vector<Value> separators = TRY(collect(sandbox, bound[3]));
    if (separators.size() != 2) return template_error("separators must be two strings");
    style.item_separator = TRY(separator(separators[0]));
    style.key_separator = TRY(separator(separators[1]));
  }
  return sandbox.string(TRY(write_json(sandbox, bound[0], style)));
}

}  // namespace millrace::jinja
