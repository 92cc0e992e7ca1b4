// The vector wrapper of the AVX-512 row: sixteen floats, or a panel's quads of bytes.
#pragma once

#include <immintrin.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/target.h"
#include "tensor/half.h"

BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
namespace millrace::cpu::avx512 {

inline constexpr std::size_t kLanes = 16;
// A float tile: 12 rows x 2 panels of sums, 2 of weights and 1 of x in 32 registers.
inline constexpr std::size_t kTileRows = 12;
inline constexpr std::size_t kTilePanels = 2;
inline constexpr std::size_t kDirectSums = 16;  // Two multiply-adds a cycle, four cycles each.
// An int tile: 6 rows x 2 panels, whose 12 sums and 12 totals leave 8 of 32 registers for weights
// and x. Each x serves two products, so loads keep up with the two dot products of a cycle.
inline constexpr std::size_t kIntTileRows = 6;
inline constexpr std::size_t kIntTilePanels = 2;
inline constexpr std::size_t kIntTileSums = 12;

using Floats = __m512;
using Ints = __m512i;
using Mask = __mmask16;

static inline Floats zero() {
  return _mm512_setzero_ps();
}
static inline Floats broadcast(float x) {
  return _mm512_set1_ps(x);
}
static inline Ints broadcast(std::int32_t x) {
  return _mm512_set1_epi32(x);
}
static inline Floats load(const float* p) {
  return _mm512_loadu_ps(p);
}
static inline void store(float* p, Floats x) {
  _mm512_storeu_ps(p, x);
}
static inline Mask first_lanes(std::size_t count) {
  return static_cast<Mask>((1u << count) - 1u);
}
// The first count < kLanes elements; the rest are zeros, or left alone.
static inline Floats load_part(const float* p, std::size_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}
static inline void store_part(float* p, Floats x, std::size_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), x);
}

static inline __m256i load_half(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
static inline Floats load(const Float16* p) {
  return _mm512_cvtph_ps(load_half(p));
}
static inline Floats load(const BFloat16* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_half(p)), 16));
}
// The value / 256: exponent and mantissa moved into those of an f16, subnormals too. Not for NaN,
// which packing turns into scales.
static inline Floats load(const Float8* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i moved = _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7),
                                         _mm256_set1_epi16(-0x4080));
  return _mm512_cvtph_ps(moved);
}
static inline Floats load(const std::int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
// 16 elements in the order 0 8 1 9 … 7 15: each goes to the upper half of its lane.
static inline void load_interleaved(const BFloat16* p, Floats* w) {
  const __m512i both = _mm512_castsi256_si512(load_half(p));
  const __m512i from =
      _mm512_setr_epi32(0x00000, 0x20000, 0x40000, 0x60000, 0x80000, 0xA0000, 0xC0000, 0xE0000,
                        0x10000, 0x30000, 0x50000, 0x70000, 0x90000, 0xB0000, 0xD0000, 0xF0000);
  w[0] = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xAAAAAAAA, from, both));
}
static inline void store(Float16* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
// To nearest even; a NaN keeps its upper half with the quiet bit set.
static inline void store(BFloat16* p, Floats x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const Mask is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i high = _mm512_srli_epi32(_mm512_mask_mov_epi32(sum, is_nan, quiet), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
}
// Integral values in -128..127.
static inline void store(std::int8_t* p, Floats x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

// a * b + c, rounded once.
static inline Floats fma(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
static inline Mask less(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline Floats select(Mask mask, Floats a, Floats b) {
  return _mm512_mask_blend_ps(mask, b, a);
}
// b where either is NaN.
static inline Floats maximum(Floats a, Floats b) {
  return _mm512_max_ps(a, b);
}
static inline Floats minimum(Floats a, Floats b) {
  return _mm512_min_ps(a, b);
}
static inline Floats absolute(Floats x) {
  return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}
// |magnitude| with the sign of `sign`; magnitude is not negative.
static inline Floats with_sign(Floats magnitude, Floats sign) {
  return _mm512_or_ps(magnitude, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}
static inline Floats round_nearest(Floats x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// 2^n for integral n in -126..127.
static inline Floats power_of_two(Floats n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
static inline Floats to_floats(Ints x) {
  return _mm512_cvtepi32_ps(x);
}
static inline Ints subtract(Ints a, Ints b) {
  return _mm512_sub_epi32(a, b);
}
static inline Floats lane_index() {
  return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline float sum(Floats x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// NaN is not looked for.
static inline float largest(Floats x) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// --- 8-bit dot products: four consecutive k in each 32-bit lane. ---

using Bytes = __m512i;

static inline Bytes load_bytes(const std::byte* p) {
  return _mm512_loadu_si512(p);
}
static inline Bytes broadcast_quad(const std::int8_t* p) {
  std::int32_t quad = 0;
  std::memcpy(&quad, p, sizeof quad);
  return _mm512_set1_epi32(quad);
}
// values[i] of each byte i, 0 … 15.
static inline Bytes lookup(Bytes indices, const std::int8_t* values) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), indices);
}
static inline Ints dot(Ints sum, Bytes w, Bytes x) {
  return _mm512_dpbusd_epi32(sum, w, x);
}
static inline Bytes low_nibbles(Bytes both) {
  return _mm512_and_si512(both, _mm512_set1_epi8(15));
}
static inline Bytes high_nibbles(Bytes both) {
  return _mm512_and_si512(_mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
}
static inline Bytes add_128(Bytes q) {
  return _mm512_xor_si512(q, _mm512_set1_epi8(-128));
}

#include "kernels/cpu/generic/dot.inl"

static inline void prefetch(const std::byte* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}
// For loops that do nothing else, which g++ drops when it sees what they do. Not for others: g++
// keeps their sums in memory then.
static inline void prefetch_alone(const std::byte* p) {
  asm volatile("prefetcht0 %0" ::"m"(*p));
}
// Every CPU of these instruction sets takes it; the oldest ignore it.
static inline void prefetch_for_write(const float* p) {
  asm volatile("prefetchw %0" ::"m"(*p));
}

}  // namespace millrace::cpu::avx512
END_TARGET
