// The device that a test program was built for.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/runtime.h"

namespace millrace::kernel_cases {

// Null when this machine has none.
std::unique_ptr<cuda::Runtime> open_test_device();
extern const char* const kNoTestDevice;  // why, when it is null

// Larger cases would take an emulated device minutes.
extern const double kTestOperationsMax;

// Which threads of a block go first; where that can be chosen at all.
enum class TestOrder : std::uint8_t { kRising, kFalling };
void set_test_order(TestOrder order);

}  // namespace millrace::kernel_cases
