// The table of element types.
#include "tensor/dtype.h"

#include <array>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

constexpr std::array<QuantFormat, kNumDTypes> kFormats = {{
    {"f32", 1, 4},
    {"f16", 1, 2},
    {"bf16", 1, 2},
    {"f64", 1, 8},
    {"i8", 1, 1},
    {"u8", 1, 1},
    {"i16", 1, 2},
    {"i32", 1, 4},
    {"i64", 1, 8},
    {"bool", 1, 1},
    {"q8_0", 32, 34},
    {"q4_0", 32, 18},
    {"q4_1", 32, 20},
}};

}  // namespace

const QuantFormat& quant_format(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  CHECK(index < kFormats.size());
  return kFormats[index];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kFormats.size(); ++i) {
    if (kFormats[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> storage_bytes(DType dtype, std::uint64_t num_elements) {
  const QuantFormat& format = quant_format(dtype);
  if (num_elements % format.group_size != 0) return std::nullopt;
  return checked_mul(num_elements / format.group_size, format.group_bytes);
}

std::size_t element_bytes(DType dtype) {
  const QuantFormat& format = quant_format(dtype);
  CHECK(format.group_size == 1);
  return format.group_bytes;
}

}  // namespace millrace
