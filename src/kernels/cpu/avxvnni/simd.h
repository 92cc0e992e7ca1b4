// The vector wrapper of the AVX-VNNI row: the shared 256-bit one, and 8-bit products by vpdpbusd.
#pragma once

#include <immintrin.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/target.h"
#include "tensor/half.h"

BEGIN_TARGET("avx2,fma,f16c,avxvnni")
namespace millrace::cpu::avxvnni {

#include "kernels/cpu/ymm/simd.inl"

// Rows of an int tile: as many sums and totals, 2 of weights and a mask in 16 registers.
inline constexpr std::size_t kIntTileRows = 6;
inline constexpr std::size_t kIntTilePanels = 1;
inline constexpr std::size_t kIntTileSums = 6;

static inline Ints dot(Ints sum, Bytes w, Bytes x) {
  return _mm256_dpbusd_avx_epi32(sum, w, x);
}
static inline Bytes low_nibbles(Bytes both) {
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
static inline Bytes high_nibbles(Bytes both) {
  return _mm256_and_si256(_mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}
static inline Bytes add_128(Bytes q) {
  return _mm256_xor_si256(q, _mm256_set1_epi8(-128));
}

#include "kernels/cpu/generic/dot.inl"

}  // namespace millrace::cpu::avxvnni
END_TARGET
