// One cursor for everything that has items, and iterators that compute theirs.
#include "text/jinja/iterate.h"

#include <algorithm>

#include "text/utf8.h"

namespace millrace::jinja {
namespace {

// Holds the value, so that it outlives the walk.
class Cursor final : public Iterator {
 public:
  explicit Cursor(Value value) : value_(std::move(value)) {}

  Result<std::optional<Value>> next(Sandbox& sandbox) override {
    TRY(sandbox.spend(1));
    switch (value_.kind()) {
      case Kind::kList:
      case Kind::kTuple:
        return at_most(value_.sequence().items.size(),
                       [&]() -> Result<Value> { return value_.sequence().items[position_]; });
      case Kind::kDict:
        return at_most(value_.dict().entries.size(),
                       [&]() -> Result<Value> { return value_.dict().entries[position_].first; });
      case Kind::kDictView:
        return at_most(value_.dict_view().of.dict().entries.size(),
                       [&] { return view_item(sandbox); });
      case Kind::kRange:
        return at_most(static_cast<std::size_t>(value_.range().num_items), [&]() -> Result<Value> {
          return Value::integer(value_.range().item(static_cast<std::int64_t>(position_)));
        });
      case Kind::kString:
        return next_character(sandbox);
      default:
        return std::optional<Value>();
    }
  }

 private:
  template <class Item>
  Result<std::optional<Value>> at_most(std::size_t num_items, Item item) {
    if (position_ >= num_items) return std::optional<Value>();
    std::optional<Value> value = TRY(item());
    ++position_;
    return value;
  }

  Result<Value> view_item(Sandbox& sandbox) const {
    const DictView& view = value_.dict_view();
    const auto& [key, value] = view.of.dict().entries[position_];
    if (view.view == DictViewKind::kKeys) return key;
    if (view.view == DictViewKind::kValues) return value;
    return sandbox.tuple({key, value});
  }

  Result<std::optional<Value>> next_character(Sandbox& sandbox) {
    const std::string_view rest = std::string_view(value_.text()).substr(position_);
    if (rest.empty()) return std::optional<Value>();
    const std::size_t num_bytes = decode_utf8(rest).num_bytes;
    position_ += num_bytes;
    return std::optional<Value>(TRY(sandbox.string(std::string(rest.substr(0, num_bytes)))));
  }

  Value value_;
  std::size_t position_ = 0;
};

class ListedItems final : public Iterator {
 public:
  ListedItems(std::vector<Value> items, std::string_view type)
      : items_(std::move(items)), type_(type) {}

  Result<std::optional<Value>> next(Sandbox& sandbox) override {
    TRY(sandbox.spend(1));
    if (position_ == items_.size()) return std::optional<Value>();
    return std::optional<Value>(items_[position_++]);
  }
  std::string_view type_name() const override { return type_; }

 private:
  std::vector<Value> items_;
  std::size_t position_ = 0;
  std::string_view type_;
};

class Generator final : public Iterator {
 public:
  explicit Generator(NextItem next) : next_(std::move(next)) {}

  Result<std::optional<Value>> next(Sandbox& sandbox) override {
    if (is_done_) return std::optional<Value>();
    TRY(sandbox.spend(1));
    TRY(sandbox.enter());
    const DepthGuard guard(sandbox);
    std::optional<Value> item = TRY(next_(sandbox));
    if (!item) is_done_ = true;
    return item;
  }

 private:
  NextItem next_;
  bool is_done_ = false;
};

}  // namespace

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kDictView:
    case Kind::kIterator:
      return true;
    default:
      return false;
  }
}

Result<IteratorPtr> iterate(Sandbox& sandbox, const Value& value) {
  if (!is_iterable(value)) {
    return template_error("'" + std::string(type_name(value)) + "' object is not iterable");
  }
  if (value.is(Kind::kIterator)) return std::static_pointer_cast<Iterator>(value.shared_object());
  auto cursor = std::make_shared<Cursor>(value);
  TRY(sandbox.adopt(Kind::kIterator, cursor, sizeof(Cursor)));
  return IteratorPtr(std::move(cursor));
}

Result<std::vector<Value>> collect(Sandbox& sandbox, const Value& value) {
  if (value.is(Kind::kList) || value.is(Kind::kTuple)) {
    TRY(sandbox.spend_items(value.sequence().items.size()));
    return value.sequence().items;
  }
  const IteratorPtr iterator = TRY(iterate(sandbox, value));
  std::vector<Value> items;
  while (std::optional<Value> item = TRY(iterator->next(sandbox))) {
    if (items.size() == items.capacity()) TRY(sandbox.reserve(2 * items.size() * sizeof(Value)));
    items.push_back(std::move(*item));
  }
  return items;
}

Result<std::optional<std::vector<Value>>> collect_reversed(Sandbox& sandbox, const Value& value) {
  using Items = std::optional<std::vector<Value>>;
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kIterator:
      return Items();
    default:
      break;
  }
  if (!is_iterable(value)) return Items();
  std::vector<Value> items = TRY(collect(sandbox, value));
  std::reverse(items.begin(), items.end());
  return Items(std::move(items));
}

Result<Value> iterator_over(Sandbox& sandbox, std::vector<Value> items, std::string_view type) {
  const std::uint64_t num_bytes = sizeof(ListedItems) + items.capacity() * sizeof(Value);
  return sandbox.adopt(Kind::kIterator, std::make_shared<ListedItems>(std::move(items), type),
                       num_bytes);
}

Result<Value> generator(Sandbox& sandbox, NextItem next) {
  constexpr std::uint64_t kCapturedBytes = 512;  // What the functions of the filters hold, at most.
  return sandbox.adopt(Kind::kIterator, std::make_shared<Generator>(std::move(next)),
                       sizeof(Generator) + kCapturedBytes);
}

}  // namespace millrace::jinja
