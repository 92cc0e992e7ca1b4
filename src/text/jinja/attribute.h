// Looking things up in values: attributes, items, slices, within an allow-list.
#pragma once

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

// value.name: an attribute, else an item. Undefined when there is neither, or when the sandbox does
// not allow it; fails on an undefined value.
Result<Value> get_attribute(Sandbox& sandbox, const Value& value, const Value& name);
// value[key]: an item, else an attribute.
Result<Value> get_item(Sandbox& sandbox, const Value& value, const Value& key);
// value[start:stop:step], missing where left out.
struct SliceBounds {
  Value start;
  Value stop;
  Value step;
};
Result<Value> get_slice(Sandbox& sandbox, const Value& value, const SliceBounds& bounds);
// The attribute alone, as getattr() finds it; nothing when there is none.
Result<std::optional<Value>> find_attribute(Sandbox& sandbox, const Value& value,
                                            std::string_view name);

// A half-open range of positions, clipped to a length as Python's slices are.
struct Span {
  std::int64_t start = 0;
  std::int64_t stop = 0;
};
Result<Span> clip_span(const Value& start, const Value& stop, std::int64_t length);

}  // namespace millrace::jinja
