// A failure cannot be forgotten: a Result that nobody looks at does not compile.
// expect: nodiscard
#include "base/result.h"

millrace::Status write_header();

void write_file() {
#ifdef MUST_NOT_COMPILE
  write_header();
#else
  if (!write_header().ok()) return;
#endif
}
