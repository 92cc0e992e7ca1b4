// Runs a parameterised test suite on every runnable row of kernels.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/cpu/kernels.h"

namespace millrace::kernel_cases {

inline auto every_isa() {
  return ::testing::ValuesIn(runnable_cpu_kernels().begin(), runnable_cpu_kernels().end());
}
inline std::string isa_name(const ::testing::TestParamInfo<const CpuKernels*>& test) {
  return std::string(test.param->isa);
}

}  // namespace millrace::kernel_cases
