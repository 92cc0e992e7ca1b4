// Positions, neighbours, cycling, and noticing changes.
#include "text/jinja/loop.h"

#include "text/jinja/compare.h"

namespace millrace::jinja {
namespace {

// loop.cycle or loop.changed, with the loop that it belongs to.
class LoopFunction final : public Opaque {
 public:
  enum class Which : std::uint8_t { kCycle, kChanged };
  LoopFunction(LoopPtr loop, Which which) : loop_(std::move(loop)), which_(which) {}

  std::string_view type_name() const override { return "method"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox& sandbox, Arguments arguments) override {
    if (!arguments.named.empty()) return template_error("loop functions take no named arguments");
    return which_ == Which::kCycle ? loop_->cycle(arguments) : loop_->changed(sandbox, arguments);
  }

 private:
  LoopPtr loop_;
  Which which_;
};

std::optional<Value> number(std::int64_t value) {
  return Value::integer(value);
}

}  // namespace

Result<std::optional<Value>> Loop::advance(Sandbox& sandbox) {
  std::optional<Value> item;
  if (!after_.is_missing()) {
    item = std::exchange(after_, Value());
  } else {
    item = TRY(items_->next(sandbox));
  }
  if (!item) return item;
  ++index0_;
  before_ = std::exchange(current_, *item);
  return item;
}

Result<std::optional<Value>> Loop::peek(Sandbox& sandbox) {
  if (after_.is_missing()) {
    const std::optional<Value> item = TRY(items_->next(sandbox));
    if (!item) return item;
    after_ = *item;
  }
  return std::optional<Value>(after_);
}

Result<std::int64_t> Loop::length(Sandbox& sandbox) {
  if (size_) return *size_;
  std::vector<Value> rest;
  while (std::optional<Value> item = TRY(items_->next(sandbox))) {
    if (rest.size() == rest.capacity()) TRY(sandbox.reserve(2 * rest.size() * sizeof(Value)));
    rest.push_back(std::move(*item));
  }
  const std::int64_t num_peeked = after_.is_missing() ? 0 : 1;
  size_ = static_cast<std::int64_t>(rest.size()) + index0_ + 1 + num_peeked;
  items_ = TRY(iterate(sandbox, TRY(sandbox.list(std::move(rest)))));
  return *size_;
}

Result<std::optional<Value>> Loop::position(Sandbox& sandbox, std::string_view name) {
  if (name == "index") return number(index0_ + 1);
  if (name == "index0") return number(index0_);
  if (name == "first") return std::optional<Value>(Value::boolean(index0_ == 0));
  if (name == "depth") return number(depth0_ + 1);
  if (name == "depth0") return number(depth0_);
  if (name == "last") {
    return std::optional<Value>(Value::boolean(!TRY(peek(sandbox)).has_value()));
  }
  if (name == "length") return number(TRY(length(sandbox)));
  if (name == "revindex") return number(TRY(length(sandbox)) - index0_);
  if (name == "revindex0") return number(TRY(length(sandbox)) - index0_ - 1);
  return std::optional<Value>();
}

Result<std::optional<Value>> Loop::attribute(Sandbox& sandbox, std::string_view name) {
  if (name == "previtem") {
    if (index0_ != 0) return std::optional<Value>(before_);
    return std::optional<Value>(TRY(sandbox.undefined("there is no previous item")));
  }
  if (name == "nextitem") {
    if (std::optional<Value> next = TRY(peek(sandbox))) return next;
    return std::optional<Value>(TRY(sandbox.undefined("there is no next item")));
  }
  if (name == "cycle" || name == "changed") {
    using Which = LoopFunction::Which;
    auto function = std::make_shared<LoopFunction>(
        self_.lock(), name == "cycle" ? Which::kCycle : Which::kChanged);
    return std::optional<Value>(
        TRY(sandbox.adopt(Kind::kObject, std::move(function), sizeof(LoopFunction))));
  }
  return position(sandbox, name);
}

Result<std::string> Loop::repr(Sandbox& sandbox) {
  const std::int64_t num_items = TRY(length(sandbox));
  return "<LoopContext " + std::to_string(index0_ + 1) + "/" + std::to_string(num_items) + ">";
}

Result<Value> Loop::call(Sandbox&, Arguments arguments) {
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return template_error("loop() expects one argument");
  }
  if (!recurse_) {
    return template_error("The loop must have the 'recursive' marker to be called recursively.");
  }
  return recurse_(arguments.positional[0], depth0_ + 1);
}

Result<Value> Loop::cycle(const Arguments& arguments) const {
  if (arguments.positional.empty()) return template_error("no items for cycling given");
  const auto index = static_cast<std::size_t>(index0_) % arguments.positional.size();
  return arguments.positional[index];
}

Result<Value> Loop::changed(Sandbox& sandbox, const Arguments& arguments) {
  const Value now = TRY(sandbox.tuple(arguments.positional));
  if (last_changed_ && TRY(equal(sandbox, *last_changed_, now))) return Value::boolean(false);
  if (!last_changed_) sandbox.track(self_.lock());
  last_changed_ = now;
  return Value::boolean(true);
}

void Loop::forget() {
  last_changed_.reset();
  before_ = current_ = after_ = Value();
}

}  // namespace millrace::jinja
