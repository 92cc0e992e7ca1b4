// The scalar row of kernels.
#pragma once

#include "kernels/cpu/kernels.h"

namespace millrace::cpu::scalar {

extern const CpuKernels kScalarKernels;

}  // namespace millrace::cpu::scalar
