// GGUF's blocks of 32 weights with one scale, and its ternary blocks of 256.
//
// The layouts of all block types are those of the ggml library (ggml-common.h, ggml-quants.c),
// which the gguf package reimplements; tests/golden/formats compares with the latter.
#include <bit>

#include "formats/block_splitters.h"

namespace millrace {
namespace {

constexpr std::size_t kHalfGroup = 16;

// 16 bytes: byte i holds weight i in its low half and weight i + 16 in its high half.
template <class Quant>
void split_nibbles(const std::byte* bytes, std::int8_t* quants, Quant quant) {
  for (std::size_t i = 0; i < kHalfGroup; ++i) {
    const int pair = load_u8(bytes + i);
    quants[i] = as_quant(quant(pair & 15, i));
    quants[i + kHalfGroup] = as_quant(quant(pair >> 4, i + kHalfGroup));
  }
}

// | u32 bit 4 of weight 0 … 31 | 16 x two low nibbles |
void split_5_bits(const std::byte* bytes, int offset, std::int8_t* quants) {
  const auto high = load<std::uint32_t>(bytes);
  split_nibbles(bytes + sizeof high, quants, [=](int low, std::size_t i) {
    return (low | static_cast<int>(high >> i & 1u) << 4) - offset;
  });
}

// 2^(e - 128), as ggml takes it: the exponent of e8m0 halved, because the table below is doubled;
// 255 is no NaN there.
float power_of_e8m0(int e) {
  const auto exponent = static_cast<std::uint32_t>(e);
  return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
}

}  // namespace

//   | f16 d | 32 x int8 q |
void split_q8_0(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  std::memcpy(parts.quants, block + 2, 2 * kHalfGroup);
}

//   | f16 d | 16 x two q |
void split_q4_0(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  split_nibbles(block + 2, parts.quants, [](int q, std::size_t) { return q - 8; });
}

//   | f16 d | f16 m | 16 x two q |
void split_q4_1(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  parts.minima[0] = load_half(block + 2);
  split_nibbles(block + 4, parts.quants, [](int q, std::size_t) { return q; });
}

//   | f16 d | 5 bits of 32 q |
void split_q5_0(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  split_5_bits(block + 2, 16, parts.quants);
}

//   | f16 d | f16 m | 5 bits of 32 q |
void split_q5_1(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  parts.minima[0] = load_half(block + 2);
  split_5_bits(block + 4, 0, parts.quants);
}

//   | f16 d | 16 x two q |                 x = d * table[q]
void split_iq4_nl(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = load_half(block);
  split_nibbles(block + 2, parts.quants,
                [](int q, std::size_t) { return kIq4Values[static_cast<std::size_t>(q)]; });
}

//   | u8 e | 16 x two q |                  x = 2^(e - 128) * table[q]
void split_mxfp4(const std::byte* block, const BlockParts& parts) {
  parts.scales[0] = power_of_e8m0(load_u8(block));
  split_nibbles(block + 1, parts.quants,
                [](int q, std::size_t) { return kE2m1Values[static_cast<std::size_t>(q)]; });
}

//   | 32 bytes: 5 digits of weights j, j + 32, …, j + 128   |
//   | 16 bytes: 5 digits of weights 160 + j, 160 + j + 16, … |
//   | 4 bytes: 4 digits of weights 240 + j, 240 + j + 4, …   | f16 d |
//
// Digit n of byte b, most significant first: the integer part of 3 * frac(b * 3^n / 256).
void split_tq1_0(const std::byte* block, const BlockParts& parts) {
  constexpr std::array<std::size_t, 3> kWidths = {32, 16, 4};
  constexpr std::array<std::size_t, 3> kDigits = {5, 5, 4};
  std::int8_t* quants = parts.quants;
  for (std::size_t part = 0; part < kWidths.size(); ++part) {
    int power = 1;
    for (std::size_t n = 0; n < kDigits[part]; ++n, power *= 3) {
      for (std::size_t j = 0; j < kWidths[part]; ++j) {
        const int fraction = load_u8(block + j) * power & 255;
        *quants++ = as_quant((fraction * 3 >> 8) - 1);
      }
    }
    block += kWidths[part];
  }
  parts.scales[0] = load_half(block);
}

//   | 2 x 32 bytes: bits 2n, 2n + 1 of byte j: weight 32n + j of this half | f16 d |
void split_tq2_0(const std::byte* block, const BlockParts& parts) {
  for (std::size_t i = 0; i < 256; ++i) {
    const std::byte* at = block + i / 128 * 32 + i % 32;
    parts.quants[i] = as_quant(load_bits(at, i % 128 / 32 * 2, 2) - 1);
  }
  parts.scales[0] = load_half(block + 64);
}

}  // namespace millrace
