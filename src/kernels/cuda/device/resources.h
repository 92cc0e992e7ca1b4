// CUDA's streams, events, pinned memory and graphs as things that have an owner.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "base/result.h"
#include "kernels/cuda/device/status.h"

namespace millrace::cuda {

// Owns a handle of CUDA's; Destroy is its way to give it back.
template <class Handle, auto kDestroy>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  // A device that is gone cannot take anything back, and need not.
  ~Owned() {
    if (handle_ != nullptr) static_cast<void>(kDestroy(handle_));
  }

  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using Pinned = Owned<void*, cudaFreeHost>;

inline Result<Stream> make_stream() {
  cudaStream_t stream = nullptr;
  TRY(cuda_status(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                  "cudaStreamCreateWithFlags"));
  return Stream(stream);
}
// For order, not for time.
inline Result<Event> make_event() {
  cudaEvent_t event = nullptr;
  TRY(cuda_status(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
                  "cudaEventCreateWithFlags"));
  return Event(event);
}
inline Result<Pinned> make_pinned(std::size_t num_bytes) {
  void* data = nullptr;
  TRY(cuda_status(cudaMallocHost(&data, num_bytes), "cudaMallocHost"));
  return Pinned(data);
}

}  // namespace millrace::cuda
