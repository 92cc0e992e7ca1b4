// Data beside the project that tests may use: absent on a user's machine, required where CI says
// so.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace millrace {

inline std::string shared_data(const std::string& name) {
  return std::string(MILLRACE_SHARED_DATA) + "/" + name;
}

}  // namespace millrace

// Skips the test where the data is absent; fails it where MILLRACE_REQUIRE_DATA says that it must
// be there.
#define MILLRACE_NEEDS_SHARED_DATA(name)                                                    \
  if (!std::filesystem::exists(::millrace::shared_data(name))) {                            \
    if (std::getenv("MILLRACE_REQUIRE_DATA") != nullptr) FAIL() << name << " is not there"; \
    GTEST_SKIP() << "needs ../shared/data/" << name << ", which is not there";              \
  }
