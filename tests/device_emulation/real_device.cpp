// The first CUDA device, for the program that is built with CUDA.
#include <cmath>
#include <string>
#include <utility>

#include "kernels/cuda/open_device.h"
#include "test_device.h"

namespace millrace::kernel_cases {

const char* const kNoTestDevice = "this machine has no CUDA device of the kind that was built for";
const double kTestOperationsMax = HUGE_VAL;

std::unique_ptr<cuda::Runtime> open_test_device() {
  Result<std::unique_ptr<cuda::Runtime>> runtime = cuda::open_cuda_device();
  return runtime.ok() ? std::move(runtime).value() : nullptr;
}

void set_test_order(TestOrder) {}

}  // namespace millrace::kernel_cases
