// The tensor types that GGUF files name by number, ours and others, with the size of their blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace millrace {

struct GgufTensorType {
  std::uint32_t number;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  std::optional<DType> dtype;  // Nothing when this program cannot read it.
};

// Null for numbers that are retired or not known.
const GgufTensorType* gguf_tensor_type(std::uint32_t number);
// The row of one of our types; nothing for bool, which GGUF lacks.
const GgufTensorType* gguf_tensor_type(DType dtype);

}  // namespace millrace
