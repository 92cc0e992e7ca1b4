// What CudaOps needs of a device, without CUDA's headers: its memory, its stream, its library of
// matrix products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "kernels/cuda/launchers.h"
#include "tensor/device_memory.h"

namespace millrace::cuda {

// cuBLASLt, behind what we use of it.
class MatmulLibrary {
 public:
  virtual ~MatmulLibrary() = default;
  // Whether products with such weights are its own: f32, and bf16 with x in bf16.
  virtual bool can_multiply(WeightFormat format) const = 0;
  // y[m, n] = sum_p x[m, p] W[n, p] (+ bias[n]) (+ y[m, n]); x f32 for f32 weights, `twin` for
  // bf16. The algorithm for a shape is chosen when the shape is first met and kept.
  virtual void multiply(const ProductArgs& args, const std::uint16_t* twin) = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string name() const = 0;  // "NVIDIA H200"
  virtual unsigned num_multiprocessors() const = 0;
  virtual DeviceMemory& memory() = 0;
  virtual void* stream() = 0;
  virtual MatmulLibrary* library() = 0;  // null: our kernels only
  // Copies on the stream; `from` is pinned, or the copy is over when it returns.
  virtual void copy_to_device(const std::byte* from, std::size_t num_bytes, std::byte* to) = 0;
  virtual void copy_to_host(const std::byte* from, std::size_t num_bytes, std::byte* to) = 0;
  virtual void copy_on_device(const std::byte* from, std::size_t num_bytes, std::byte* to) = 0;
  // Waits for the stream; kUnavailable when the device has failed.
  virtual Status synchronize() = 0;
  // Host memory that the device reads without a copy in between; null when there is none left.
  virtual Result<std::byte*> allocate_pinned(std::size_t num_bytes) = 0;
  virtual void release_pinned(std::byte* data) = 0;

  // A stretch of the stream's work, recorded once and run again. begin_capture to end_capture runs
  // nothing; replay puts it on the stream.
  virtual Status begin_capture() = 0;
  virtual Result<std::size_t> end_capture() = 0;  // its number
  virtual void replay(std::size_t number) = 0;
};

}  // namespace millrace::cuda
