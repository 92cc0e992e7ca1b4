// The AVX-512 row: F, BW, DQ, VL and VNNI; Intel since Ice Lake (2019), AMD since Zen 4 (2022).
#if defined(__x86_64__)
#include "kernels/cpu/avx512/table.h"

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/target.h"
#include "kernels/cpu/avx512/simd.h"
#include "kernels/pack.h"

BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
namespace millrace::cpu::avx512 {

#include "kernels/cpu/generic/all.inl"

}  // namespace millrace::cpu::avx512
END_TARGET

namespace millrace::cpu::avx512 {

static bool is_runnable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

constinit const CpuKernels kAvx512Kernels = make_table("avx512", is_runnable);

}  // namespace millrace::cpu::avx512
#endif
