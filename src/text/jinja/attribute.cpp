// What Python's getattr and subscripts find, less what the immutable sandbox of jinja2 hides.
#include "text/jinja/attribute.h"

#include <algorithm>
#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/compare.h"
#include "text/jinja/method.h"
#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

template <std::size_t N>
bool is_among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Methods that change a list or a dict.
bool is_mutator(const Value& value, std::string_view name) {
  constexpr std::array<std::string_view, 8> kOfList = {"append", "clear",  "pop",  "reverse",
                                                       "insert", "remove", "sort", "extend"};
  constexpr std::array<std::string_view, 5> kOfDict = {"clear", "pop", "popitem", "setdefault",
                                                       "update"};
  if (value.is(Kind::kList)) return is_among(kOfList, name);
  return value.is(Kind::kDict) && is_among(kOfDict, name);
}

// What every Python object has; hidden, and never looked up as an item instead.
bool is_internal(std::string_view name) {
  constexpr std::array<std::string_view, 26> kInternal = {
      "__class__",   "__delattr__", "__dir__",          "__doc__",          "__eq__",
      "__format__",  "__ge__",      "__getattribute__", "__getstate__",     "__gt__",
      "__hash__",    "__init__",    "__le__",           "__lt__",           "__init_subclass__",
      "__ne__",      "__new__",     "__reduce__",       "__reduce_ex__",    "__repr__",
      "__setattr__", "__sizeof__",  "__str__",          "__subclasshook__", "__dict__",
      "__module__"};
  return name.starts_with("__") && is_among(kInternal, name);
}

// Attributes that Python has and templates do not use; refused rather than taken for missing ones.
bool is_unsupported(const Value& value, std::string_view name) {
  constexpr std::array<std::string_view, 12> kOfNumber = {
      "bit_length", "bit_count", "conjugate", "to_bytes", "from_bytes", "as_integer_ratio",
      "real",       "imag",      "numerator", "hex",      "is_integer", "denominator"};
  constexpr std::array<std::string_view, 6> kOfString = {"encode",    "translate", "maketrans",
                                                         "striptags", "unescape",  "escape"};
  if (value.is_number()) return is_among(kOfNumber, name);
  return value.is_string() && is_among(kOfString, name);
}

Result<Value> unsafe(Sandbox& sandbox, const Value& value, std::string_view name) {
  return sandbox.undefined("access to attribute '" + std::string(name) + "' of '" +
                           std::string(type_name(value)) + "' object is unsafe.");
}

Result<std::optional<Value>> found(Result<Value> value) {
  return std::optional<Value>(TRY(std::move(value)));
}

Result<std::optional<Value>> range_attribute(const Range& range, std::string_view name) {
  if (name == "start") return std::optional(Value::integer(range.start));
  if (name == "stop") return std::optional(Value::integer(range.stop));
  if (name == "step") return std::optional(Value::integer(range.step));
  return std::optional<Value>();
}

Result<Value> character_at(Sandbox& sandbox, const Value& value, std::int64_t index) {
  const String& string = value.string();
  const auto position = static_cast<std::size_t>(index);
  if (string.is_ascii()) return sandbox.string_like(value, std::string(1, string.text[position]));
  TRY(sandbox.spend_bytes(4 * position));
  const std::string_view text = string.text;
  const std::size_t start = code_point_offset(text, position);
  const std::size_t num_bytes = code_point_offset(text.substr(start), 1);
  return sandbox.string_like(value, std::string(text.substr(start, num_bytes)));
}

Result<Value> element_at(Sandbox& sandbox, const Value& value, std::int64_t index) {
  if (value.is_string()) return character_at(sandbox, value, index);
  if (value.is(Kind::kRange)) return Value::integer(value.range().item(index));
  return value.sequence().items[static_cast<std::size_t>(index)];
}

bool has_positions(const Value& value) {
  return value.is_string() || value.is(Kind::kList) || value.is(Kind::kTuple) ||
         value.is(Kind::kRange);
}

// value[key] alone; nothing where Python raises a TypeError or a LookupError.
Result<std::optional<Value>> find_item(Sandbox& sandbox, const Value& value, const Value& key) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kDict)) {
    if (!check_hashable(key).ok()) return std::optional<Value>();
    TRY(sandbox.spend_key(key));
    const Value* item = value.dict().find(key);
    return item == nullptr ? std::optional<Value>() : std::optional<Value>(*item);
  }
  if (!has_positions(value) || !key.is_integral()) return std::optional<Value>();
  const std::int64_t num_items = TRY(length(value));
  const std::int64_t index = key.as_int() < 0 ? key.as_int() + num_items : key.as_int();
  if (index < 0 || index >= num_items) return std::optional<Value>();
  return found(element_at(sandbox, value, index));
}

// The attribute as a template may see it.
Result<std::optional<Value>> find_allowed(Sandbox& sandbox, const Value& value,
                                          std::string_view name) {
  if (value.is_undefined()) return undefined_error(value);
  if (is_internal(name) || is_mutator(value, name)) return found(unsafe(sandbox, value, name));
  if (is_unsupported(value, name)) {
    return unsupported_error("attribute '" + std::string(name) + "' of '" +
                             std::string(type_name(value)) + "' object");
  }
  return find_attribute(sandbox, value, name);
}

struct ClippedSlice {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
  std::int64_t num_items = 0;
};

std::int64_t clip(std::int64_t index, std::int64_t length, std::int64_t low, std::int64_t high) {
  if (index < 0) index = index < -length ? low : index + length;
  return std::clamp(index, low, high);
}

Result<std::int64_t> slice_index(const Value& bound, std::int64_t otherwise) {
  if (bound.is_missing() || bound.is_none()) return otherwise;
  if (bound.is_integral()) return bound.as_int();
  if (bound.is_undefined()) {
    return template_error("slice indices must be integers or None, not an undefined value");
  }
  return template_error("slice indices must be integers or None");
}

Result<ClippedSlice> clip_slice(const SliceBounds& bounds, std::int64_t length) {
  ClippedSlice slice;
  slice.step = TRY(slice_index(bounds.step, 1));
  if (slice.step == 0) return template_error("slice step cannot be zero");
  const bool forward = slice.step > 0;
  const std::int64_t low = forward ? 0 : -1;
  const std::int64_t high = forward ? length : length - 1;
  const bool has_start = !bounds.start.is_missing() && !bounds.start.is_none();
  const bool has_stop = !bounds.stop.is_missing() && !bounds.stop.is_none();
  const std::int64_t start = TRY(slice_index(bounds.start, 0));
  const std::int64_t stop = TRY(slice_index(bounds.stop, 0));
  slice.start = has_start ? clip(start, length, low, high) : (forward ? low : high);
  slice.stop = has_stop ? clip(stop, length, low, high) : (forward ? high : low);
  const std::int64_t distance = forward ? slice.stop - slice.start : slice.start - slice.stop;
  if (distance <= 0) return slice;
  // A step longer than the distance takes one item; this way nothing overflows.
  const std::uint64_t stride =
      forward ? static_cast<std::uint64_t>(slice.step) : 0 - static_cast<std::uint64_t>(slice.step);
  slice.num_items =
      1 + static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / stride);
  if (slice.num_items == 1) slice.step = forward ? 1 : -1;
  return slice;
}

Result<Value> slice_text(Sandbox& sandbox, const Value& value, const ClippedSlice& slice) {
  const std::string_view text = value.text();
  TRY(sandbox.spend_bytes(value.string().is_ascii() ? 0 : text.size()));
  if (slice.num_items == 0) return sandbox.string_like(value, "");
  const auto first = static_cast<std::size_t>(slice.start);
  const auto num_items = static_cast<std::size_t>(slice.num_items);
  if (slice.step == 1) {
    if (value.string().is_ascii()) {
      return sandbox.string_like(value, std::string(text.substr(first, num_items)));
    }
    const std::size_t start = code_point_offset(text, first);
    const std::size_t num_bytes = code_point_offset(text.substr(start), num_items);
    return sandbox.string_like(value, std::string(text.substr(start, num_bytes)));
  }
  TRY(sandbox.spend_items(text.size()));
  TRY(sandbox.reserve((text.size() + 1) * sizeof(std::size_t)));
  std::vector<std::size_t> offsets;
  for (std::size_t at = 0; at < text.size(); at += code_point_offset(text.substr(at), 1)) {
    offsets.push_back(at);
  }
  offsets.push_back(text.size());
  std::string out;
  std::int64_t index = slice.start;
  for (std::size_t i = 0; i < num_items; ++i, index += slice.step) {
    const auto at = static_cast<std::size_t>(index);
    out += text.substr(offsets[at], offsets[at + 1] - offsets[at]);
  }
  return sandbox.string_like(value, std::move(out));
}

// As Python has it: the ends of the slice are items of the range, or where one more would be.
Result<Value> slice_range(Sandbox& sandbox, const Range& range, const ClippedSlice& slice) {
  std::int64_t stop = 0;
  std::int64_t step = 0;
  const bool overflows = __builtin_mul_overflow(range.step, slice.step, &step) ||
                         __builtin_mul_overflow(range.step, slice.stop, &stop) ||
                         __builtin_add_overflow(range.start, stop, &stop);
  if (overflows) return template_error("a slice of a range does not fit into 64 bits");
  return sandbox.range(range.start + slice.start * range.step, stop, step);
}

}  // namespace

Result<std::optional<Value>> find_attribute(Sandbox& sandbox, const Value& value,
                                            std::string_view name) {
  if (const Method* method = find_method(value, name)) {
    return found(bind_method(sandbox, value, *method));
  }
  switch (value.kind()) {
    case Kind::kObject:
      return value.opaque().attribute(sandbox, name);
    case Kind::kNamespace: {
      TRY(sandbox.spend_items(value.name_space().attributes.size()));
      const Value* attribute = value.name_space().find(name);
      return attribute == nullptr ? std::optional<Value>() : std::optional<Value>(*attribute);
    }
    case Kind::kRange:
      return range_attribute(value.range(), name);
    case Kind::kTuple: {
      const Sequence& tuple = value.sequence();
      if (tuple.is_group && name == "grouper") return std::optional<Value>(tuple.items[0]);
      if (tuple.is_group && name == "list") return std::optional<Value>(tuple.items[1]);
      return std::optional<Value>();
    }
    default:
      return std::optional<Value>();
  }
}

Result<Value> get_attribute(Sandbox& sandbox, const Value& value, const Value& name) {
  if (std::optional<Value> attribute = TRY(find_allowed(sandbox, value, name.text()))) {
    return std::move(*attribute);
  }
  if (std::optional<Value> item = TRY(find_item(sandbox, value, name))) return std::move(*item);
  return sandbox.undefined_attribute(value, name);
}

Result<Value> get_item(Sandbox& sandbox, const Value& value, const Value& key) {
  if (std::optional<Value> item = TRY(find_item(sandbox, value, key))) return std::move(*item);
  if (key.is_string()) {
    if (std::optional<Value> attribute = TRY(find_allowed(sandbox, value, key.text()))) {
      return std::move(*attribute);
    }
  }
  return sandbox.undefined_attribute(value, key);
}

Result<Value> get_slice(Sandbox& sandbox, const Value& value, const SliceBounds& bounds) {
  if (value.is_undefined()) return undefined_error(value);
  if (!has_positions(value)) {
    return template_error("'" + std::string(type_name(value)) + "' object cannot be sliced");
  }
  const ClippedSlice slice = TRY(clip_slice(bounds, TRY(length(value))));
  if (value.is_string()) return slice_text(sandbox, value, slice);
  if (value.is(Kind::kRange)) return slice_range(sandbox, value.range(), slice);
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(slice.num_items));
  std::int64_t index = slice.start;
  for (std::int64_t i = 0; i < slice.num_items; ++i, index += slice.step) {
    items.push_back(value.sequence().items[static_cast<std::size_t>(index)]);
  }
  return value.is(Kind::kList) ? sandbox.list(std::move(items)) : sandbox.tuple(std::move(items));
}

Result<Span> clip_span(const Value& start, const Value& stop, std::int64_t length) {
  Span span;
  span.start = TRY(slice_index(start, 0));
  span.stop = TRY(slice_index(stop, length));
  // The end is clipped, the start is not: "".find("", 1) finds nothing.
  if (span.stop < 0) span.stop += length;
  if (span.start < 0) span.start += length;
  span.stop = std::clamp<std::int64_t>(span.stop, 0, length);
  span.start = std::max<std::int64_t>(span.start, 0);
  return span;
}

}  // namespace millrace::jinja
