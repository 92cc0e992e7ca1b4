// Starts a kernel: extents as plain numbers, checked once.
#pragma once

#include <cstddef>

#include "base/check.h"
#include "kernels/cuda/device_code.h"

namespace millrace::cuda {

struct Extent3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

struct LaunchConfig {
  Extent3 grid;
  unsigned num_threads = 128;  // of a block; whole warps
  std::size_t shared_bytes = 0;
  void* stream = nullptr;
};

inline constexpr unsigned kGridYMax = 65535;  // And z; x goes to 2^31 - 1.

inline bool is_empty(const LaunchConfig& config) {
  CHECK(config.num_threads % kWarpLanes == 0);
  CHECK(config.num_threads <= 1024);
  CHECK(config.grid.y <= kGridYMax);
  CHECK(config.grid.z <= kGridYMax);
  return config.grid.x == 0 || config.grid.y == 0 || config.grid.z == 0;
}

#if defined(__CUDACC__)
// A grid without blocks is no launch. A refused launch is a bug of ours or a dead device: the
// process ends, and whoever supervises it starts another.
template <class... Params, class... Args>
void launch(const LaunchConfig& config, void (*kernel)(Params...), const Args&... args) {
  constexpr std::size_t kUnasked = 48 * 1024;  // More has to be asked for.
  if (is_empty(config)) return;
  if (config.shared_bytes > kUnasked) {
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(config.shared_bytes)) == cudaSuccess);
  }
  cudaLaunchConfig_t cuda{};
  cuda.gridDim = dim3(config.grid.x, config.grid.y, config.grid.z);
  cuda.blockDim = dim3(config.num_threads, 1, 1);
  cuda.dynamicSmemBytes = config.shared_bytes;
  cuda.stream = static_cast<cudaStream_t>(config.stream);
  CHECK(cudaLaunchKernelEx(&cuda, kernel, static_cast<Params>(args)...) == cudaSuccess);
}
#else
template <class... Params, class... Args>
void launch(const LaunchConfig& config, void (*kernel)(Params...), const Args&... args) {
  if (is_empty(config)) return;
  emulated::run_grid({config.grid.x, config.grid.y, config.grid.z}, config.num_threads,
                     config.shared_bytes, [&] { kernel(static_cast<Params>(args)...); });
}
#endif

}  // namespace millrace::cuda
