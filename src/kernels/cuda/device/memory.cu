// Allocations that name what was asked for and what there is; copies in two turns.
#include <algorithm>
#include <cstring>

#include "kernels/cuda/device/memory.h"

namespace millrace::cuda {

Result<CudaMemory> CudaMemory::create() {
  CudaMemory memory;
  memory.stream_ = TRY(make_stream());
  for (Buffer& buffer : memory.buffers_) {
    buffer.data = TRY(make_pinned(kBufferBytes));
    buffer.sent = TRY(make_event());
  }
  return memory;
}

Result<std::byte*> CudaMemory::allocate(std::uint64_t num_bytes) {
  void* data = nullptr;
  const cudaError_t code = cudaMalloc(&data, num_bytes);
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // It is not sticky: the next call starts clean.
    std::size_t free = 0;
    std::size_t total = 0;
    TRY(cuda_status(cudaMemGetInfo(&free, &total), "cudaMemGetInfo"));
    return Error{ErrorCode::kResourceExhausted,
                 "the device has no room for " + std::to_string(num_bytes) + " bytes: " +
                     std::to_string(free) + " of " + std::to_string(total) + " are free"};
  }
  TRY(cuda_status(code, "cudaMalloc"));
  const Status cleared =
      cuda_status(cudaMemsetAsync(data, 0, num_bytes, stream_.get()), "cudaMemsetAsync");
  const Status waited = cuda_status(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  if (!cleared.ok() || !waited.ok()) {
    static_cast<void>(cudaFree(data));
    return cleared.ok() ? waited.error() : cleared.error();
  }
  return static_cast<std::byte*>(data);
}

void CudaMemory::release(std::byte* data, std::uint64_t) {
  static_cast<void>(cudaFree(data));
}

Status CudaMemory::upload(std::span<const std::byte> from, std::byte* to) {
  for (std::size_t at = 0, turn = 0; at < from.size(); at += kBufferBytes, ++turn) {
    const Buffer& buffer = buffers_[turn % buffers_.size()];
    const std::size_t count = std::min(kBufferBytes, from.size() - at);
    TRY(cuda_status(cudaEventSynchronize(buffer.sent.get()), "cudaEventSynchronize"));
    std::memcpy(buffer.data.get(), from.data() + at, count);
    TRY(cuda_status(
        cudaMemcpyAsync(to + at, buffer.data.get(), count, cudaMemcpyHostToDevice, stream_.get()),
        "cudaMemcpyAsync to the device"));
    TRY(cuda_status(cudaEventRecord(buffer.sent.get(), stream_.get()), "cudaEventRecord"));
  }
  return cuda_status(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
}

Status CudaMemory::download(const std::byte* from, std::span<std::byte> to) {
  for (std::size_t at = 0; at < to.size(); at += kBufferBytes) {
    void* buffer = buffers_.front().data.get();
    const std::size_t count = std::min(kBufferBytes, to.size() - at);
    TRY(cuda_status(
        cudaMemcpyAsync(buffer, from + at, count, cudaMemcpyDeviceToHost, stream_.get()),
        "cudaMemcpyAsync to the host"));
    TRY(cuda_status(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize"));
    std::memcpy(to.data() + at, buffer, count);
  }
  return Ok{};
}

}  // namespace millrace::cuda
