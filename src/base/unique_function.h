// An owned callable that need not be copyable: what is handed to another thread to run there.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace millrace {

template <class Signature>
class UniqueFunction;

// Empty until something is assigned. One allocation; std::move_only_function is C++23.
template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction> &&
           std::is_invocable_r_v<R, F&, Args...>)
      UniqueFunction(F&& callable)  // NOLINT: implicit, so that a lambda can be passed
      : callable_(std::make_unique<Holder<std::decay_t<F>>>(std::forward<F>(callable))) {}

  explicit operator bool() const { return callable_ != nullptr; }
  R operator()(Args... args) {
    CHECK(callable_ != nullptr);
    return callable_->call(std::forward<Args>(args)...);
  }

 private:
  struct Callable {
    virtual ~Callable() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Holder final : Callable {
    template <class G>
    explicit Holder(G&& callable) : function(std::forward<G>(callable)) {}
    R call(Args... args) override { return function(std::forward<Args>(args)...); }
    F function;
  };

  std::unique_ptr<Callable> callable_;
};

}  // namespace millrace
