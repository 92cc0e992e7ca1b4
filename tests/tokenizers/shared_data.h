// Where the data beside the checkout lies, and what a test does without it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace millrace {

inline std::string shared_data(const std::string& path) {
  return std::string(MILLRACE_SHARED_DATA) + "/" + path;
}

inline bool has_shared_data() {
  return std::filesystem::exists(shared_data("INDEX.md"));
}
inline bool must_have_shared_data() {
  return std::getenv("MILLRACE_REQUIRE_DATA") != nullptr;
}

}  // namespace millrace

// Skips the test, or fails it where the data must be there.
#define MILLRACE_NEEDS_SHARED_DATA()                                                       \
  if (!::millrace::has_shared_data()) {                                                    \
    if (::millrace::must_have_shared_data()) FAIL() << "no data at " MILLRACE_SHARED_DATA; \
    GTEST_SKIP() << "no data at " MILLRACE_SHARED_DATA;                                    \
  }                                                                                        \
  static_assert(true)
