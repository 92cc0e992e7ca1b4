// The element types that safetensors files name, ours and others, with their sizes in bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace millrace {

struct SafetensorsType {
  std::string_view name;
  std::uint32_t bits;
  std::optional<DType> dtype;  // Nothing when this program cannot read it.
};

// Null for names that are not known.
const SafetensorsType* safetensors_type(std::string_view name);
// The row of one of our types; null for block types, which safetensors lacks.
const SafetensorsType* safetensors_type(DType dtype);

}  // namespace millrace
