// The avx2 row of kernels.
#pragma once

#include "kernels/cpu/kernels.h"

namespace millrace::cpu::avx2 {

extern const CpuKernels kAvx2Kernels;

}  // namespace millrace::cpu::avx2
