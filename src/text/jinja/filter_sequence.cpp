// Filters that go through items: most give a generator, which does its work when it is asked.
#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/filter.h"
#include "text/jinja/filter_functions.h"
#include "text/jinja/iterate.h"
#include "text/jinja/predicate.h"
#include "text/jinja/repr.h"
#include "text/jinja/text_search.h"

namespace millrace::jinja {
namespace {

using Item = std::optional<Value>;

// Arguments without the value that is filtered.
struct Split {
  Value value;
  Arguments rest;
};
Result<Split> split_value(const Arguments& arguments, std::string_view function) {
  if (arguments.positional.empty()) {
    return template_error(std::string(function) + "() expects a value");
  }
  Split split;
  split.value = arguments.positional[0];
  split.rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  split.rest.named = arguments.named;
  return split;
}

// Items of a value that is looked at only when the first is wanted; a false value has none.
class LazyItems {
 public:
  explicit LazyItems(Value value) : value_(std::move(value)) {}

  Result<Item> next(Sandbox& sandbox) {
    if (!is_started_) {
      is_started_ = true;
      if (is_true(value_)) items_ = TRY(iterate(sandbox, value_));
    }
    return items_ == nullptr ? Result<Item>(Item()) : items_->next(sandbox);
  }

 private:
  Value value_;
  bool is_started_ = false;
  IteratorPtr items_;
};

enum class Keep : std::uint8_t { kWhenTrue, kWhenFalse };
enum class Look : std::uint8_t { kAtItem, kAtAttribute };

// Whether an item passes the test that the arguments name; without one whether it is true.
Result<bool> passes(Sandbox& sandbox, const Arguments& arguments, Look look, const Value& item) {
  const std::size_t num_taken = look == Look::kAtAttribute ? 1 : 0;
  if (arguments.positional.size() < num_taken) {
    return template_error("Missing parameter for attribute name");
  }
  Value looked_at = item;
  if (look == Look::kAtAttribute) {
    looked_at = TRY(get_path(sandbox, item, arguments.positional[0], Value()));
  }
  if (arguments.positional.size() == num_taken) return is_true(looked_at);
  const Value& name = arguments.positional[num_taken];
  const Predicate* predicate = name.is_string() ? find_predicate(name.text()) : nullptr;
  if (predicate == nullptr) {
    return template_error("No test named " + TRY(to_str(sandbox, name)) + ".");
  }
  TRY(sandbox.spend_items(arguments.positional.size() + arguments.named.size()));
  Arguments of_test;
  of_test.positional.push_back(std::move(looked_at));
  of_test.positional.insert(
      of_test.positional.end(),
      arguments.positional.begin() + static_cast<std::ptrdiff_t>(num_taken) + 1,
      arguments.positional.end());
  of_test.named = arguments.named;
  return predicate->holds(sandbox, of_test);
}

Result<Value> selected(Sandbox& sandbox, const Arguments& arguments, Look look, Keep keep) {
  Split split = TRY(split_value(arguments, "select"));
  auto items = std::make_shared<LazyItems>(std::move(split.value));
  return generator(sandbox, [=, test = std::move(split.rest)](Sandbox& at) -> Result<Item> {
    while (Item item = TRY(items->next(at))) {
      const bool is_kept = TRY(passes(at, test, look, *item)) == (keep == Keep::kWhenTrue);
      if (is_kept) return item;
    }
    return Item();
  });
}

Result<Value> mapped(Sandbox& sandbox, const Arguments& arguments, const Value& item) {
  const auto named = [&](std::string_view name) -> const Value* {
    for (const auto& [candidate, value] : arguments.named) {
      if (candidate == name) return &value;
    }
    return nullptr;
  };
  const Value* attribute = named("attribute");
  if (arguments.positional.empty() && attribute != nullptr) {
    const Value* otherwise = named("default");
    if (arguments.named.size() > (otherwise == nullptr ? 1u : 2u)) {
      return template_error("map() got an unexpected keyword argument");
    }
    return get_path(sandbox, item, *attribute, otherwise == nullptr ? Value() : *otherwise);
  }
  if (arguments.positional.empty()) return template_error("map requires a filter argument");
  const Value& name = arguments.positional[0];
  const Filter* filter = name.is_string() ? find_filter(name.text()) : nullptr;
  if (filter == nullptr) {
    return template_error("No filter named " + TRY(to_str(sandbox, name)) + ".");
  }
  TRY(sandbox.spend_items(arguments.positional.size() + arguments.named.size()));
  Arguments of_filter = arguments;
  of_filter.positional[0] = item;
  return filter->apply(sandbox, of_filter);
}

// A generator over lists that are made all at once, when the first is wanted.
using MakeLists = std::function<Result<std::vector<Value>>(Sandbox&)>;
Result<Value> generator_over(Sandbox& sandbox, MakeLists make) {
  struct State {
    bool is_made = false;
    std::vector<Value> lists;
    std::size_t next = 0;
  };
  auto state = std::make_shared<State>();
  return generator(sandbox, [state, make = std::move(make)](Sandbox& at) -> Result<Item> {
    if (!state->is_made) {
      state->lists = TRY(make(at));
      state->is_made = true;
    }
    if (state->next == state->lists.size()) return Item();
    return Item(state->lists[state->next++]);
  });
}

Result<Value> make_list(Sandbox& sandbox, const std::vector<Value>& items, std::size_t from,
                        std::size_t to) {
  const auto at = [&](std::size_t i) { return items.begin() + static_cast<std::ptrdiff_t>(i); };
  return sandbox.list(std::vector<Value>(at(from), at(to)));
}

constexpr std::int64_t kNeverReached = -1;

Result<std::vector<Value>> batches(Sandbox& sandbox, const Value& value, std::int64_t size,
                                   const Value& fill) {
  const std::vector<Value> items = TRY(collect(sandbox, value));
  // A size that is no positive number is never reached: everything goes into one list.
  const std::size_t step = size > 0 ? static_cast<std::size_t>(size) : items.size();
  std::vector<Value> lists;
  // With a size of 0 jinja2 first gives the empty list that it starts from.
  if (size == 0 && !items.empty()) lists.push_back(TRY(sandbox.list({})));
  for (std::size_t start = 0; start < items.size(); start += step) {
    const std::size_t end = std::min(items.size() - start, step) + start;
    std::vector<Value> batch(items.begin() + static_cast<std::ptrdiff_t>(start),
                             items.begin() + static_cast<std::ptrdiff_t>(end));
    if (!fill.is_missing() && !fill.is_none() && size > 0 && batch.size() < step) {
      TRY(sandbox.spend_items(step));
      TRY(sandbox.reserve(step * sizeof(Value)));
      batch.resize(step, fill);
    }
    lists.push_back(TRY(sandbox.list(std::move(batch))));
  }
  return lists;
}

Result<std::vector<Value>> slices(Sandbox& sandbox, const Value& value, std::int64_t num_slices,
                                  const Value& fill) {
  const std::vector<Value> items = TRY(collect(sandbox, value));
  if (num_slices == 0) return template_error("integer division or modulo by zero");
  std::vector<Value> lists;
  if (num_slices < 0) return lists;
  const auto count = static_cast<std::size_t>(num_slices);
  const std::size_t per_slice = items.size() / count;
  const std::size_t num_longer = items.size() % count;
  std::size_t start = 0;
  for (std::size_t i = 0; i < count; ++i) {
    TRY(sandbox.spend(1));
    const std::size_t end = start + per_slice + (i < num_longer ? 1 : 0);
    Value slice = TRY(make_list(sandbox, items, start, end));
    if (!fill.is_missing() && !fill.is_none() && i >= num_longer) {
      std::vector<Value> filled = slice.sequence().items;
      filled.push_back(fill);
      slice = TRY(sandbox.list(std::move(filled)));
    }
    lists.push_back(std::move(slice));
    start = end;
  }
  return lists;
}

}  // namespace

Result<Value> filter_select(Sandbox& sandbox, const Arguments& arguments) {
  return selected(sandbox, arguments, Look::kAtItem, Keep::kWhenTrue);
}
Result<Value> filter_reject(Sandbox& sandbox, const Arguments& arguments) {
  return selected(sandbox, arguments, Look::kAtItem, Keep::kWhenFalse);
}
Result<Value> filter_selectattr(Sandbox& sandbox, const Arguments& arguments) {
  return selected(sandbox, arguments, Look::kAtAttribute, Keep::kWhenTrue);
}
Result<Value> filter_rejectattr(Sandbox& sandbox, const Arguments& arguments) {
  return selected(sandbox, arguments, Look::kAtAttribute, Keep::kWhenFalse);
}

Result<Value> filter_map(Sandbox& sandbox, const Arguments& arguments) {
  Split split = TRY(split_value(arguments, "map"));
  auto items = std::make_shared<LazyItems>(std::move(split.value));
  return generator(sandbox, [=, how = std::move(split.rest)](Sandbox& at) -> Result<Item> {
    const Item item = TRY(items->next(at));
    if (!item) return Item();
    return Item(TRY(mapped(at, how, *item)));
  });
}

Result<Value> filter_items(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"items", {"value"}, 1}));
  auto items = std::make_shared<IteratorPtr>();
  return generator(sandbox, [items, value = bound[0]](Sandbox& at) -> Result<Item> {
    if (value.is_undefined()) return Item();
    if (!value.is(Kind::kDict)) return template_error("Can only get item pairs from a mapping.");
    if (*items == nullptr) {
      *items = TRY(iterate(at, TRY(at.dict_view(value, DictViewKind::kItems))));
    }
    return (*items)->next(at);
  });
}

Result<Value> filter_batch(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"batch", {"value", "linecount", "fill_with"}, 2}));
  return generator_over(sandbox, [bound](Sandbox& at) -> Result<std::vector<Value>> {
    // jinja2 compares lengths with it: what is no number is never reached.
    const bool is_reached = bound[1].is_integral();
    return batches(at, bound[0], is_reached ? bound[1].as_int() : kNeverReached, bound[2]);
  });
}

Result<Value> filter_slice(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"slice", {"value", "slices", "fill_with"}, 2}));
  return generator_over(sandbox, [bound](Sandbox& at) -> Result<std::vector<Value>> {
    return slices(at, bound[0], TRY(to_index(bound[1])), bound[2]);
  });
}

Result<Value> filter_first(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"first", {"seq"}, 1}));
  const IteratorPtr items = TRY(iterate(sandbox, bound[0]));
  if (Item item = TRY(items->next(sandbox))) return std::move(*item);
  return sandbox.undefined("No first item, sequence was empty.");
}

Result<Value> filter_last(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"last", {"seq"}, 1}));
  const Value& value = bound[0];
  if (value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple)) {
    if (is_true(value)) return get_item(sandbox, value, Value::integer(-1));
  } else if (!value.is_undefined()) {
    const auto reversed = TRY(collect_reversed(sandbox, value));
    if (!reversed) {
      return template_error("'" + std::string(type_name(value)) + "' object is not reversible");
    }
    if (!reversed->empty()) return reversed->front();
  }
  return sandbox.undefined("No last item, sequence was empty.");
}

Result<Value> filter_length(Sandbox&, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"len", {""}, 1}));
  return Value::integer(TRY(length(bound[0])));
}

Result<Value> filter_list(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"list", {"value"}, 1}));
  return sandbox.list(TRY(collect(sandbox, bound[0])));
}

Result<Value> filter_reverse(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"reverse", {"value"}, 1}));
  if (bound[0].is_string()) {
    return get_slice(sandbox, bound[0], {Value(), Value(), Value::integer(-1)});
  }
  if (auto reversed = TRY(collect_reversed(sandbox, bound[0]))) {
    return iterator_over(sandbox, std::move(*reversed), "list_reverseiterator");
  }
  if (bound[0].is_undefined()) return iterator_over(sandbox, {}, "reversed");
  std::vector<Value> items = TRY(collect(sandbox, bound[0]));
  std::reverse(items.begin(), items.end());
  return sandbox.list(std::move(items));
}

Result<Value> filter_join(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"join", {"value", "d", "attribute"}, 1}));
  std::string separator;
  if (!bound[1].is_missing()) TRY(append_str(sandbox, bound[1], separator));
  const IteratorPtr items = TRY(iterate(sandbox, bound[0]));
  std::string out;
  bool is_first = true;
  while (Item item = TRY(items->next(sandbox))) {
    if (!is_first) TRY(sandbox.append(out, separator));
    is_first = false;
    TRY(append_str(sandbox, TRY(get_path(sandbox, *item, bound[2], Value())), out));
  }
  return sandbox.string(std::move(out));
}

}  // namespace millrace::jinja
