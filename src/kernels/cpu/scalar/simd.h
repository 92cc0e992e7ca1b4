// The vector wrapper of the portable row: the compiler's own 16-byte vectors, no intrinsics.
//
// 16 bytes are what every 64-bit target has (SSE2, NEON); where one has not, the compiler falls
// back to plain scalars. There is no fused multiply-add at the x86-64 baseline and a call to fma()
// would cost tens of cycles, so fma() here is a product and a sum, each rounded.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/half.h"

namespace millrace::cpu::scalar {

inline constexpr std::size_t kLanes = 4;
inline constexpr std::size_t kTileRows = 2;
inline constexpr std::size_t kTilePanels = 1;  // 2 rows x 4 vectors of sums in 16 registers.
inline constexpr std::size_t kDirectSums = 8;
inline constexpr std::size_t kIntTileRows = 2;
inline constexpr std::size_t kIntTilePanels = 1;
inline constexpr std::size_t kIntTileSums = 2;

using Floats = float __attribute__((vector_size(16)));
using Ints = std::int32_t __attribute__((vector_size(16)));
using Mask = Ints;

static inline Floats zero() {
  return Floats{};
}
static inline Floats broadcast(float x) {
  return Floats{x, x, x, x};
}
static inline Ints broadcast(std::int32_t x) {
  return Ints{x, x, x, x};
}
static inline Floats load(const float* p) {
  Floats x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
static inline void store(float* p, Floats x) {
  std::memcpy(p, &x, sizeof x);
}
// The first count < kLanes elements; the rest are zeros, or left alone.
static inline Floats load_part(const float* p, std::size_t count) {
  Floats x{};
  std::memcpy(&x, p, count * sizeof(float));
  return x;
}
static inline void store_part(float* p, Floats x, std::size_t count) {
  std::memcpy(p, &x, count * sizeof(float));
}

static inline Floats load(const BFloat16* p) {
  return Floats{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])};
}
static inline Floats load(const Float16* p) {
  return Floats{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])};
}
// The value / 256.
static inline Floats load(const Float8* p) {
  return Floats{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])} *
         broadcast(kFloat8Share);
}
static inline Floats load(const std::int8_t* p) {
  return Floats{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
                static_cast<float>(p[3])};
}
// 16 elements in the order 0 8 1 9 … 7 15, little-endian as every packed format.
static inline void load_interleaved(const BFloat16* p, Floats* w) {
  for (std::size_t i = 0; i < 2; ++i) {
    Ints both;
    std::memcpy(&both, p + 2 * kLanes * i, sizeof both);
    w[i] = std::bit_cast<Floats>(both << 16);
    w[2 + i] = std::bit_cast<Floats>(both & broadcast(std::int32_t{-0x10000}));
  }
}
static inline void store(Float16* p, Floats x) {
  for (std::size_t i = 0; i < kLanes; ++i) p[i] = to_float16(x[i]);
}
static inline void store(BFloat16* p, Floats x) {
  for (std::size_t i = 0; i < kLanes; ++i) p[i] = to_bfloat16(x[i]);
}
// Integral values in -128..127.
static inline void store(std::int8_t* p, Floats x) {
  for (std::size_t i = 0; i < kLanes; ++i) p[i] = static_cast<std::int8_t>(x[i]);
}

// a * b + c.
static inline Floats fma(Floats a, Floats b, Floats c) {
  return a * b + c;
}
static inline Mask less(Floats a, Floats b) {
  return a < b;
}
static inline Floats select(Mask mask, Floats a, Floats b) {
  return std::bit_cast<Floats>((mask & std::bit_cast<Ints>(a)) | (~mask & std::bit_cast<Ints>(b)));
}
// b where either is NaN.
static inline Floats maximum(Floats a, Floats b) {
  return select(a > b, a, b);
}
static inline Floats minimum(Floats a, Floats b) {
  return select(a < b, a, b);
}
static inline Floats absolute(Floats x) {
  return std::bit_cast<Floats>(std::bit_cast<Ints>(x) & broadcast(std::int32_t{0x7FFFFFFF}));
}
// |magnitude| with the sign of `sign`; magnitude is not negative.
static inline Floats with_sign(Floats magnitude, Floats sign) {
  return std::bit_cast<Floats>(
      std::bit_cast<Ints>(magnitude) |
      (std::bit_cast<Ints>(sign) & broadcast(std::int32_t{-0x7FFFFFFF - 1})));
}
// To nearest even, for |x| < 2^22: adding 1.5 * 2^23 leaves no bits below one.
static inline Floats round_nearest(Floats x) {
  const Floats shift = broadcast(12582912.0f);
  return (x + shift) - shift;
}
// 2^n for integral n in -126..127.
static inline Floats power_of_two(Floats n) {
  return std::bit_cast<Floats>((__builtin_convertvector(n, Ints) + 127) << 23);
}
static inline Floats to_floats(Ints x) {
  return __builtin_convertvector(x, Floats);
}
static inline Ints subtract(Ints a, Ints b) {
  return a - b;
}
static inline Floats lane_index() {
  return Floats{0, 1, 2, 3};
}
static inline float sum(Floats x) {
  return (x[0] + x[2]) + (x[1] + x[3]);
}
// NaN is not looked for.
static inline float largest(Floats x) {
  const float low = x[0] > x[1] ? x[0] : x[1];
  const float high = x[2] > x[3] ? x[2] : x[3];
  return low > high ? low : high;
}

// --- 8-bit dot products: four consecutive k in each 32-bit lane. ---

using Bytes = std::int32_t __attribute__((vector_size(16)));  // Four 8-bit values per lane.
using Shorts = std::int16_t __attribute__((vector_size(16)));

static inline Bytes load_bytes(const std::byte* p) {
  Bytes x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
static inline Bytes broadcast_quad(const std::int8_t* p) {
  std::int32_t quad = 0;
  std::memcpy(&quad, p, sizeof quad);
  return broadcast(quad);
}

// Byte j of each lane, unsigned and signed, moved to a lane of its own.
static inline Ints unsigned_byte(Bytes x, int j) {
  return (x >> (8 * j)) & 255;
}
static inline Ints signed_byte(Bytes x, int j) {
  return (x << (24 - 8 * j)) >> 24;
}
static inline Ints dot_quads(Ints total, Bytes weights, Bytes x) {
  for (int j = 0; j < 4; ++j) total += unsigned_byte(weights, j) * signed_byte(x, j);
  return total;
}

inline constexpr std::int32_t kU8Offset = 128;  // What u8_add leaves in its weights.
struct U8Weights {
  Bytes quads;
};
struct U8Sum {
  Ints total;
};
static inline U8Sum u8_begin(Ints start) {
  return {start};
}
static inline U8Weights u8_weights(const std::byte* p) {
  return {load_bytes(p)};
}
static inline void u8_add(U8Sum& s, const U8Weights& w, Bytes x) {
  s.total = dot_quads(s.total, w.quads, x);
}
static inline Ints u8_total(const U8Sum& s, Ints) {
  return s.total;
}

// Two quads of 4-bit weights per byte.
struct U4Weights {
  Bytes low;
  Bytes high;
};
struct U4Sum {
  Ints total;
};
static inline U4Sum u4_begin(Ints start) {
  return {start};
}
static inline U4Weights u4_weights(const std::byte* p) {
  const Bytes both = load_bytes(p);
  return {both & 0x0F0F0F0F, (both >> 4) & 0x0F0F0F0F};
}
static inline void u4_add(U4Sum& s, Bytes w, Bytes x) {
  s.total = dot_quads(s.total, w, x);
}
static inline Ints u4_total(const U4Sum& s, Ints) {
  return s.total;
}

// values[i] of each byte i, 0 … 15.
static inline Bytes lookup(Bytes indices, const std::int8_t* values) {
  std::uint8_t bytes[sizeof indices];
  std::memcpy(bytes, &indices, sizeof indices);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(values[byte]);
  Bytes found;
  std::memcpy(&found, bytes, sizeof found);
  return found;
}
// From signed bytes.
static inline U8Weights u8_weights_of(Bytes q) {
  return {q ^ broadcast(std::int32_t{-0x7F7F7F80})};
}

static inline void prefetch(const std::byte* p) {
  __builtin_prefetch(p, 0, 3);
}
static inline void prefetch_alone(const std::byte* p) {
  prefetch(p);
}
static inline void prefetch_for_write(const float* p) {
  __builtin_prefetch(p, 1, 3);
}

}  // namespace millrace::cpu::scalar
