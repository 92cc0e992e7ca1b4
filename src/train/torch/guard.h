// The border with libtorch: what it throws becomes an Error.
#pragma once

#include <new>
#include <string>
#include <utility>

#include "base/result.h"
#include "train/torch/aten.h"

namespace millrace {

// Its messages carry a backtrace after the first line.
inline Error torch_error(const std::string& what, const std::string& message) {
  const bool no_memory = message.find("memory") != std::string::npos;
  return Error{no_memory ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
               what + ": " + message.substr(0, message.find('\n'))};
}

// Calls `work`, which returns a Result or a Status.
template <class Work>
auto guard_torch(const std::string& what, Work&& work) -> decltype(work()) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::Error& error) {
    return torch_error(what, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return torch_error(what, "out of memory");
  }
}

}  // namespace millrace
