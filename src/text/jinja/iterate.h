// Going through the items of a value, as Python's iter() does.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// Fails for what cannot be iterated over. An iterator gives itself.
Result<IteratorPtr> iterate(Sandbox& sandbox, const Value& value);
bool is_iterable(const Value& value);
// list(value)
Result<std::vector<Value>> collect(Sandbox& sandbox, const Value& value);
// The items backwards; nothing for what Python's reversed() refuses.
Result<std::optional<std::vector<Value>>> collect_reversed(Sandbox& sandbox, const Value& value);

// An iterator over values that are there already; `type` is what Python calls it.
Result<Value> iterator_over(Sandbox& sandbox, std::vector<Value> items, std::string_view type);
// A generator that asks `next` for each item. The function must own what it uses.
using NextItem = std::function<Result<std::optional<Value>>(Sandbox&)>;
Result<Value> generator(Sandbox& sandbox, NextItem next);

}  // namespace millrace::jinja
