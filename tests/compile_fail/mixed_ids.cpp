// An index of one kind is not an index of another, nor a plain number.
// expect: conver(t|sion)
#include "base/id.h"

void release(millrace::BlockId block);

void finish(millrace::SequenceId sequence, millrace::BlockId block) {
#ifdef MUST_NOT_COMPILE
  release(sequence);
  (void)block;
#else
  release(block);
  (void)sequence;
#endif
}
