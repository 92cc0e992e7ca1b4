// The vector wrapper of the AVX2 row: the shared 256-bit one, and 8-bit products by vpmaddubsw.
#pragma once

#include <immintrin.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/target.h"
#include "tensor/half.h"

BEGIN_TARGET("avx2,fma,f16c")
namespace millrace::cpu::avx2 {

#include "kernels/cpu/ymm/simd.inl"

inline constexpr std::size_t kIntTileRows = 4;
inline constexpr std::size_t kIntTilePanels = 1;
inline constexpr std::size_t kIntTileSums = 4;

// 4-bit weights, two quads per byte. A pair of products is at most 2 * 15 * 127 = 3,810; the eight
// that a 16-bit lane takes in a group are 30,480 < 32,767, so they are widened once per group.
struct U4Weights {
  Bytes low;
  Bytes high;
};
struct U4Sum {
  __m256i pairs;
};
static inline U4Sum u4_begin(Ints) {
  return {_mm256_setzero_si256()};
}
static inline U4Weights u4_weights(const std::byte* p) {
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i both = load_bytes(p);
  return {_mm256_and_si256(both, mask), _mm256_and_si256(_mm256_srli_epi16(both, 4), mask)};
}
static inline void u4_add(U4Sum& s, Bytes w, Bytes x) {
  s.pairs = _mm256_add_epi16(s.pairs, _mm256_maddubs_epi16(w, x));
  keep(s.pairs);
}
static inline Ints u4_total(const U4Sum& s, Ints start) {
  return _mm256_add_epi32(start, _mm256_madd_epi16(s.pairs, _mm256_set1_epi16(1)));
}

// 8-bit weights: vpmaddubsw wants one unsigned side and would saturate on 255 * 127 * 2, so it gets
// |q| and x with the sign of q; 128 * 127 * 2 fits.
inline constexpr std::int32_t kU8Offset = 0;  // What u8_add leaves in its weights.
struct U8Weights {
  Bytes signs;
  Bytes magnitudes;
};
struct U8Sum {
  Ints total;
};
static inline U8Sum u8_begin(Ints start) {
  return {start};
}
static inline U8Weights u8_weights(const std::byte* p) {
  const __m256i q = _mm256_xor_si256(load_bytes(p), _mm256_set1_epi8(-128));
  return {q, _mm256_abs_epi8(q)};
}
// From signed bytes, above -128.
static inline U8Weights u8_weights_of(Bytes q) {
  return {q, _mm256_abs_epi8(q)};
}
static inline void u8_add(U8Sum& s, const U8Weights& w, Bytes x) {
  const __m256i pairs = _mm256_maddubs_epi16(w.magnitudes, _mm256_sign_epi8(x, w.signs));
  s.total = _mm256_add_epi32(s.total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  keep(s.total);
}
static inline Ints u8_total(const U8Sum& s, Ints) {
  return s.total;
}

}  // namespace millrace::cpu::avx2
END_TARGET
