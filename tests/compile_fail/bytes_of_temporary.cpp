// A view of a temporary's bytes would point at nothing at the end of the line.
// expect: deleted
#include "tensor/buffer.h"

std::size_t count() {
#ifdef MUST_NOT_COMPILE
  const std::span<const std::byte> bytes = MUST(millrace::Buffer::allocate(64)).bytes();
#else
  millrace::Buffer buffer = MUST(millrace::Buffer::allocate(64));
  const std::span<const std::byte> bytes = buffer.bytes();
#endif
  return bytes.size();
}
