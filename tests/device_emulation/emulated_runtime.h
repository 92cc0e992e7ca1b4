// A device that is the host's memory and the emulator's fibers.
#pragma once

#include <cstdlib>
#include <cstring>

#include "kernels/cuda/runtime.h"

namespace millrace::emulated {

class EmulatedMemory final : public DeviceMemory {
 public:
  Device device() const override { return Device::kCuda; }
  Result<std::byte*> allocate(std::uint64_t num_bytes) override {
    constexpr std::size_t kAlignment = 256;
    // Exactly so many bytes in front of the guard that an address sanitizer keeps.
    void* data = nullptr;
    if (::posix_memalign(&data, kAlignment, num_bytes) != 0) {
      return Error{ErrorCode::kResourceExhausted, "the emulated device is full"};
    }
    std::memset(data, 0, num_bytes);
    return static_cast<std::byte*>(data);
  }
  void release(std::byte* data, std::uint64_t) override { std::free(data); }
  Status upload(std::span<const std::byte> from, std::byte* to) override {
    std::memcpy(to, from.data(), from.size());
    return Ok{};
  }
  Status download(const std::byte* from, std::span<std::byte> to) override {
    std::memcpy(to.data(), from, to.size());
    return Ok{};
  }
};

class EmulatedRuntime final : public cuda::Runtime {
 public:
  std::string name() const override { return "emulated"; }
  unsigned num_multiprocessors() const override { return 8; }
  DeviceMemory& memory() override { return memory_; }
  void* stream() override { return nullptr; }
  cuda::MatmulLibrary* library() override { return nullptr; }
  void copy_to_device(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    if (num_bytes > 0) std::memcpy(to, from, num_bytes);
  }
  void copy_to_host(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    if (num_bytes > 0) std::memcpy(to, from, num_bytes);
  }
  void copy_on_device(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    if (num_bytes > 0) std::memcpy(to, from, num_bytes);
  }
  Status synchronize() override { return Ok{}; }
  Result<std::byte*> allocate_pinned(std::size_t num_bytes) override {
    return memory_.allocate(num_bytes);
  }
  void release_pinned(std::byte* data) override { memory_.release(data, 0); }
  Status begin_capture() override {
    return Error{ErrorCode::kUnsupported, "the emulated device records nothing"};
  }
  Result<std::size_t> end_capture() override {
    return Error{ErrorCode::kUnsupported, "the emulated device records nothing"};
  }
  void replay(std::size_t) override {}

 private:
  EmulatedMemory memory_;
};

}  // namespace millrace::emulated
