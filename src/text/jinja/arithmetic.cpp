// Python's arithmetic within 64 bits; a result that does not fit is an error.
#include "text/jinja/arithmetic.h"

#include <cmath>
#include <limits>

#include "text/jinja/compare.h"
#include "text/jinja/percent_format.h"
#include "text/jinja/text_search.h"

namespace millrace::jinja {
namespace {

Error overflow() {
  return template_error("the result of an integer operation does not fit into 64 bits");
}
Error division_by_zero() {
  return template_error("division by zero");
}

Error not_computable(Arithmetic operation, const Value& left, const Value& right) {
  constexpr const char* kSpellings[] = {"+", "-", "*", "/", "//", "%", "**"};
  return template_error("unsupported operand types for " +
                        std::string(kSpellings[static_cast<std::size_t>(operation)]) + ": '" +
                        std::string(type_name(left)) + "' and '" + std::string(type_name(right)) +
                        "'");
}

// Rounds down, and the remainder has the divisor's sign.
struct Quotient {
  std::int64_t quotient = 0;
  std::int64_t remainder = 0;
};
Result<Quotient> divide_integers(std::int64_t a, std::int64_t b) {
  if (b == 0) return division_by_zero();
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) return overflow();
  Quotient result{a / b, a % b};
  if (result.remainder != 0 && (result.remainder < 0) != (b < 0)) {
    result.remainder += b;
    --result.quotient;
  }
  return result;
}

Result<Value> integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return template_error("0.0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  // Squaring beyond the last bit of the exponent may overflow without harm.
  bool square_overflows = false;
  for (std::int64_t square = base; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) {
      if (square_overflows || __builtin_mul_overflow(result, square, &result)) return overflow();
    }
    square_overflows = square_overflows || __builtin_mul_overflow(square, square, &square);
  }
  return Value::integer(result);
}

Result<Value> compute_integers(Arithmetic operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Arithmetic::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Arithmetic::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Arithmetic::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Arithmetic::kDivide:
      if (b == 0) return division_by_zero();
      return Value::number(static_cast<double>(a) / static_cast<double>(b));
    case Arithmetic::kFloorDivide:
      return Value::integer(TRY(divide_integers(a, b)).quotient);
    case Arithmetic::kModulo:
      if (b == -1) return Value::integer(0);
      return Value::integer(TRY(divide_integers(a, b)).remainder);
    case Arithmetic::kPower:
      return integer_power(a, b);
  }
  return overflow();
}

// Source: Python's float_divmod: the remainder is exact, the quotient is rounded from it.
struct FloatQuotient {
  double quotient = 0;
  double remainder = 0;
};
FloatQuotient divide_floats(double a, double b) {
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (quotient == 0) return {std::copysign(0.0, a / b), remainder};
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return {whole, remainder};
}

Result<Value> float_power(double a, double b) {
  if (a == 0 && b < 0) return template_error("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
    return unsupported_error("a power that is a complex number");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    return template_error("the result of a power is too large");
  }
  return Value::number(result);
}

Result<Value> compute_floats(Arithmetic operation, double a, double b) {
  const bool divides = operation == Arithmetic::kDivide || operation == Arithmetic::kFloorDivide ||
                       operation == Arithmetic::kModulo;
  if (divides && b == 0) return division_by_zero();
  switch (operation) {
    case Arithmetic::kAdd:
      return Value::number(a + b);
    case Arithmetic::kSubtract:
      return Value::number(a - b);
    case Arithmetic::kMultiply:
      return Value::number(a * b);
    case Arithmetic::kDivide:
      return Value::number(a / b);
    case Arithmetic::kFloorDivide:
      return Value::number(divide_floats(a, b).quotient);
    case Arithmetic::kModulo:
      return Value::number(divide_floats(a, b).remainder);
    case Arithmetic::kPower:
      return float_power(a, b);
  }
  return division_by_zero();
}

Result<Value> join_strings(Sandbox& sandbox, const Value& left, const Value& right) {
  const bool is_markup = left.string().is_markup || right.string().is_markup;
  std::string out;
  for (const Value* part : {&left, &right}) {
    const bool must_escape = is_markup && !part->string().is_markup;
    if (must_escape) {
      TRY(sandbox.append(out, TRY(escape_html(sandbox, part->text()))));
    } else {
      TRY(sandbox.append(out, part->text()));
    }
  }
  return is_markup ? sandbox.markup(std::move(out)) : sandbox.string(std::move(out));
}

Result<Value> join_sequences(Sandbox& sandbox, const Value& left, const Value& right) {
  const std::vector<Value>& a = left.sequence().items;
  const std::vector<Value>& b = right.sequence().items;
  TRY(sandbox.reserve((a.size() + b.size()) * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(a.size() + b.size());
  items.insert(items.end(), a.begin(), a.end());
  items.insert(items.end(), b.begin(), b.end());
  return left.is(Kind::kList) ? sandbox.list(std::move(items)) : sandbox.tuple(std::move(items));
}

Result<Value> repeat(Sandbox& sandbox, const Value& what, std::int64_t times) {
  const auto num_times = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  if (what.is_string()) {
    std::string out;
    TRY(sandbox.append_repeated(out, what.text(), num_times));
    return sandbox.string_like(what, std::move(out));
  }
  const std::vector<Value>& once = what.sequence().items;
  // Each item costs at least a step, so more items than steps in all are too many.
  if (!once.empty() && num_times > sandbox.limits().num_steps_max / once.size()) {
    return Error{ErrorCode::kTooLarge,
                 "a list repeated " + std::to_string(num_times) + " times exceeds " +
                     std::to_string(sandbox.limits().num_steps_max) + " items"};
  }
  TRY(sandbox.spend_items(once.size() * num_times));
  TRY(sandbox.reserve(once.size() * num_times * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(once.size() * num_times);
  for (std::uint64_t i = 0; i < num_times && !once.empty(); ++i) {
    items.insert(items.end(), once.begin(), once.end());
  }
  return what.is(Kind::kList) ? sandbox.list(std::move(items)) : sandbox.tuple(std::move(items));
}

bool is_repeatable(const Value& value) {
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple);
}

}  // namespace

Result<Value> compute(Sandbox& sandbox, Arithmetic operation, const Value& left,
                      const Value& right) {
  if (left.is_integral() && right.is_integral()) {
    return compute_integers(operation, left.as_int(), right.as_int());
  }
  if (left.is_number() && right.is_number()) {
    return compute_floats(operation, left.as_double(), right.as_double());
  }
  if (operation == Arithmetic::kModulo && left.is_string()) {
    return format_percent(sandbox, left, right);
  }
  if (left.is_undefined()) return undefined_error(left);
  if (right.is_undefined()) return undefined_error(right);
  if (operation == Arithmetic::kAdd && left.kind() == right.kind()) {
    if (left.is_string()) return join_strings(sandbox, left, right);
    if (is_repeatable(left)) return join_sequences(sandbox, left, right);
  }
  if (operation == Arithmetic::kMultiply) {
    if (is_repeatable(left) && right.is_integral()) return repeat(sandbox, left, right.as_int());
    if (is_repeatable(right) && left.is_integral()) return repeat(sandbox, right, left.as_int());
  }
  return not_computable(operation, left, right);
}

Result<Value> negate(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kFloat)) return Value::number(-value.as_double());
  if (!value.is_integral()) {
    return template_error("bad operand type for unary -: '" + std::string(type_name(value)) + "'");
  }
  return compute_integers(Arithmetic::kSubtract, 0, value.as_int());
}

Result<Value> posit(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kFloat)) return value;
  if (value.is_integral()) return Value::integer(value.as_int());
  return template_error("bad operand type for unary +: '" + std::string(type_name(value)) + "'");
}

}  // namespace millrace::jinja
