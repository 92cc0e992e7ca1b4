// Ids of two kinds cannot be compared either.
// expect: operator==|invalid operands
#include "base/id.h"

bool same(millrace::SequenceId sequence, millrace::BlockId block) {
#ifdef MUST_NOT_COMPILE
  return sequence == block;
#else
  return sequence.index == block.index;
#endif
}
