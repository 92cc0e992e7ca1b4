// Vectors of 256 bits: eight floats, or eight outputs' quads of bytes. Included once per row that
// uses them, inside its namespace and target region.

inline constexpr std::size_t kLanes = 8;
// Rows of a float tile: 6 x 2 vectors of sums, 2 of weights and 1 of x in 16 registers.
inline constexpr std::size_t kTileRows = 6;
inline constexpr std::size_t kTilePanels = 1;
inline constexpr std::size_t kDirectSums = 8;  // Two multiply-adds a cycle, four cycles each.

using Floats = __m256;
using Ints = __m256i;
using Mask = __m256;

static inline Floats zero() {
  return _mm256_setzero_ps();
}
static inline Floats broadcast(float x) {
  return _mm256_set1_ps(x);
}
static inline Ints broadcast(std::int32_t x) {
  return _mm256_set1_epi32(x);
}
static inline Floats load(const float* p) {
  return _mm256_loadu_ps(p);
}
static inline void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x);
}
static inline Ints first_lanes(std::size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first count < kLanes elements; the rest are zeros, or left alone.
static inline Floats load_part(const float* p, std::size_t count) {
  return _mm256_maskload_ps(p, first_lanes(count));
}
static inline void store_part(float* p, Floats x, std::size_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), x);
}

static inline Floats load(const Float16* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Floats load(const BFloat16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
// The value / 256: exponent and mantissa moved into those of an f16, subnormals too. Not for NaN,
// which packing turns into scales.
static inline Floats load(const Float8* p) {
  const __m128i bits = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m128i moved = _mm_and_si128(_mm_slli_epi16(bits, 7), _mm_set1_epi16(-0x4080));
  return _mm256_cvtph_ps(moved);
}
static inline Floats load(const std::int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
// 16 elements in the order 0 8 1 9 … 7 15.
static inline void load_interleaved(const BFloat16* p, Floats* w) {
  const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  w[0] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
  w[1] = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-0x10000)));
}
static inline void store(Float16* p, Floats x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
// To nearest even; a NaN keeps its upper half with the quiet bit set.
static inline void store(BFloat16* p, Floats x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(sum, quiet, is_nan), 16);
  const __m128i packed =
      _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
// Integral values in -128..127.
static inline void store(std::int8_t* p, Floats x) {
  const __m256i ints = _mm256_cvtps_epi32(x);
  const __m128i shorts =
      _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
}

// a * b + c, rounded once.
static inline Floats fma(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
static inline Mask less(Floats a, Floats b) {
  return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline Floats select(Mask mask, Floats a, Floats b) {
  return _mm256_blendv_ps(b, a, mask);
}
// b where either is NaN.
static inline Floats maximum(Floats a, Floats b) {
  return _mm256_max_ps(a, b);
}
static inline Floats minimum(Floats a, Floats b) {
  return _mm256_min_ps(a, b);
}
static inline Floats absolute(Floats x) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}
// |magnitude| with the sign of `sign`; magnitude is not negative.
static inline Floats with_sign(Floats magnitude, Floats sign) {
  return _mm256_or_ps(magnitude, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
static inline Floats round_nearest(Floats x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// 2^n for integral n in -126..127.
static inline Floats power_of_two(Floats n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
static inline Floats to_floats(Ints x) {
  return _mm256_cvtepi32_ps(x);
}
static inline Ints subtract(Ints a, Ints b) {
  return _mm256_sub_epi32(a, b);
}
static inline Floats lane_index() {
  return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
}
static inline float sum(Floats x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
// NaN is not looked for.
static inline float largest(Floats x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// --- 8-bit dot products: four consecutive k in each 32-bit lane. ---

using Bytes = __m256i;

static inline Bytes load_bytes(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
static inline Bytes broadcast_quad(const std::int8_t* p) {
  std::int32_t quad = 0;
  std::memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

// Keeps g++ from seeing through a sum: it would gather the adds of a whole group into a tree, with
// every product spilled to the stack.
static inline void keep(__m256i& x) {
  asm("" : "+x"(x));
}

// values[i] of each byte i, 0 … 15.
static inline Bytes lookup(Bytes indices, const std::int8_t* values) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), indices);
}

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
