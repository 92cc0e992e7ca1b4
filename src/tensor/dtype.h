// Element types and block-quantised layouts of tensors as they lie in files and in caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// How a tensor's bytes encode its elements. Plain types first, then block types that exist in
// files: a block of `group_size` consecutive elements of the last dimension in `group_bytes` bytes.
enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kI32,
  kI64,
  kBool,
  kF8E4M3,  // 1 sign, 4 exponent, 3 mantissa; no infinities
  // GGUF's block types: small integers q times scales d (times block scales s). The layouts are
  // drawn in formats/decode_*.cpp.
  kQ8_0,     // 32 x 8 bits.                     x = d * q
  kQ4_0,     // 32 x 4 bits.                     x = d * (q - 8)
  kQ4_1,     // 32 x 4 bits.                     x = d * q + m
  kQ5_0,     // 32 x 5 bits.                     x = d * (q - 16)
  kQ5_1,     // 32 x 5 bits.                     x = d * q + m
  kQ2_K,     // 16 groups of 16 x 2 bits.        x = d * s * q - m
  kQ3_K,     // 16 groups of 16 x 3 bits.        x = d * s * (q - 4)
  kQ4_K,     // 8 groups of 32 x 4 bits.         x = d * s * q - m
  kQ5_K,     // 8 groups of 32 x 5 bits.         x = d * s * q - m
  kQ6_K,     // 16 groups of 16 x 6 bits.        x = d * s * (q - 32)
  kIQ2_XXS,  // 8 groups of 32, rows of a grid.  x = d * s * grid
  kIQ2_XS,   // 16 groups of 16, likewise.
  kIQ2_S,    // 16 groups of 16, likewise.
  kIQ3_XXS,  // 8 groups of 32, likewise.
  kIQ3_S,    // 8 groups of 32, likewise.
  kIQ1_S,    // 8 groups of 32.                  x = d * s * (grid +- 1/8)
  kIQ1_M,    // 16 groups of 16, likewise.
  kIQ4_NL,   // 32 x 4 bits.                     x = d * table[q]
  kIQ4_XS,   // 8 groups of 32 x 4 bits.         x = d * s * table[q]
  kTQ1_0,    // 256 x ternary digits.            x = d * (q - 1)
  kTQ2_0,    // 256 x 2 bits.                    x = d * (q - 1)
  kMXFP4,    // 32 x e2m1 floats.                x = 2^e * table[q]
};
inline constexpr std::size_t kNumDTypes = 33;

// Name, elements and bytes of the smallest unit that can be decoded on its own. Plain types have
// groups of one.
struct QuantFormat {
  std::string_view name;
  std::uint32_t group_size;
  std::uint32_t group_bytes;
};

const QuantFormat& quant_format(DType dtype);

inline std::string_view dtype_name(DType dtype) {
  return quant_format(dtype).name;
}
inline bool is_block_type(DType dtype) {
  return quant_format(dtype).group_size > 1;
}

// The type that bears `name` ("f32", "bf16", "q8_0", …), if there is one.
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes of `num_elements` elements; nothing when that overflows or is no whole number of groups.
std::optional<std::uint64_t> storage_bytes(DType dtype, std::uint64_t num_elements);

// Bytes of one element of a plain type.
std::size_t element_bytes(DType dtype);

}  // namespace millrace
