// GGUF's K types: blocks of 256 weights, whose groups of 16 or 32 have integer scales.
#include "formats/block_splitters.h"

namespace millrace {
namespace {

constexpr std::size_t kBlock = 256;

// 64 bytes: bits 2n, 2n + 1 of byte j of a half's 32 belong to weight 32n + j of that half of 128.
int low_2_bits(const std::byte* bytes, std::size_t i) {
  return load_bits(bytes + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
}

// 128 bytes: byte j of a quarter's 32 holds weights j (low half) and j + 32 (high half) of its 64.
int low_4_bits(const std::byte* bytes, std::size_t i) {
  return load_bits(bytes + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4);
}

// 32 bytes: bit n of byte j belongs to weight 32n + j.
int high_bit(const std::byte* bytes, std::size_t i) {
  return load_bits(bytes + i % 32, i / 32, 1);
}

// 12 bytes with eight scales and eight minima of 6 bits each:
//
//   byte 0 … 3     | scale j + 4: bits 5, 4 | scale j, 6 bits   |
//   byte 4 … 7     | minimum j + 4: 5, 4    | minimum j, 6 bits |
//   byte 8 … 11    | minimum j + 4: bits 3 … 0 | scale j + 4: bits 3 … 0 |
void split_scales_and_minima(const std::byte* bytes, float scale, float minimum,
                             const BlockParts& parts) {
  for (std::size_t j = 0; j < 4; ++j) {
    const std::byte* both = bytes + 8 + j;
    const int scales[] = {load_bits(bytes + j, 0, 6),
                          load_bits(both, 0, 4) | load_bits(bytes + j, 6, 2) << 4};
    const int minima[] = {load_bits(bytes + 4 + j, 0, 6),
                          load_bits(both, 4, 4) | load_bits(bytes + 4 + j, 6, 2) << 4};
    for (std::size_t half = 0; half < 2; ++half) {
      parts.scales[half * 4 + j] = scale * static_cast<float>(scales[half]);
      parts.minima[half * 4 + j] = -(minimum * static_cast<float>(minima[half]));
    }
  }
}

}  // namespace

//   | 16 x (scale, low 4 bits; minimum, high 4) | 64 bytes of 2 bits | f16 d | f16 m |
void split_q2_k(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block + 80);
  const float minimum = load_half(block + 82);
  for (std::size_t g = 0; g < 16; ++g) {
    parts.scales[g] = scale * static_cast<float>(load_bits(block + g, 0, 4));
    parts.minima[g] = -(minimum * static_cast<float>(load_bits(block + g, 4, 4)));
  }
  for (std::size_t i = 0; i < kBlock; ++i) parts.quants[i] = as_quant(low_2_bits(block + 16, i));
}

//   | 32 bytes of high bits | 64 bytes of 2 bits | 12 bytes: 16 scales of 6 bits | f16 d |
//
// Scale g: low 4 bits in byte g % 8, low half for g < 8; high 2 in byte 8 + g % 4, bits 2(g / 4)
// on.
void split_q3_k(const std::byte* block, const BlockParts& parts) {
  const std::byte* scales = block + 96;
  const float scale = load_half(block + 108);
  for (std::size_t g = 0; g < 16; ++g) {
    const int six_bits =
        load_bits(scales + g % 8, g / 8 * 4, 4) | load_bits(scales + 8 + g % 4, g / 4 * 2, 2) << 4;
    parts.scales[g] = scale * static_cast<float>(six_bits - 32);
  }
  for (std::size_t i = 0; i < kBlock; ++i) {
    parts.quants[i] = as_quant((low_2_bits(block + 32, i) | high_bit(block, i) << 2) - 4);
  }
}

//   | f16 d | f16 m | 12 bytes of scales and minima | 128 bytes of 4 bits |
void split_q4_k(const std::byte* block, const BlockParts& parts) {
  split_scales_and_minima(block + 4, load_half(block), load_half(block + 2), parts);
  for (std::size_t i = 0; i < kBlock; ++i) parts.quants[i] = as_quant(low_4_bits(block + 16, i));
}

//   | f16 d | f16 m | 12 bytes of scales and minima | 32 bytes of high bits | 128 bytes of 4 bits |
void split_q5_k(const std::byte* block, const BlockParts& parts) {
  split_scales_and_minima(block + 4, load_half(block), load_half(block + 2), parts);
  for (std::size_t i = 0; i < kBlock; ++i) {
    parts.quants[i] = as_quant(low_4_bits(block + 48, i) | high_bit(block + 16, i) << 4);
  }
}

//   | 128 bytes of low 4 bits | 64 bytes of high 2 bits | 16 x int8 scale | f16 d |
//
// The low bits lie otherwise than in Q4_K: byte j of a half's 64 holds weights j and j + 64 of its
// 128.
void split_q6_k(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block + 208);
  for (std::size_t g = 0; g < 16; ++g) {
    parts.scales[g] = scale * static_cast<float>(load<std::int8_t>(block + 192 + g));
  }
  for (std::size_t i = 0; i < kBlock; ++i) {
    const int low = load_bits(block + i / 128 * 64 + i % 64, i % 128 / 64 * 4, 4);
    parts.quants[i] = as_quant((low | low_2_bits(block + 128, i) << 4) - 32);
  }
}

}  // namespace millrace
