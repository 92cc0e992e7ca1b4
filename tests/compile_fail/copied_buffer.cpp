// Large memory has one owner and is never copied by accident.
// expect: deleted|implicitly-deleted
#include <utility>

#include "tensor/buffer.h"

millrace::Buffer keep(millrace::Buffer& buffer) {
#ifdef MUST_NOT_COMPILE
  return buffer;
#else
  return std::move(buffer);
#endif
}
