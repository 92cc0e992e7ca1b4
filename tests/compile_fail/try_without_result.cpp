// TRY passes a failure on, so it works only where a failure can be returned.
// expect: Error
#include <cstddef>

#include "base/result.h"

millrace::Result<std::size_t> num_tokens();

#ifdef MUST_NOT_COMPILE
std::size_t count() {
#else
millrace::Result<std::size_t> count() {
#endif
  return TRY(num_tokens());
}
