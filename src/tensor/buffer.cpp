// Buffer over anonymous mappings.
#include "tensor/buffer.h"

#include <sys/mman.h>

#include <string>
#include <utility>

namespace millrace {

Result<Buffer> Buffer::allocate(std::uint64_t num_bytes) {
  Buffer buffer;
  if (num_bytes == 0) return buffer;
  void* data =
      ::mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return Error{ErrorCode::kResourceExhausted,
                 "the system refused " + std::to_string(num_bytes) + " bytes of memory"};
  }
  // Fewer page faults at load and fewer TLB misses while weights stream; a refusal costs nothing.
  ::madvise(data, num_bytes, MADV_HUGEPAGE);
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.num_bytes_ = num_bytes;
  return buffer;
}

Result<Buffer> Buffer::allocate(std::uint64_t num_bytes, DeviceMemory& memory) {
  Buffer buffer;
  if (num_bytes == 0) return buffer;
  buffer.data_ = TRY(memory.allocate(num_bytes));
  buffer.num_bytes_ = num_bytes;
  buffer.memory_ = &memory;
  return buffer;
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      num_bytes_(std::exchange(other.num_bytes_, 0)),
      memory_(std::exchange(other.memory_, nullptr)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(num_bytes_, other.num_bytes_);
  std::swap(memory_, other.memory_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  if (memory_ != nullptr) {
    memory_->release(data_, num_bytes_);
  } else {
    ::munmap(data_, num_bytes_);
  }
}

}  // namespace millrace
