// The table of element types.
#include "tensor/dtype.h"

#include <array>

#include "base/check.h"
#include "base/checked.h"

namespace millrace {
namespace {

constexpr std::array<QuantFormat, kNumDTypes> kFormats = {{
    {"f32", 1, 4},        {"f16", 1, 2},        {"bf16", 1, 2},      {"f64", 1, 8},
    {"i8", 1, 1},         {"u8", 1, 1},         {"i16", 1, 2},       {"i32", 1, 4},
    {"i64", 1, 8},        {"bool", 1, 1},       {"f8_e4m3", 1, 1},   {"q8_0", 32, 34},
    {"q4_0", 32, 18},     {"q4_1", 32, 20},     {"q5_0", 32, 22},    {"q5_1", 32, 24},
    {"q2_k", 256, 84},    {"q3_k", 256, 110},   {"q4_k", 256, 144},  {"q5_k", 256, 176},
    {"q6_k", 256, 210},   {"iq2_xxs", 256, 66}, {"iq2_xs", 256, 74}, {"iq2_s", 256, 82},
    {"iq3_xxs", 256, 98}, {"iq3_s", 256, 110},  {"iq1_s", 256, 50},  {"iq1_m", 256, 56},
    {"iq4_nl", 32, 18},   {"iq4_xs", 256, 136}, {"tq1_0", 256, 54},  {"tq2_0", 256, 66},
    {"mxfp4", 32, 17},
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
