// The device's memory: plain allocations, and copies through two pinned buffers.
#pragma once

#include <array>

#include "kernels/cuda/device/resources.h"
#include "tensor/device_memory.h"

namespace millrace::cuda {

class CudaMemory final : public DeviceMemory {
 public:
  static Result<CudaMemory> create();

  Device device() const override { return Device::kCuda; }
  Result<std::byte*> allocate(std::uint64_t num_bytes) override;
  void release(std::byte* data, std::uint64_t num_bytes) override;
  // While one buffer is on its way the other is filled, from wherever `from` lies: a page of a
  // mapped file is read by the copy that fills it.
  Status upload(std::span<const std::byte> from, std::byte* to) override;
  Status download(const std::byte* from, std::span<std::byte> to) override;

 private:
  // Large enough that the bus is busy, small enough to be there at every start.
  static constexpr std::size_t kBufferBytes = 16u << 20;
  struct Buffer {
    Pinned data;
    Event sent;
  };

  Stream stream_;
  std::array<Buffer, 2> buffers_;
};

}  // namespace millrace::cuda
