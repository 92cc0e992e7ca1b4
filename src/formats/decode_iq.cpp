// GGUF's IQ types: blocks of 256 weights, whose runs of 8 or 4 are rows of fixed grids.
#include <bit>

#include "formats/block_splitters.h"

namespace millrace {
namespace {

#include "formats/iq_grids.inc"

constexpr std::size_t kBlock = 256;

// The grids' digits stand for these (ggml-common.h).
constexpr std::array<int, 4> kIq2Digits = {8, 25, 43, 0};  // 3 does not occur.
constexpr std::array<int, 8> kIq3XxsDigits = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::array<int, 8> kIq3SDigits = {1, 3, 5, 7, 9, 11, 13, 15};

// Seven signs are stored, bit i for weight i; the eighth makes their number even.
unsigned eight_signs(unsigned seven_bits) {
  return seven_bits | (static_cast<unsigned>(std::popcount(seven_bits)) & 1u) << 7;
}

// Eight weights: two bits of `code` each.
void put_iq2_row(std::uint16_t code, unsigned signs, std::int8_t* quants) {
  for (std::size_t i = 0; i < 8; ++i) {
    const int value = kIq2Digits[code >> (2 * i) & 3u];
    quants[i] = as_quant((signs >> i & 1u) != 0 ? -value : value);
  }
}

// Four weights: four bits of `code` each.
void put_iq3_row(std::uint16_t code, unsigned signs, const std::array<int, 8>& digits,
                 std::int8_t* quants) {
  for (std::size_t i = 0; i < 4; ++i) {
    const int value = digits[code >> (4 * i) & 7u];
    quants[i] = as_quant((signs >> i & 1u) != 0 ? -value : value);
  }
}

// Eight weights grid + 1/8 or grid - 1/8, in eighths: two bits of `code` each, 0 … 2 for -1 … 1.
void put_iq1_row(std::uint16_t code, bool shifts_down, std::int8_t* quants) {
  for (std::size_t i = 0; i < 8; ++i) {
    const int value = 8 * (static_cast<int>(code >> (2 * i) & 3u) - 1);
    quants[i] = as_quant(shifts_down ? value - 1 : value + 1);
  }
}

// d * (s + 1/2) * share: exact, s has at most 4 bits.
float odd_scale(float scale, int s, float share) {
  return scale * (0.5f + static_cast<float>(s)) * share;
}

std::size_t index_of(const std::byte* low, int high) {
  return static_cast<std::size_t>(load_u8(low) | high << 8);
}

}  // namespace

//   | f16 d | 8 groups: | 4 x u8 grid row | u32: 4 x 7 signs, 4 bits of scale at the top | |
void split_iq2_xxs(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 8; ++g) {
    const std::byte* group = block + 2 + g * 8;
    const auto bits = load<std::uint32_t>(group + 4);
    parts.scales[g] = odd_scale(scale, static_cast<int>(bits >> 28), 0.25f);
    for (std::size_t i = 0; i < 4; ++i) {
      put_iq2_row(kIq2XxsGrid[index_of(group + i, 0)], eight_signs(bits >> (7 * i) & 127u),
                  parts.quants + g * 32 + i * 8);
    }
  }
}

//   | f16 d | 32 x u16: 9 bits of grid row, 7 signs | 8 bytes: 16 scales of 4 bits |
void split_iq2_xs(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 16; ++g) {
    parts.scales[g] = odd_scale(scale, load_bits(block + 66 + g / 2, g % 2 * 4, 4), 0.25f);
  }
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned bits = load<std::uint16_t>(block + 2 + 2 * i);
    put_iq2_row(kIq2XsGrid[bits & 511u], eight_signs(bits >> 9), parts.quants + i * 8);
  }
}

//   | f16 d | 32 x u8 grid row | 32 x u8 signs | 8 bytes: 2 high bits of 32 rows |
//   | 8 bytes: 16 scales of 4 bits |
void split_iq2_s(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 16; ++g) {
    parts.scales[g] = odd_scale(scale, load_bits(block + 74 + g / 2, g % 2 * 4, 4), 0.25f);
  }
  for (std::size_t i = 0; i < 32; ++i) {
    const std::size_t row = index_of(block + 2 + i, load_bits(block + 66 + i / 4, i % 4 * 2, 2));
    put_iq2_row(kIq2SGrid[row], static_cast<unsigned>(load_u8(block + 34 + i)),
                parts.quants + i * 8);
  }
}

//   | f16 d | 64 x u8 grid row | 8 x u32: 4 x 7 signs, 4 bits of scale at the top |
void split_iq3_xxs(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 8; ++g) {
    const auto bits = load<std::uint32_t>(block + 66 + 4 * g);
    parts.scales[g] = odd_scale(scale, static_cast<int>(bits >> 28), 0.5f);
    for (std::size_t i = 0; i < 8; ++i) {
      const unsigned signs = eight_signs(bits >> (i / 2 * 7) & 127u) >> (i % 2 * 4);
      put_iq3_row(kIq3XxsGrid[index_of(block + 2 + g * 8 + i, 0)], signs, kIq3XxsDigits,
                  parts.quants + g * 32 + i * 4);
    }
  }
}

//   | f16 d | 64 x u8 grid row | 8 bytes: high bit of 64 rows | 32 x u8 signs |
//   | 4 bytes: 8 scales of 4 bits |
void split_iq3_s(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 8; ++g) {
    const int s = load_bits(block + 106 + g / 2, g % 2 * 4, 4);
    parts.scales[g] = scale * static_cast<float>(1 + 2 * s);
  }
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t row = index_of(block + 2 + i, load_bits(block + 66 + i / 8, i % 8, 1));
    const auto signs = static_cast<unsigned>(load_bits(block + 74 + i / 2, i % 2 * 4, 4));
    put_iq3_row(kIq3SGrid[row], signs, kIq3SDigits, parts.quants + i * 4);
  }
}

//   | f16 d | 32 x u8 grid row | 8 x u16: 4 x 3 high bits of rows, 3 bits of scale, 1 of shift |
void split_iq1_s(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  for (std::size_t g = 0; g < 8; ++g) {
    const unsigned bits = load<std::uint16_t>(block + 34 + 2 * g);
    parts.scales[g] = scale * static_cast<float>(2 * (bits >> 12 & 7u) + 1) * 0.125f;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row =
          index_of(block + 2 + g * 4 + i, static_cast<int>(bits >> (3 * i) & 7u));
      put_iq1_row(kIq1Grid[row], (bits & 0x8000u) != 0, parts.quants + g * 32 + i * 8);
    }
  }
}

//   | 32 x u8 grid row | 32 x (3 high bits of row, 1 of shift) | 4 x u16: 4 x 3 bits of scale, |
//   | a quarter of f16 d at the top, lowest first |
void split_iq1_m(const std::byte* block, const BlockParts& parts) {
  unsigned scale_bits = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    scale_bits |= (load<std::uint16_t>(block + 48 + 2 * i) >> 12 & 15u) << (4 * i);
  }
  const float scale = to_float(Float16{static_cast<std::uint16_t>(scale_bits)});
  for (std::size_t g = 0; g < 16; ++g) {
    const unsigned bits = load<std::uint16_t>(block + 48 + g / 4 * 2);
    const unsigned s = bits >> (g % 4 * 3) & 7u;
    parts.scales[g] = scale * static_cast<float>(2 * s + 1) * 0.125f;
  }
  for (std::size_t i = 0; i < kBlock / 8; ++i) {
    const int bits = load_bits(block + 32 + i / 2, i % 2 * 4, 4);
    put_iq1_row(kIq1Grid[index_of(block + i, bits & 7)], (bits & 8) != 0, parts.quants + i * 8);
  }
}

//   | f16 d | u16: high 2 bits of 8 scales | 4 bytes: their low 4 | 8 groups: 16 x two q |
//
// Byte j of a group holds weights j and j + 16; x = d * (s - 32) * table[q].
void split_iq4_xs(const std::byte* block, const BlockParts& parts) {
  const float scale = load_half(block);
  const int high = load<std::uint16_t>(block + 2);
  for (std::size_t g = 0; g < 8; ++g) {
    const int s = load_bits(block + 4 + g / 2, g % 2 * 4, 4) | (high >> (2 * g) & 3) << 4;
    parts.scales[g] = scale * static_cast<float>(s - 32);
  }
  for (std::size_t i = 0; i < kBlock; ++i) {
    const int q = load_bits(block + 8 + i / 32 * 16 + i % 16, i % 32 / 16 * 4, 4);
    parts.quants[i] = kIq4Values[static_cast<std::size_t>(q)];
  }
}

}  // namespace millrace
