// The table of tests and their functions.
#include "text/jinja/predicate.h"

#include <algorithm>
#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/arithmetic.h"
#include "text/jinja/compare.h"
#include "text/jinja/filter.h"
#include "text/jinja/iterate.h"
#include "text/jinja/loop.h"
#include "text/jinja/repr.h"
#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

Result<Value> only_argument(const Arguments& arguments, std::string_view test) {
  return TRY(bind(arguments, {test, {"value"}, 1}))[0];
}

template <auto kHolds>
Result<bool> plain(Sandbox&, const Arguments& arguments) {
  return kHolds(TRY(only_argument(arguments, "a test")));
}

template <Kind kKind>
bool is_kind(const Value& value) {
  return value.is(kKind);
}
bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_literally_true(const Value& value) {
  return value.is(Kind::kBool) && value.as_bool();
}
bool is_literally_false(const Value& value) {
  return value.is(Kind::kBool) && !value.as_bool();
}
bool is_a_number(const Value& value) {
  return value.is_number();
}
bool is_escaped(const Value& value) {
  return value.is_string() && value.string().is_markup;
}
bool is_sequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is(Kind::kList) ||
         value.is(Kind::kTuple) || value.is(Kind::kDict) || value.is(Kind::kRange);
}
bool is_iterable_or_loop(const Value& value) {
  return is_iterable(value) ||
         (value.is(Kind::kObject) && dynamic_cast<Loop*>(&value.opaque()) != nullptr);
}
bool is_callable(const Value& value) {
  return value.is_undefined() || (value.is(Kind::kObject) && value.opaque().is_callable());
}

template <CharacterClass kClass>
Result<bool> has_case(Sandbox& sandbox, const Arguments& arguments) {
  const std::string text = TRY(to_str(sandbox, TRY(only_argument(arguments, "lower"))));
  TRY(sandbox.spend_items(text.size()));
  return has_letter_case(text, kClass);
}

Result<bool> remainder_is(Sandbox& sandbox, const Value& value, const Value& divisor,
                          std::int64_t wanted) {
  const Value remainder = TRY(compute(sandbox, Arithmetic::kModulo, value, divisor));
  return equal(sandbox, remainder, Value::integer(wanted));
}
Result<bool> is_odd(Sandbox& sandbox, const Arguments& arguments) {
  return remainder_is(sandbox, TRY(only_argument(arguments, "odd")), Value::integer(2), 1);
}
Result<bool> is_even(Sandbox& sandbox, const Arguments& arguments) {
  return remainder_is(sandbox, TRY(only_argument(arguments, "even")), Value::integer(2), 0);
}
Result<bool> is_divisible(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"divisibleby", {"value", "num"}, 2}));
  return remainder_is(sandbox, bound[0], bound[1], 0);
}

Result<std::vector<Value>> two_arguments(const Arguments& arguments) {
  return bind(arguments, {"a comparing test", {"", ""}, 2});
}
Result<bool> is_equal(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(two_arguments(arguments));
  return equal(sandbox, bound[0], bound[1]);
}
Result<bool> is_unequal(Sandbox& sandbox, const Arguments& arguments) {
  return !TRY(is_equal(sandbox, arguments));
}
template <Order kOrder>
Result<bool> is_ordered(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(two_arguments(arguments));
  return ordered(sandbox, kOrder, bound[0], bound[1]);
}
Result<bool> is_in(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"in", {"value", "seq"}, 2}));
  return contains(sandbox, bound[1], bound[0]);
}

// Numbers are the same when Python keeps one object for them: small ones.
Result<bool> is_same(Sandbox&, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"sameas", {"value", "other"}, 2}));
  if (bound[0].kind() != bound[1].kind()) return false;
  if (bound[0].is_none()) return true;
  if (bound[0].is_integral()) return bound[0].as_int() == bound[1].as_int();
  return bound[0].object() != nullptr && bound[0].object() == bound[1].object();
}

Result<bool> names_filter(Sandbox&, const Arguments& arguments) {
  const Value name = TRY(only_argument(arguments, "filter"));
  TRY(check_hashable(name));
  return name.is_string() && find_filter(name.text()) != nullptr;
}
Result<bool> names_test(Sandbox&, const Arguments& arguments) {
  const Value name = TRY(only_argument(arguments, "test"));
  TRY(check_hashable(name));
  return name.is_string() && find_predicate(name.text()) != nullptr;
}

constexpr std::array<Predicate, 39> kPredicates = {{
    {"!=", is_unequal},
    {"<", is_ordered<Order::kLess>},
    {"<=", is_ordered<Order::kLessEqual>},
    {"==", is_equal},
    {">", is_ordered<Order::kGreater>},
    {">=", is_ordered<Order::kGreaterEqual>},
    {"boolean", plain<is_kind<Kind::kBool>>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", plain<is_escaped>},
    {"even", is_even},
    {"false", plain<is_literally_false>},
    {"filter", names_filter},
    {"float", plain<is_kind<Kind::kFloat>>},
    {"ge", is_ordered<Order::kGreaterEqual>},
    {"greaterthan", is_ordered<Order::kGreater>},
    {"gt", is_ordered<Order::kGreater>},
    {"in", is_in},
    {"integer", plain<is_kind<Kind::kInt>>},
    {"iterable", plain<is_iterable_or_loop>},
    {"le", is_ordered<Order::kLessEqual>},
    {"lessthan", is_ordered<Order::kLess>},
    {"lower", has_case<CharacterClass::kLower>},
    {"lt", is_ordered<Order::kLess>},
    {"mapping", plain<is_kind<Kind::kDict>>},
    {"ne", is_unequal},
    {"none", plain<is_kind<Kind::kNone>>},
    {"number", plain<is_a_number>},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_kind<Kind::kString>>},
    {"test", names_test},
    {"true", plain<is_literally_true>},
    {"undefined", plain<is_kind<Kind::kUndefined>>},
    {"upper", has_case<CharacterClass::kUpper>},
}};

}  // namespace

const Predicate* find_predicate(std::string_view name) {
  const auto* found = std::lower_bound(
      kPredicates.begin(), kPredicates.end(), name,
      [](const Predicate& predicate, std::string_view n) { return predicate.name < n; });
  return found == kPredicates.end() || found->name != name ? nullptr : found;
}

}  // namespace millrace::jinja
