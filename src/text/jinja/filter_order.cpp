// Filters that compare items: sorting, extremes, groups.
#include <set>

#include "text/jinja/arguments.h"
#include "text/jinja/compare.h"
#include "text/jinja/filter_functions.h"
#include "text/jinja/iterate.h"
#include "text/jinja/sort.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

enum class Cases : std::uint8_t { kDiffer, kAreEqual };

Cases cases(const Value& case_sensitive) {
  return is_true(case_sensitive) ? Cases::kDiffer : Cases::kAreEqual;
}

Result<Value> without_case(Sandbox& sandbox, const Value& value, Cases cases) {
  if (cases == Cases::kDiffer || !value.is_string()) return value;
  return sandbox.string(TRY(change_case(value.text(), LetterCase::kLower)));
}

// What an item is compared by: an attribute's value or the item itself.
Result<Value> sort_key(Sandbox& sandbox, const Value& item, const Value& attribute, Cases cases) {
  return without_case(sandbox, TRY(get_path(sandbox, item, attribute, Value())), cases);
}

// The same for several attributes with commas between them.
Result<Value> sort_keys(Sandbox& sandbox, const Value& item, const Value& attributes, Cases cases) {
  std::vector<Value> keys;
  if (!attributes.is_string()) {
    keys.push_back(TRY(sort_key(sandbox, item, attributes, cases)));
  } else {
    for (const std::string_view part : TRY(split_at(sandbox, attributes.text(), ",", kNoLimit))) {
      const Value attribute = TRY(sandbox.string(std::string(part)));
      keys.push_back(TRY(sort_key(sandbox, item, attribute, cases)));
    }
  }
  return sandbox.list(std::move(keys));
}

enum class Direction : std::uint8_t { kUp, kDown };

Direction direction(const Value& reverse) {
  return is_true(reverse) ? Direction::kDown : Direction::kUp;
}

Result<std::vector<Value>> sorted_by(Sandbox& sandbox, const std::vector<Value>& items,
                                     const std::vector<Value>& keys, Direction direction) {
  // Downwards, equal items still keep their order.
  const std::vector<std::size_t> places =
      TRY(sort_places(sandbox, items.size(), [&](std::size_t a, std::size_t b) {
        return direction == Direction::kUp ? ordered(sandbox, Order::kLess, keys[a], keys[b])
                                           : ordered(sandbox, Order::kLess, keys[b], keys[a]);
      }));
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const std::size_t place : places) sorted.push_back(items[place]);
  return sorted;
}

Result<Value> extreme(Sandbox& sandbox, const Arguments& arguments, Order order) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"min", {"value", "case_sensitive", "attribute"}, 1}));
  const IteratorPtr items = TRY(iterate(sandbox, bound[0]));
  std::optional<Value> best = TRY(items->next(sandbox));
  if (!best) return sandbox.undefined("No aggregated item, sequence was empty.");
  Value best_key = TRY(sort_key(sandbox, *best, bound[2], cases(bound[1])));
  while (std::optional<Value> item = TRY(items->next(sandbox))) {
    Value key = TRY(sort_key(sandbox, *item, bound[2], cases(bound[1])));
    if (!TRY(ordered(sandbox, order, key, best_key))) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return std::move(*best);
}

struct KeyBefore {
  bool operator()(const Value& a, const Value& b) const { return compare_keys(a, b) < 0; }
};

}  // namespace

Result<Value> filter_sort(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"sort", {"value", "reverse", "case_sensitive", "attribute"}, 1}));
  const std::vector<Value> items = TRY(collect(sandbox, bound[0]));
  std::vector<Value> keys;
  for (const Value& item : items) {
    keys.push_back(TRY(sort_keys(sandbox, item, bound[3], cases(bound[2]))));
  }
  return sandbox.list(TRY(sorted_by(sandbox, items, keys, direction(bound[1]))));
}

Result<Value> filter_dictsort(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"dictsort", {"value", "case_sensitive", "by", "reverse"}, 1}));
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  if (!bound[0].is(Kind::kDict)) return template_error("dictsort() expects a dict");
  const bool by_value = bound[2].is_string() && bound[2].text() == "value";
  const bool by_key = bound[2].is_missing() || (bound[2].is_string() && bound[2].text() == "key");
  if (!by_key && !by_value) {
    return template_error("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : bound[0].dict().entries) {
    items.push_back(TRY(sandbox.tuple({key, value})));
    keys.push_back(TRY(without_case(sandbox, by_key ? key : value, cases(bound[1]))));
  }
  return sandbox.list(TRY(sorted_by(sandbox, items, keys, direction(bound[3]))));
}

Result<Value> filter_min(Sandbox& sandbox, const Arguments& arguments) {
  return extreme(sandbox, arguments, Order::kLess);
}
Result<Value> filter_max(Sandbox& sandbox, const Arguments& arguments) {
  return extreme(sandbox, arguments, Order::kGreater);
}

Result<Value> filter_unique(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"unique", {"value", "case_sensitive", "attribute"}, 1}));
  struct State {
    IteratorPtr items;
    std::set<Value, KeyBefore> seen;
  };
  auto state = std::make_shared<State>();
  using Item = std::optional<Value>;
  return generator(sandbox, [state, bound](Sandbox& at) -> Result<Item> {
    if (state->items == nullptr) state->items = TRY(iterate(at, bound[0]));
    while (Item item = TRY(state->items->next(at))) {
      const Value key = TRY(sort_key(at, *item, bound[2], cases(bound[1])));
      TRY(check_hashable(key));
      TRY(at.spend_key(key));
      if (state->seen.insert(key).second) return item;
    }
    return Item();
  });
}

Result<Value> filter_groupby(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"groupby", {"value", "attribute", "default", "case_sensitive"}, 2}));
  const Cases are = cases(bound[3]);
  const std::vector<Value> items = TRY(collect(sandbox, bound[0]));
  std::vector<Value> pairs;
  std::vector<Value> keys;
  for (const Value& item : items) {
    const Value grouper = TRY(get_path(sandbox, item, bound[1], bound[2]));
    keys.push_back(TRY(without_case(sandbox, grouper, are)));
    pairs.push_back(TRY(sandbox.tuple({keys.back(), grouper, item})));
  }
  std::vector<Value> groups;
  const std::vector<Value> sorted = TRY(sorted_by(sandbox, pairs, keys, Direction::kUp));
  for (std::size_t i = 0; i < sorted.size();) {
    // The group has the name that its first item has, in its own case.
    const std::vector<Value>& first = sorted[i].sequence().items;
    std::vector<Value> members = {first[2]};
    for (++i; i < sorted.size(); ++i) {
      const std::vector<Value>& other = sorted[i].sequence().items;
      if (!TRY(equal(sandbox, first[0], other[0]))) break;
      members.push_back(other[2]);
    }
    groups.push_back(TRY(sandbox.group(first[1], TRY(sandbox.list(std::move(members))))));
  }
  return sandbox.list(std::move(groups));
}

}  // namespace millrace::jinja
