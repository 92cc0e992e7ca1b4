// The table of block types: the shape of their groups, and what takes a block apart.
#include "formats/decode_blocks.h"

#include "base/check.h"
#include "formats/block_splitters.h"

namespace millrace {
namespace {

struct BlockType {
  DType dtype;
  QuantKind kind;
  void (*split)(const std::byte* block, const BlockParts& parts);
};

constexpr bool kMinimum = true;
constexpr bool kNoMinimum = false;
constexpr bool kHalf = true;
constexpr bool kFloat = false;

constexpr std::array<BlockType, 22> kBlockTypes = {{
    {DType::kQ8_0, {32, -128, 127, kNoMinimum, kHalf}, split_q8_0},
    {DType::kQ4_0, {32, -8, 7, kNoMinimum, kHalf}, split_q4_0},
    {DType::kQ4_1, {32, 0, 15, kMinimum, kHalf}, split_q4_1},
    {DType::kQ5_0, {32, -16, 15, kNoMinimum, kHalf}, split_q5_0},
    {DType::kQ5_1, {32, 0, 31, kMinimum, kHalf}, split_q5_1},
    {DType::kQ2_K, {16, 0, 3, kMinimum, kFloat}, split_q2_k},
    {DType::kQ3_K, {16, -4, 3, kNoMinimum, kFloat}, split_q3_k},
    {DType::kQ4_K, {32, 0, 15, kMinimum, kFloat}, split_q4_k},
    {DType::kQ5_K, {32, 0, 31, kMinimum, kFloat}, split_q5_k},
    {DType::kQ6_K, {16, -32, 31, kNoMinimum, kFloat}, split_q6_k},
    {DType::kIQ2_XXS, {32, -43, 43, kNoMinimum, kFloat}, split_iq2_xxs},
    {DType::kIQ2_XS, {16, -43, 43, kNoMinimum, kFloat}, split_iq2_xs},
    {DType::kIQ2_S, {16, -43, 43, kNoMinimum, kFloat}, split_iq2_s},
    {DType::kIQ3_XXS, {32, -62, 62, kNoMinimum, kFloat}, split_iq3_xxs},
    {DType::kIQ3_S, {32, -15, 15, kNoMinimum, kFloat}, split_iq3_s},
    {DType::kIQ1_S, {32, -9, 9, kNoMinimum, kFloat}, split_iq1_s},
    {DType::kIQ1_M, {16, -9, 9, kNoMinimum, kFloat}, split_iq1_m},
    {DType::kIQ4_NL, {32, -127, 113, kNoMinimum, kHalf, QuantValues::kIq4}, split_iq4_nl},
    {DType::kIQ4_XS, {32, -127, 113, kNoMinimum, kFloat, QuantValues::kIq4}, split_iq4_xs},
    {DType::kTQ1_0, {256, -1, 1, kNoMinimum, kHalf}, split_tq1_0},
    {DType::kTQ2_0, {256, -1, 2, kNoMinimum, kHalf}, split_tq2_0},
    {DType::kMXFP4, {32, -12, 12, kNoMinimum, kFloat, QuantValues::kE2m1}, split_mxfp4},
}};

const BlockType* find_type(DType dtype) {
  for (const BlockType& type : kBlockTypes) {
    if (type.dtype == dtype) return &type;
  }
  return nullptr;
}

}  // namespace

std::optional<QuantKind> quant_kind(DType dtype) {
  const BlockType* type = find_type(dtype);
  return type == nullptr ? std::nullopt : std::optional(type->kind);
}

void split_blocks(DType dtype, std::span<const std::byte> bytes, const QuantSpans& out) {
  const BlockType* type = find_type(dtype);
  CHECK(type != nullptr);
  const QuantFormat& format = quant_format(dtype);
  const std::size_t num_blocks = out.quants.size() / format.group_size;
  const std::size_t num_groups = format.group_size / type->kind.group_size;  // Of a block.
  CHECK(out.quants.size() == num_blocks * format.group_size);
  CHECK(bytes.size() == num_blocks * format.group_bytes);
  CHECK(out.scales.size() == num_blocks * num_groups);
  CHECK(out.minima.size() == (type->kind.has_minimum ? num_blocks * num_groups : 0));
  for (std::size_t b = 0; b < num_blocks; ++b) {
    float* minima = type->kind.has_minimum ? out.minima.data() + b * num_groups : nullptr;
    type->split(bytes.data() + b * format.group_bytes,
                {.quants = out.quants.data() + b * format.group_size,
                 .scales = out.scales.data() + b * num_groups,
                 .minima = minima});
  }
}

}  // namespace millrace
