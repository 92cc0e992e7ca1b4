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
  kQ8_0,  // GGUF: f16 scale, 32 x int8.                              x = d * q
  kQ4_0,  // GGUF: f16 scale, 32 x 4 bits; low nibbles are 0..15.     x = d * (q - 8)
  kQ4_1,  // GGUF: f16 scale, f16 minimum, 32 x 4 bits.               x = d * q + m
};
inline constexpr std::size_t kNumDTypes = 13;

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
