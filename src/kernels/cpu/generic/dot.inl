// 4-bit and 8-bit weights for instruction sets whose dot product of unsigned by signed bytes adds
// up in 32 bits (VNNI). Included by such a row's simd.h, which defines
//   Ints dot(Ints sum, Bytes unsigned_bytes, Bytes signed_bytes)
//
// Nothing can saturate: a lane takes 4 products of at most 255 * 127 at a time, 8 times a group.

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
  return {low_nibbles(both), high_nibbles(both)};
}
static inline void u4_add(U4Sum& s, Bytes w, Bytes x) {
  s.total = dot(s.total, w, x);
}
static inline Ints u4_total(const U4Sum& s, Ints) {
  return s.total;
}

// Weights are stored with 128 added, which is what the unsigned side wants.
inline constexpr std::int32_t kU8Offset = 128;  // What u8_add leaves in its weights.
using U8Weights = Bytes;
using U8Sum = U4Sum;
static inline U8Sum u8_begin(Ints start) {
  return {start};
}
static inline U8Weights u8_weights(const std::byte* p) {
  return load_bytes(p);
}
// From signed bytes.
static inline U8Weights u8_weights_of(Bytes q) {
  return add_128(q);
}
static inline void u8_add(U8Sum& s, U8Weights w, Bytes x) {
  s.total = dot(s.total, w, x);
}
static inline Ints u8_total(const U8Sum& s, Ints) {
  return s.total;
}
