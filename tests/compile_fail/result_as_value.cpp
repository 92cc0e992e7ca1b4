// A Result is no value until it was asked whether it has one.
// expect: convert|conversion
#include <cstddef>

#include "base/result.h"

millrace::Result<std::size_t> num_tokens();

millrace::Result<std::size_t> twice() {
#ifdef MUST_NOT_COMPILE
  const std::size_t tokens = num_tokens();
#else
  const std::size_t tokens = TRY(num_tokens());
#endif
  return 2 * tokens;
}
