// The portable row: any CPU.
#include "kernels/cpu/scalar/table.h"

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/scalar/simd.h"
#include "kernels/pack.h"

namespace millrace::cpu::scalar {

#include "kernels/cpu/generic/all.inl"

static bool is_runnable() {
  return true;
}

constinit const CpuKernels kScalarKernels = make_table("scalar", is_runnable);

}  // namespace millrace::cpu::scalar
