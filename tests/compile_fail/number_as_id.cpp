// A number becomes an id only by saying so.
// expect: conver(t|sion)
#include "base/id.h"

void release(millrace::BlockId block);

void finish() {
#ifdef MUST_NOT_COMPILE
  release(7u);
#else
  release(millrace::BlockId{7u});
#endif
}
