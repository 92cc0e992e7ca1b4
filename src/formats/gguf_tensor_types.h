// The tensor types that GGUF files name by number, ours and others, with the size of their blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/dtype.h"

namespace millrace {

struct GgufTensorType {
  std::uint32_t number;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  std::optional<DType> dtype;  // Nothing when this program cannot read it; then `advice` says what
  std::string_view advice = {};  // it is and what to do.
};

// By number: all that were ever given out, as far as known. Retired ones have blocks of 0 bytes,
// because their size is nobody's business any more.
std::span<const GgufTensorType> gguf_tensor_types();
// Null for numbers that are not known.
const GgufTensorType* gguf_tensor_type(std::uint32_t number);
// The row of one of our types; nothing for bool, which GGUF lacks.
const GgufTensorType* gguf_tensor_type(DType dtype);

}  // namespace millrace
