// Comparison of values, paid for step by step.
#include "text/jinja/compare.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/iterate.h"
#include "text/jinja/text_search.h"

namespace millrace::jinja {
namespace {

Result<bool> equal_items(Sandbox& sandbox, const std::vector<Value>& a,
                         const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!TRY(equal(sandbox, a[i], b[i]))) return false;
  }
  return true;
}

Result<bool> equal_dicts(Sandbox& sandbox, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    TRY(sandbox.spend_key(key));
    const Value* other = b.find(key);
    if (other == nullptr || !TRY(equal(sandbox, value, *other))) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  if (a.num_items != b.num_items) return false;
  return a.num_items == 0 || (a.start == b.start && (a.num_items == 1 || a.step == b.step));
}

// Numbers of either type, exactly. NaN equals nothing.
bool equal_numbers(const Value& a, const Value& b) {
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) return a.as_double() == b.as_double();
  if (a.is(Kind::kFloat) && std::isnan(a.as_double())) return false;
  if (b.is(Kind::kFloat) && std::isnan(b.as_double())) return false;
  return compare_keys(a, b) == 0;
}

bool satisfies(Order order, int comparison) {
  switch (order) {
    case Order::kLess:
      return comparison < 0;
    case Order::kLessEqual:
      return comparison <= 0;
    case Order::kGreater:
      return comparison > 0;
    case Order::kGreaterEqual:
      return comparison >= 0;
  }
  return false;
}

bool range_has(const Range& range, std::int64_t number) {
  if (range.num_items == 0) return false;
  const std::int64_t last = range.item(range.num_items - 1);
  if (number < std::min(range.start, last) || number > std::max(range.start, last)) return false;
  // 128 bits hold any difference of two 64-bit numbers.
  __extension__ using Wide = __int128;
  return (Wide{number} - range.start) % range.step == 0;
}

bool is_nan(const Value& value) {
  return value.is(Kind::kFloat) && std::isnan(value.as_double());
}

Error not_ordered(Order order, const Value& a, const Value& b) {
  const char* spelling = order == Order::kLess        ? "<"
                         : order == Order::kLessEqual ? "<="
                         : order == Order::kGreater   ? ">"
                                                      : ">=";
  return template_error("'" + std::string(spelling) + "' not supported between instances of '" +
                        std::string(type_name(a)) + "' and '" + std::string(type_name(b)) + "'");
}

Result<bool> contains_text(Sandbox& sandbox, const Value& container, const Value& item) {
  if (!item.is_string()) {
    return template_error("'in <string>' requires string as left operand, not " +
                          std::string(type_name(item)));
  }
  TRY(spend_search(sandbox, container.text(), item.text()));
  return find_text(container.text(), item.text()) != std::string_view::npos;
}

}  // namespace

Error undefined_error(const Value& value) {
  return template_error(value.undefined_reason().message);
}

bool is_true(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.sequence().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kRange:
      return value.range().num_items != 0;
    case Kind::kDictView:
      return !value.dict_view().of.dict().entries.empty();
    default:
      return true;
  }
}

Result<bool> equal(Sandbox& sandbox, const Value& a, const Value& b) {
  TRY(sandbox.spend(1));
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  TRY(sandbox.enter());
  const DepthGuard guard(sandbox);
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      TRY(sandbox.spend_bytes(a.text().size()));
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(sandbox, a.sequence().items, b.sequence().items);
    case Kind::kDict:
      return equal_dicts(sandbox, a.dict(), b.dict());
    case Kind::kRange:
      return equal_ranges(a.range(), b.range());
    default:
      return a.object() == b.object();
  }
}

Result<bool> ordered(Sandbox& sandbox, Order order, const Value& a, const Value& b) {
  TRY(sandbox.spend(1));
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  if (a.is_number() && b.is_number()) {
    return !is_nan(a) && !is_nan(b) && satisfies(order, compare_keys(a, b));
  }
  if (a.is_string() && b.is_string()) {
    TRY(sandbox.spend_bytes(a.text().size()));
    return satisfies(order, a.text().compare(b.text()));
  }
  const bool are_sequences = a.is(Kind::kList) || a.is(Kind::kTuple);
  if (!are_sequences || a.kind() != b.kind()) return not_ordered(order, a, b);
  TRY(sandbox.enter());
  const DepthGuard guard(sandbox);
  const std::vector<Value>& left = a.sequence().items;
  const std::vector<Value>& right = b.sequence().items;
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (!TRY(equal(sandbox, left[i], right[i]))) return ordered(sandbox, order, left[i], right[i]);
  }
  return satisfies(order, left.size() < right.size() ? -1 : left.size() > right.size() ? 1 : 0);
}

Result<bool> contains(Sandbox& sandbox, const Value& container, const Value& item) {
  TRY(sandbox.spend(1));
  if (container.is_string()) return contains_text(sandbox, container, item);
  const bool is_keys =
      container.is(Kind::kDictView) && container.dict_view().view == DictViewKind::kKeys;
  if (container.is(Kind::kDict) || is_keys) {
    TRY(check_hashable(item));
    TRY(sandbox.spend_key(item));
    const Dict& dict = is_keys ? container.dict_view().of.dict() : container.dict();
    return dict.find(item) != nullptr;
  }
  if (container.is(Kind::kRange) && item.is_integral()) {
    return range_has(container.range(), item.as_int());
  }
  const IteratorPtr items = TRY(iterate(sandbox, container));
  while (const std::optional<Value> candidate = TRY(items->next(sandbox))) {
    const bool is_same = candidate->object() != nullptr && candidate->object() == item.object();
    if (is_same || TRY(equal(sandbox, *candidate, item))) return true;
  }
  return false;
}

Result<std::int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<std::int64_t>(value.string().num_code_points);
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<std::int64_t>(value.sequence().items.size());
    case Kind::kDict:
      return static_cast<std::int64_t>(value.dict().entries.size());
    case Kind::kRange:
      return value.range().num_items;
    case Kind::kDictView:
      return static_cast<std::int64_t>(value.dict_view().of.dict().entries.size());
    default:
      return template_error("object of type '" + std::string(type_name(value)) + "' has no len()");
  }
}

}  // namespace millrace::jinja
