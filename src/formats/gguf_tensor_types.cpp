// The table of GGUF tensor types; numbers and block layouts are those of the ggml library.
#include "formats/gguf_tensor_types.h"

#include <array>

namespace millrace {
namespace {

constexpr std::string_view kActivations = "it holds activations, not weights";
constexpr std::string_view kRetired =
    "it was retired from GGUF; make the file again from its source model";
constexpr std::string_view kRepacked =
    "it was an arrangement for one kind of CPU; make the file again as Q4_0";
constexpr std::string_view kRepackedIq4 =
    "it was an arrangement for one kind of CPU; make the file again as IQ4_NL";
constexpr std::string_view kNew = "make the file again in one of the K types";

constexpr std::array<GgufTensorType, 42> kTypes = {{
    {0, "F32", 1, 4, DType::kF32},
    {1, "F16", 1, 2, DType::kF16},
    {2, "Q4_0", 32, 18, DType::kQ4_0},
    {3, "Q4_1", 32, 20, DType::kQ4_1},
    {4, "Q4_2", 0, 0, std::nullopt, kRetired},
    {5, "Q4_3", 0, 0, std::nullopt, kRetired},
    {6, "Q5_0", 32, 22, DType::kQ5_0},
    {7, "Q5_1", 32, 24, DType::kQ5_1},
    {8, "Q8_0", 32, 34, DType::kQ8_0},
    {9, "Q8_1", 32, 36, std::nullopt, kActivations},
    {10, "Q2_K", 256, 84, DType::kQ2_K},
    {11, "Q3_K", 256, 110, DType::kQ3_K},
    {12, "Q4_K", 256, 144, DType::kQ4_K},
    {13, "Q5_K", 256, 176, DType::kQ5_K},
    {14, "Q6_K", 256, 210, DType::kQ6_K},
    {15, "Q8_K", 256, 292, std::nullopt, kActivations},
    {16, "IQ2_XXS", 256, 66, DType::kIQ2_XXS},
    {17, "IQ2_XS", 256, 74, DType::kIQ2_XS},
    {18, "IQ3_XXS", 256, 98, DType::kIQ3_XXS},
    {19, "IQ1_S", 256, 50, DType::kIQ1_S},
    {20, "IQ4_NL", 32, 18, DType::kIQ4_NL},
    {21, "IQ3_S", 256, 110, DType::kIQ3_S},
    {22, "IQ2_S", 256, 82, DType::kIQ2_S},
    {23, "IQ4_XS", 256, 136, DType::kIQ4_XS},
    {24, "I8", 1, 1, DType::kI8},
    {25, "I16", 1, 2, DType::kI16},
    {26, "I32", 1, 4, DType::kI32},
    {27, "I64", 1, 8, DType::kI64},
    {28, "F64", 1, 8, DType::kF64},
    {29, "IQ1_M", 256, 56, DType::kIQ1_M},
    {30, "BF16", 1, 2, DType::kBF16},
    {31, "Q4_0_4_4", 0, 0, std::nullopt, kRepacked},
    {32, "Q4_0_4_8", 0, 0, std::nullopt, kRepacked},
    {33, "Q4_0_8_8", 0, 0, std::nullopt, kRepacked},
    {34, "TQ1_0", 256, 54, DType::kTQ1_0},
    {35, "TQ2_0", 256, 66, DType::kTQ2_0},
    {36, "IQ4_NL_4_4", 0, 0, std::nullopt, kRepackedIq4},
    {37, "IQ4_NL_4_8", 0, 0, std::nullopt, kRepackedIq4},
    {38, "IQ4_NL_8_8", 0, 0, std::nullopt, kRepackedIq4},
    {39, "MXFP4", 32, 17, DType::kMXFP4},
    {40, "NVFP4", 64, 36, std::nullopt, kNew},
    {41, "Q1_0", 128, 18, std::nullopt, kNew},
}};

}  // namespace

std::span<const GgufTensorType> gguf_tensor_types() {
  return kTypes;
}

const GgufTensorType* gguf_tensor_type(std::uint32_t number) {
  for (const GgufTensorType& type : kTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

const GgufTensorType* gguf_tensor_type(DType dtype) {
  for (const GgufTensorType& type : kTypes) {
    if (type.dtype == dtype) return &type;
  }
  return nullptr;
}

}  // namespace millrace
