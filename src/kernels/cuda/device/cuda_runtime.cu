// The Runtime of a real device.
#include <optional>
#include <vector>

#include "kernels/cuda/device/matmul_library.h"
#include "kernels/cuda/device/memory.h"
#include "kernels/cuda/open_device.h"

namespace millrace::cuda {
namespace {

class CudaRuntime final : public Runtime {
 public:
  static Result<std::unique_ptr<Runtime>> create() {
    int count = 0;
    TRY(cuda_status(cudaGetDeviceCount(&count), "cudaGetDeviceCount"));
    if (count == 0) return Error{ErrorCode::kUnavailable, "this machine has no CUDA device"};
    auto runtime = std::make_unique<CudaRuntime>();
    TRY(cuda_status(cudaGetDeviceProperties(&runtime->properties_, 0), "cudaGetDeviceProperties"));
    constexpr int kMajor = 9;
    if (runtime->properties_.major != kMajor) {
      return Error{ErrorCode::kUnsupported,
                   "the device " + runtime->name() + " has compute capability " +
                       std::to_string(runtime->properties_.major) + "." +
                       std::to_string(runtime->properties_.minor) + ", this build is for 9.0"};
    }
    runtime->memory_.emplace(TRY(CudaMemory::create()));
    runtime->stream_ = TRY(make_stream());
    runtime->library_ = TRY(CublasLibrary::create(runtime->stream_.get(), *runtime->memory_));
    return std::unique_ptr<Runtime>(std::move(runtime));
  }

  std::string name() const override { return properties_.name; }
  unsigned num_multiprocessors() const override {
    return static_cast<unsigned>(properties_.multiProcessorCount);
  }
  DeviceMemory& memory() override { return *memory_; }
  void* stream() override { return stream_.get(); }
  MatmulLibrary* library() override { return library_.get(); }
  void copy_to_device(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    copy(from, num_bytes, to, cudaMemcpyHostToDevice);
  }
  void copy_to_host(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    copy(from, num_bytes, to, cudaMemcpyDeviceToHost);
  }
  void copy_on_device(const std::byte* from, std::size_t num_bytes, std::byte* to) override {
    copy(from, num_bytes, to, cudaMemcpyDeviceToDevice);
  }
  Status synchronize() override {
    return cuda_status(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }
  Result<std::byte*> allocate_pinned(std::size_t num_bytes) override {
    void* data = nullptr;
    TRY(cuda_status(cudaMallocHost(&data, num_bytes), "cudaMallocHost"));
    return static_cast<std::byte*>(data);
  }
  void release_pinned(std::byte* data) override { static_cast<void>(cudaFreeHost(data)); }

  Status begin_capture() override {
    return cuda_status(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
                       "cudaStreamBeginCapture");
  }
  Result<std::size_t> end_capture() override {
    cudaGraph_t raw = nullptr;
    TRY(cuda_status(cudaStreamEndCapture(stream_.get(), &raw), "cudaStreamEndCapture"));
    const Graph graph(raw);
    cudaGraphExec_t exec = nullptr;
    TRY(cuda_status(cudaGraphInstantiate(&exec, raw, 0), "cudaGraphInstantiate"));
    graphs_.emplace_back(exec);
    return graphs_.size() - 1;
  }
  void replay(std::size_t number) override {
    CHECK(number < graphs_.size());
    must_succeed(
        cuda_status(cudaGraphLaunch(graphs_[number].get(), stream_.get()), "cudaGraphLaunch"));
  }

 private:
  void copy(const std::byte* from, std::size_t num_bytes, std::byte* to, cudaMemcpyKind kind) {
    if (num_bytes == 0) return;
    must_succeed(
        cuda_status(cudaMemcpyAsync(to, from, num_bytes, kind, stream_.get()), "cudaMemcpyAsync"));
  }

  cudaDeviceProp properties_{};
  std::optional<CudaMemory> memory_;  // before everything that lies in it
  Stream stream_;
  std::unique_ptr<CublasLibrary> library_;
  std::vector<GraphExec> graphs_;
};

}  // namespace

Result<std::unique_ptr<Runtime>> open_cuda_device() {
  return CudaRuntime::create();
}

}  // namespace millrace::cuda
