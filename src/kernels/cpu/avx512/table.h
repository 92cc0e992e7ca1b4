// The avx512 row of kernels.
#pragma once

#include "kernels/cpu/kernels.h"

namespace millrace::cpu::avx512 {

extern const CpuKernels kAvx512Kernels;

}  // namespace millrace::cpu::avx512
