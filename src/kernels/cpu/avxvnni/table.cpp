// The AVX-VNNI row: AVX2 with vpdpbusd; Intel since Alder Lake (2021), AMD since Zen 5 (2024).
#if defined(__x86_64__)
#include "kernels/cpu/avxvnni/table.h"

#include <cpuid.h>

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/target.h"
#include "kernels/cpu/avxvnni/simd.h"
#include "kernels/pack.h"

BEGIN_TARGET("avx2,fma,f16c,avxvnni")
namespace millrace::cpu::avxvnni {

#include "kernels/cpu/generic/all.inl"

}  // namespace millrace::cpu::avxvnni
END_TARGET

namespace millrace::cpu::avxvnni {

// The bit of AVX-VNNI is in a leaf that __builtin_cpu_supports of our compilers does not read. The
// operating system's part (the state of the ymm registers) is in the answer for AVX2.
static bool has_avx_vnni() {
  constexpr unsigned kAvxVnniBit = 1u << 4;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnniBit) != 0;
}

// Every CPU with AVX-VNNI has F16C.
static bool is_runnable() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_avx_vnni();
}

constinit const CpuKernels kAvxVnniKernels = make_table("avxvnni", is_runnable);

}  // namespace millrace::cpu::avxvnni
#endif
