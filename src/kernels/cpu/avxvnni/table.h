// The avxvnni row of kernels.
#pragma once

#include "kernels/cpu/kernels.h"

namespace millrace::cpu::avxvnni {

extern const CpuKernels kAvxVnniKernels;

}  // namespace millrace::cpu::avxvnni
