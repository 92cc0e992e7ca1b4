// Finding keys and attributes, and the names that Python gives to types.
#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>

namespace millrace::jinja {
namespace {

// Values of different ranks are never the same key.
int key_rank(const Value& value) {
  if (value.is_none()) return 0;
  if (value.is_number()) return 1;
  if (value.is_string()) return 2;
  if (value.is(Kind::kTuple)) return 3;
  if (value.is_undefined()) return 4;
  return 5;
}

template <class T>
int three_way(const T& a, const T& b) {
  if (a < b) return -1;
  return b < a ? 1 : 0;
}

// Long double has 64 bits of precision at least, so that no integer is rounded.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return three_way(a.as_int(), b.as_int());
  const bool a_is_nan = a.is(Kind::kFloat) && std::isnan(a.as_double());
  const bool b_is_nan = b.is(Kind::kFloat) && std::isnan(b.as_double());
  if (a_is_nan || b_is_nan) return three_way(b_is_nan, a_is_nan);
  const auto wide = [](const Value& value) {
    return value.is(Kind::kFloat) ? static_cast<long double>(value.as_double())
                                  : static_cast<long double>(value.as_int());
  };
  return three_way(wide(a), wide(b));
}

}  // namespace

int compare_keys(const Value& a, const Value& b) {
  const int rank = key_rank(a);
  if (const int order = three_way(rank, key_rank(b)); order != 0) return order;
  if (rank == 1) return compare_numbers(a, b);
  if (rank == 2) return a.text().compare(b.text());
  if (rank == 3) {
    const std::vector<Value>& left = a.sequence().items;
    const std::vector<Value>& right = b.sequence().items;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (const int order = compare_keys(left[i], right[i]); order != 0) return order;
    }
    return three_way(left.size(), right.size());
  }
  return rank == 5 ? three_way(a.object(), b.object()) : 0;
}

Status check_hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kDictView:
      return template_error("unhashable type: '" + std::string(type_name(value)) + "'");
    case Kind::kTuple:
      for (const Value& item : value.sequence().items) {
        TRY(check_hashable(item));
        // A tuple of tuples can take exponential time to compare.
        if (item.is(Kind::kTuple))
          return unsupported_error("a tuple in a tuple as a key of a dict");
      }
      return Ok{};
    default:
      return Ok{};
  }
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string().is_markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kDictView:
      return value.dict_view().view == DictViewKind::kKeys     ? "dict_keys"
             : value.dict_view().view == DictViewKind::kValues ? "dict_values"
                                                               : "dict_items";
    case Kind::kIterator:
      return value.iterator().type_name();
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kObject:
      return value.opaque().type_name();
  }
  return "object";
}

const Value* Dict::find(const Value& key) const {
  if (sorted.empty()) {
    for (const auto& [candidate, value] : entries) {
      if (compare_keys(candidate, key) == 0) return &value;
    }
    return nullptr;
  }
  const auto place = std::lower_bound(
      sorted.begin(), sorted.end(), key,
      [&](std::uint32_t i, const Value& k) { return compare_keys(entries[i].first, k) < 0; });
  if (place == sorted.end() || compare_keys(entries[*place].first, key) != 0) return nullptr;
  return &entries[*place].second;
}

const Value* Dict::find(std::string_view key) const {
  if (!sorted.empty()) {
    const auto string = std::make_shared<String>();
    string->text = key;
    return find(Value(Kind::kString, string));
  }
  for (const auto& [candidate, value] : entries) {
    if (candidate.is_string() && candidate.text() == key) return &value;
  }
  return nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [candidate, value] : attributes) {
    if (candidate == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [candidate, old] : attributes) {
    if (candidate == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

Result<std::string> Opaque::repr(Sandbox&) {
  return "<" + std::string(type_name()) + ">";
}

Result<std::optional<Value>> Opaque::attribute(Sandbox&, std::string_view) {
  return std::optional<Value>();
}

Result<Value> Opaque::call(Sandbox&, Arguments) {
  return template_error("'" + std::string(type_name()) + "' object is not callable");
}

}  // namespace millrace::jinja
