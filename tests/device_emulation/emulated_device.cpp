// The emulated device, for the program that is built without one.
#include "device_emulation.h"
#include "emulated_runtime.h"
#include "test_device.h"

namespace millrace::kernel_cases {

const char* const kNoTestDevice = "the emulated one is always there";
const double kTestOperationsMax = 1.5e5;

std::unique_ptr<cuda::Runtime> open_test_device() {
  return std::make_unique<emulated::EmulatedRuntime>();
}

void set_test_order(TestOrder order) {
  emulated::set_order(order == TestOrder::kRising ? emulated::Order::kRising
                                                  : emulated::Order::kFalling);
}

}  // namespace millrace::kernel_cases
