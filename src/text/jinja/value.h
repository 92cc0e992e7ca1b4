// The values of the template language: Python's types as far as templates can see them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"

namespace millrace::jinja {

class Sandbox;
class Value;

enum class Kind : std::uint8_t {
  kMissing,  // No value at all: a parameter not given, a variable not yet set. Never seen by users.
  kUndefined,  // jinja2's Undefined: prints as nothing, fails when used.
  kNone,
  kBool,
  kInt,  // 64 bits; what does not fit is an error.
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kDictView,
  kIterator,  // Gives its items once.
  kNamespace,
  kObject,  // Functions, macros, loops, cyclers: known by what they can do.
};

// Bytes that the values of one rendering hold now.
struct Meter {
  std::uint64_t live_bytes = 0;
};

// Whatever does not fit into a Value. Everything but iterators, namespaces and helpers with a state
// (loop, cycler, joiner) is immutable once made. Constants of a template have no meter.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (meter_ != nullptr) meter_->live_bytes -= num_bytes_;
  }

  // Drops references that could lead back here.
  virtual void forget() {}

  void attach(Meter* meter, std::uint64_t num_bytes) {
    meter_ = meter;
    num_bytes_ = num_bytes;
    meter_->live_bytes += num_bytes;
  }

 private:
  Meter* meter_ = nullptr;
  std::uint64_t num_bytes_ = 0;
};

// Shared by every value that refers to the object; none of them changes what others see, but for
// the states named above.
using ObjectPtr = std::shared_ptr<Object>;

struct String;
struct Sequence;
struct Dict;
struct Range;
struct DictView;
class Iterator;
struct Namespace;
class Opaque;
struct UndefinedReason;

// A scalar, or a shared reference to an Object. Cheap to copy.
class Value {
 public:
  Value() = default;
  static Value none() { return Value(Kind::kNone, nullptr); }
  static Value boolean(bool truth) {
    Value value(Kind::kBool, nullptr);
    value.integer_ = truth ? 1 : 0;
    return value;
  }
  static Value integer(std::int64_t number) {
    Value value(Kind::kInt, nullptr);
    value.integer_ = number;
    return value;
  }
  static Value number(double number) {
    Value value(Kind::kFloat, nullptr);
    value.float_ = number;
    return value;
  }
  Value(Kind kind, ObjectPtr object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  // Python's int, of which bool is a kind.
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  bool as_bool() const { return integer_ != 0; }
  std::int64_t as_int() const { return integer_; }
  double as_double() const {
    return kind_ == Kind::kFloat ? float_ : static_cast<double>(integer_);
  }

  const String& string() const;
  const std::string& text() const;
  const Sequence& sequence() const;
  const Dict& dict() const;
  const Range& range() const;
  const DictView& dict_view() const;
  Iterator& iterator() const;
  Namespace& name_space() const;
  Opaque& opaque() const;
  const UndefinedReason& undefined_reason() const;
  const Object* object() const { return object_.get(); }
  const ObjectPtr& shared_object() const { return object_; }

 private:
  template <class T>
  T& held(Kind kind) const {
    CHECK(kind_ == kind);
    return static_cast<T&>(*object_);
  }

  Kind kind_ = Kind::kMissing;
  union {
    std::int64_t integer_ = 0;
    double float_;
  };
  ObjectPtr object_;
};

// What is known of a value that is not there; the message is what using it fails with.
struct UndefinedReason final : Object {
  std::string message;
};

// Well-formed UTF-8. Positions and lengths that a template sees count code points.
struct String final : Object {
  std::string text;
  std::size_t num_code_points = 0;
  bool is_markup = false;  // Python's Markup: joining it with a plain string escapes that string.

  bool is_ascii() const { return num_code_points == text.size(); }
};

// A list or a tuple.
struct Sequence final : Object {
  std::vector<Value> items;
  std::uint32_t depth = 1;  // Lists in lists, this one included.
  bool is_group = false;  // A tuple of the groupby filter, which also has names for its two items.
};

// Not shared with anything until it is a value.
using SequencePtr = std::shared_ptr<Sequence>;

// In order of insertion. Keys are hashable values; 1, 1.0 and true are the same key.
struct Dict final : Object {
  std::vector<std::pair<Value, Value>> entries;
  std::vector<std::uint32_t> sorted;  // Entries by key; only when there are many.
  std::uint32_t depth = 1;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Range final : Object {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t num_items = 0;
  std::int64_t stop = 0;  // As given, for printing.

  std::int64_t item(std::int64_t index) const { return start + index * step; }
};

enum class DictViewKind : std::uint8_t { kKeys, kValues, kItems };

// What dict.keys(), .values() and .items() give.
struct DictView final : Object {
  Value of;
  DictViewKind view = DictViewKind::kKeys;
};

class Iterator : public Object {
 public:
  // The next item, or nothing at the end and ever after.
  virtual Result<std::optional<Value>> next(Sandbox& sandbox) = 0;
  virtual std::string_view type_name() const { return "generator"; }
};

// Shared by whoever still wants items: each item goes to one of them.
using IteratorPtr = std::shared_ptr<Iterator>;

struct Namespace final : Object {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
  void forget() override { attributes.clear(); }
};

// The arguments of a call, evaluated.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Something known only by its attributes and by being called.
class Opaque : public Object {
 public:
  virtual std::string_view type_name() const = 0;
  virtual Result<std::string> repr(Sandbox& sandbox);
  // Nothing when there is no such attribute.
  virtual Result<std::optional<Value>> attribute(Sandbox& sandbox, std::string_view name);
  virtual bool is_callable() const { return false; }
  virtual Result<Value> call(Sandbox& sandbox, Arguments arguments);
};

// An order over hashable values in which equal keys of a dict compare equal. Used for finding,
// never seen. NaN equals itself.
int compare_keys(const Value& a, const Value& b);
// Fails with Python's message for a list, dict or the like.
Status check_hashable(const Value& value);
// What Python calls the value's type.
std::string_view type_name(const Value& value);

inline const String& Value::string() const {
  return held<String>(Kind::kString);
}
inline const std::string& Value::text() const {
  return string().text;
}
inline const Sequence& Value::sequence() const {
  CHECK(kind_ == Kind::kList || kind_ == Kind::kTuple);
  return static_cast<const Sequence&>(*object_);
}
inline const Dict& Value::dict() const {
  return held<Dict>(Kind::kDict);
}
inline const Range& Value::range() const {
  return held<Range>(Kind::kRange);
}
inline const DictView& Value::dict_view() const {
  return held<DictView>(Kind::kDictView);
}
inline Iterator& Value::iterator() const {
  return held<Iterator>(Kind::kIterator);
}
inline Namespace& Value::name_space() const {
  return held<Namespace>(Kind::kNamespace);
}
inline Opaque& Value::opaque() const {
  return held<Opaque>(Kind::kObject);
}
inline const UndefinedReason& Value::undefined_reason() const {
  return held<UndefinedReason>(Kind::kUndefined);
}

// A failure of the template's own making: wrong types, undefined values, …
inline Error template_error(std::string message, const char* file = __builtin_FILE(),
                            int line = __builtin_LINE()) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), file, line};
}
inline Error unsupported_error(std::string message, const char* file = __builtin_FILE(),
                               int line = __builtin_LINE()) {
  return Error{ErrorCode::kUnsupported, std::move(message), file, line};
}

}  // namespace millrace::jinja
