// Owned bytes on one device, aligned for every instruction set that we use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/device_memory.h"
#include "tensor/view.h"

namespace millrace {

// Zeroed memory straight from the operating system: page-aligned, in huge pages where the system
// grants them, resident only once touched, given back when the Buffer dies. For pools that live as
// long as the process part that owns them, not for small things.
class Buffer {
 public:
  Buffer() = default;
  // kResourceExhausted when the system refuses.
  static Result<Buffer> allocate(std::uint64_t num_bytes);
  // On that device, which outlives the buffer. Its bytes are for ops, not for the CPU to look at.
  static Result<Buffer> allocate(std::uint64_t num_bytes, DeviceMemory& memory);

  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  std::span<std::byte> bytes() & { return {data_, num_bytes_}; }
  std::span<const std::byte> bytes() const& { return {data_, num_bytes_}; }
  std::span<const std::byte> bytes() const&& = delete;  // They would be gone at the semicolon.
  Device device() const { return memory_ == nullptr ? Device::kCpu : memory_->device(); }

 private:
  std::byte* data_ = nullptr;
  std::size_t num_bytes_ = 0;
  DeviceMemory* memory_ = nullptr;  // null: the operating system's
};

}  // namespace millrace
