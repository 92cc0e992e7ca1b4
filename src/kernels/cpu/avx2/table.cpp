// The AVX2 row: AVX2, FMA and F16C, every x86-64 CPU since 2013 (Intel) and 2015 (AMD).
#if defined(__x86_64__)
#include "kernels/cpu/avx2/table.h"

#include <cpuid.h>

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/target.h"
#include "kernels/cpu/avx2/simd.h"
#include "kernels/pack.h"

BEGIN_TARGET("avx2,fma,f16c")
namespace millrace::cpu::avx2 {

#include "kernels/cpu/generic/all.inl"

}  // namespace millrace::cpu::avx2
END_TARGET

namespace millrace::cpu::avx2 {

// clang 14's __builtin_cpu_supports does not know F16C, so that bit is read from the CPU itself.
static bool has_f16c() {
  constexpr unsigned kF16cBit = 1u << 29;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kF16cBit) != 0;
}

static bool is_runnable() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

constinit const CpuKernels kAvx2Kernels = make_table("avx2", is_runnable);

}  // namespace millrace::cpu::avx2
#endif
