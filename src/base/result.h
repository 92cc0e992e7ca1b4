// Expected failures as values: Result<T> holds a T or an Error that says what went wrong and where.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace millrace {

// What the caller can do about it, not where it happened. serve/ maps each code to one HTTP status.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,    // The request is wrong and will stay wrong.   400
  kUnauthenticated,    // No key, or a wrong one.                      401
  kPermissionDenied,   // The key may not do this.                     403
  kNotFound,           // No such model, file, adapter.                404
  kTooLarge,           // Prompt, text or count over a stated limit.   400
  kResourceExhausted,  // Queue, KV blocks or memory full; retry.      429
  kDeadlineExceeded,   // The request's own time was up.               408
  kCancelled,          // The client went away.                        499
  kUnsupported,        // Well-formed, but not implemented here.       400
  kCorruptData,        // A file or a peer broke its format.           500
  kUnavailable,        // Device, rank or filesystem failed under us.  503
};

// Message: one sentence, lower-case start, naming the offending value and the limit.
// file and line are where the Error{…} was written (__builtin_FILE works in g++, clang 14 and nvcc,
// where std::source_location does not).
struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
  const char* file = __builtin_FILE();
  int line = __builtin_LINE();
};

struct Ok {};

// A T or an Error. The whole surface is ok(), value(), error(); TRY and MUST unwrap it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }

  const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  const Error& error() const& {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<Ok>;

// Returns the value by move or aborts naming the error; used by MUST.
template <class T>
T must_have(Result<T> result, const char* expression, const char* file, int line) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s:%d: MUST: %s\n", file, line, result.error().message.c_str());
    check_failed(expression, file, line);
  }
  return std::move(result).value();
}

// Puts what was being done in front of an error's message, keeping its code and place.
inline Error with_context(Error error, const std::string& context) {
  error.message = context + ": " + error.message;
  return error;
}

}  // namespace millrace

#define MILLRACE_CONCAT_INNER(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_INNER(a, b)
#define MILLRACE_TRY(name, expression)                \
  __extension__({                                     \
    auto name = (expression);                         \
    if (!name.ok()) return ::std::move(name).error(); \
    ::std::move(name).value();                        \
  })

// The value of a Result, or return its error from the calling function. On its own in a statement
// or an initialiser: leaving an expression half-way does not destroy the temporaries that it made
// before, so f(std::string(…), TRY(…)) would leak the string.
#define TRY(expression) MILLRACE_TRY(MILLRACE_CONCAT(try_result_, __COUNTER__), expression)

// Cannot fail here; the comment that follows says why. Aborts if it does.
#define MUST(expression) ::millrace::must_have((expression), #expression, __FILE__, __LINE__)
