// One function for each block type, which takes one block apart. Used by decode_*.cpp only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/byte_reader.h"
#include "tensor/half.h"
#include "tensor/quant_groups.h"

namespace millrace {

// Where one block's quants, scales and minima go.
struct BlockParts {
  std::int8_t* quants;
  float* scales;
  float* minima;
};

inline float load_half(const std::byte* at) {
  return to_float(load<Float16>(at));
}
inline int load_u8(const std::byte* at) {
  return load<std::uint8_t>(at);
}
// Bits [shift, shift + num_bits) of the byte at `at`.
inline int load_bits(const std::byte* at, std::size_t shift, unsigned num_bits) {
  return (load_u8(at) >> shift) & ((1 << num_bits) - 1);
}
inline std::int8_t as_quant(int value) {
  return static_cast<std::int8_t>(value);
}

void split_q8_0(const std::byte* block, const BlockParts& parts);
void split_q4_0(const std::byte* block, const BlockParts& parts);
void split_q4_1(const std::byte* block, const BlockParts& parts);
void split_q5_0(const std::byte* block, const BlockParts& parts);
void split_q5_1(const std::byte* block, const BlockParts& parts);
void split_iq4_nl(const std::byte* block, const BlockParts& parts);
void split_mxfp4(const std::byte* block, const BlockParts& parts);
void split_tq1_0(const std::byte* block, const BlockParts& parts);
void split_tq2_0(const std::byte* block, const BlockParts& parts);

void split_q2_k(const std::byte* block, const BlockParts& parts);
void split_q3_k(const std::byte* block, const BlockParts& parts);
void split_q4_k(const std::byte* block, const BlockParts& parts);
void split_q5_k(const std::byte* block, const BlockParts& parts);
void split_q6_k(const std::byte* block, const BlockParts& parts);

void split_iq2_xxs(const std::byte* block, const BlockParts& parts);
void split_iq2_xs(const std::byte* block, const BlockParts& parts);
void split_iq2_s(const std::byte* block, const BlockParts& parts);
void split_iq3_xxs(const std::byte* block, const BlockParts& parts);
void split_iq3_s(const std::byte* block, const BlockParts& parts);
void split_iq1_s(const std::byte* block, const BlockParts& parts);
void split_iq1_m(const std::byte* block, const BlockParts& parts);
void split_iq4_xs(const std::byte* block, const BlockParts& parts);

}  // namespace millrace
