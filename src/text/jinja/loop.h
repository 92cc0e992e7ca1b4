// The variable "loop" inside a loop.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "text/jinja/iterate.h"
#include "text/jinja/sandbox.h"

namespace millrace::jinja {

class Loop;
// Shared by the loop that runs and by values that refer to it.
using LoopPtr = std::shared_ptr<Loop>;

// Walks over the items, one ahead when asked about the next. Source: jinja2 3.1, LoopContext.
class Loop final : public Opaque {
 public:
  // How a recursive loop runs its body over other items.
  using Recurse = std::function<Result<Value>(const Value& items, std::int64_t depth0)>;

  // `size` is what len() says of the items; without it they are counted when that is needed.
  Loop(IteratorPtr items, std::optional<std::int64_t> size, std::int64_t depth0, Recurse recurse)
      : items_(std::move(items)), size_(size), depth0_(depth0), recurse_(std::move(recurse)) {}

  // The next item, or nothing at the end.
  Result<std::optional<Value>> advance(Sandbox& sandbox);
  // The reference that changed() keeps alive could lead back here.
  void remember_self(const LoopPtr& self) { self_ = self; }

  std::string_view type_name() const override { return "LoopContext"; }
  Result<std::string> repr(Sandbox& sandbox) override;
  Result<std::optional<Value>> attribute(Sandbox& sandbox, std::string_view name) override;
  bool is_callable() const override { return true; }
  Result<Value> call(Sandbox& sandbox, Arguments arguments) override;
  void forget() override;

  Result<Value> cycle(const Arguments& arguments) const;
  Result<Value> changed(Sandbox& sandbox, const Arguments& arguments);

 private:
  Result<std::optional<Value>> peek(Sandbox& sandbox);
  Result<std::int64_t> length(Sandbox& sandbox);
  Result<std::optional<Value>> position(Sandbox& sandbox, std::string_view name);

  IteratorPtr items_;
  std::optional<std::int64_t> size_;
  std::int64_t depth0_;
  Recurse recurse_;
  std::weak_ptr<Loop> self_;
  std::int64_t index0_ = -1;
  Value before_;
  Value current_;
  Value after_;  // Missing unless it was looked at.
  std::optional<Value> last_changed_;
};

}  // namespace millrace::jinja
