// What builds without CUDA say when they are asked for a device.
#include "kernels/cuda/open_device.h"

#ifndef MILLRACE_WITH_CUDA

namespace millrace::cuda {

Result<std::unique_ptr<Runtime>> open_cuda_device() {
  return Error{ErrorCode::kUnsupported,
               "this program was built without CUDA; cmake --preset cuda builds it in"};
}

}  // namespace millrace::cuda

#endif
