// The CUDA device of this machine, in builds that know one.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/cuda/runtime.h"

namespace millrace::cuda {

// The first device. kUnsupported when this build has no CUDA or the device is another kind than it
// was built for; kUnavailable when there is none, or it fails.
Result<std::unique_ptr<Runtime>> open_cuda_device();

}  // namespace millrace::cuda
