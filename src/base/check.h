// Assertions for our own bugs: CHECK is always compiled in, DCHECK only where NDEBUG is absent.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace millrace {

// Prints one line and aborts. Never reachable from user input: if a fuzzer gets here, that is the
// bug.
[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
  std::fflush(stderr);
  std::abort();
}

}  // namespace millrace

#define CHECK(expression)                                        \
  do {                                                           \
    if (!(expression)) [[unlikely]]                              \
      ::millrace::check_failed(#expression, __FILE__, __LINE__); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(expression) \
  do {                     \
  } while (false && (expression))
#else
#define DCHECK(expression) CHECK(expression)
#endif
