// Memory of a device that is not the CPU, behind a plain interface: nothing here knows which
// device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/view.h"

namespace millrace {

// Implemented by kernels/cuda and by doubles of tests. One thread at a time. Taken once, when
// something is made: a step allocates nothing.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  // What views of this memory carry.
  virtual Device device() const = 0;
  // Zeros, aligned to 256; kResourceExhausted naming both sizes when the device has no room.
  virtual Result<std::byte*> allocate(std::uint64_t num_bytes) = 0;
  virtual void release(std::byte* data, std::uint64_t num_bytes) = 0;
  // Return when all bytes are there. Through pinned buffers, so that `from` may lie in a mapped
  // file.
  virtual Status upload(std::span<const std::byte> from, std::byte* to) = 0;
  virtual Status download(const std::byte* from, std::span<std::byte> to) = 0;
};

}  // namespace millrace
