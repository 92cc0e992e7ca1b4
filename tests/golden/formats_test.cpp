// Every tensor type that GGUF numbers: its golden blocks decode to the very floats, or it is
// refused by name. Prints and records the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "formats/decode.h"
#include "formats/decode_blocks.h"
#include "formats/gguf_tensor_types.h"
#include "formats/safetensors.h"
#include "kernels/packed_matrix.h"
#include "support/support_table.h"
#include "tensor/buffer.h"

namespace millrace {
namespace {

std::string lower(std::string_view name) {
  std::string text(name);
  for (char& letter : text) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return text;
}

// FNV-1a over the bytes of the values, a NaN being 0x7FC00000: as make_blocks.py.
std::uint64_t hash_of(std::span<const float> values) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const float value : values) {
    const std::uint32_t bits =
        std::isnan(value) ? 0x7FC00000u : std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (bits >> shift & 255u)) * 0x100000001B3u;
    }
  }
  return hash;
}

std::vector<float> decoded(DType dtype, std::span<const std::byte> bytes) {
  const QuantFormat& format = quant_format(dtype);
  std::vector<float> values(bytes.size() / format.group_bytes * format.group_size);
  decode(dtype, bytes, values);
  return values;
}

class GoldenBlocks : public ::testing::Test {
 protected:
  std::span<const std::byte> bytes_of(const std::string& name) const {
    return MUST(golden_->tensor(name)).bytes;  // a file of ours
  }
  // How many of the type's blocks decode to the values whose hashes are stored.
  SupportRow compare(const GgufTensorType& type) const {
    const std::string name = lower(type.name);
    SupportRow row;
    row.area = "GGUF type";
    row.name = type.name;
    const std::vector<float> values = decoded(*type.dtype, bytes_of(name + ".blocks"));
    const auto hashes = bytes_of(name + ".hashes");
    row.num_all = hashes.size() / sizeof(std::uint64_t);
    EXPECT_EQ(values.size(), row.num_all * type.block_elements);
    for (std::size_t i = 0; i < row.num_all; ++i) {
      std::uint64_t hash = 0;
      std::memcpy(&hash, hashes.data() + i * sizeof hash, sizeof hash);
      const auto block = std::span(values).subspan(i * type.block_elements, type.block_elements);
      row.num_equal += hash_of(block) == hash ? 1 : 0;
    }
    return row;
  }

  // A file of ours.
  std::unique_ptr<SafetensorsFolder> golden_ =
      MUST(SafetensorsFolder::open_file(MILLRACE_GOLDEN "/formats/blocks.safetensors"));
};

// Types without blocks are f32, f16, bf16 and f64, whose values half_test.cpp covers one by one,
// and integers.
SupportRow plain_row(const GgufTensorType& type) {
  SupportRow row;
  row.area = "GGUF type";
  row.name = type.name;
  if (!type.dtype) {
    row.note = "not supported: " + std::string(type.advice);
    EXPECT_FALSE(type.advice.empty()) << type.name;
  } else {
    row.note = can_decode(*type.dtype) ? "plain floats" : "integers: read, but no weights";
  }
  return row;
}

TEST_F(GoldenBlocks, OfEveryTypeAreEqual) {
  std::size_t num_block_types = 0;
  for (const GgufTensorType& type : gguf_tensor_types()) {
    if (!type.dtype || !is_block_type(*type.dtype)) {
      record_support(plain_row(type));
      continue;
    }
    const SupportRow row = compare(type);
    record_support(row);
    EXPECT_EQ(row.num_equal, row.num_all) << type.name;
    EXPECT_GT(row.num_all, 20u) << type.name;
    ++num_block_types;
  }
  EXPECT_EQ(num_block_types, 22u);
}

// What a row of the type's golden blocks is after packing: decoded bits, NaN for NaN.
void expect_packs_without_loss(DType dtype, std::span<const std::byte> bytes) {
  const QuantKind kind = *quant_kind(dtype);
  const std::optional<WeightFormat> format = lossless_format(kind);
  ASSERT_TRUE(format.has_value()) << dtype_name(dtype);
  const std::vector<float> values = decoded(dtype, bytes);
  std::vector<std::int8_t> quants(values.size());
  std::vector<float> scales(values.size() / kind.group_size);
  std::vector<float> minima(kind.has_minimum ? scales.size() : 0);
  split_blocks(dtype, bytes, {.quants = quants, .scales = scales, .minima = minima});
  // A file of ours is small.
  Buffer buffer = MUST(Buffer::allocate(MUST(packed_bytes(*format, 1, values.size()))));
  PackedMatrix matrix = {*format, 1, values.size(), buffer.bytes().data()};
  pack_quant_rows({.quants = quants.data(),
                   .scales = scales.data(),
                   .minima = kind.has_minimum ? minima.data() : nullptr,
                   .num_rows = 1,
                   .num_cols = values.size(),
                   .group_size = kind.group_size},
                  0, matrix);
  std::vector<float> unpacked(values.size());
  unpack_row(matrix, 0, unpacked.data());
  std::size_t num_equal = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    num_equal +=
        std::bit_cast<std::uint32_t>(values[i]) == std::bit_cast<std::uint32_t>(unpacked[i]) ||
                (std::isnan(values[i]) && std::isnan(unpacked[i]))
            ? 1
            : 0;
  }
  EXPECT_EQ(num_equal, values.size()) << dtype_name(dtype);
  std::printf("%-8s packs as %-12s %4.1f bits a weight\n", std::string(dtype_name(dtype)).c_str(),
              std::string(weight_format_name(*format)).c_str(), weight_format_bits(*format));
}

TEST_F(GoldenBlocks, PackWithoutLoss) {
  for (const GgufTensorType& type : gguf_tensor_types()) {
    if (!type.dtype || !is_block_type(*type.dtype)) continue;
    expect_packs_without_loss(*type.dtype, bytes_of(lower(type.name) + ".blocks"));
  }
}

// For whoever looks for what is wrong: the first block, value by value.
TEST_F(GoldenBlocks, FirstBlockByValue) {
  for (const GgufTensorType& type : gguf_tensor_types()) {
    if (!type.dtype || !is_block_type(*type.dtype)) continue;
    const auto blocks = bytes_of(lower(type.name) + ".blocks");
    const std::vector<float> found = decoded(*type.dtype, blocks.first(type.block_bytes));
    std::vector<float> expected(type.block_elements);
    const auto values = bytes_of(lower(type.name) + ".values");
    ASSERT_EQ(values.size(), expected.size() * sizeof(float));
    std::memcpy(expected.data(), values.data(), values.size());
    EXPECT_EQ(found, expected) << type.name;
  }
}

}  // namespace
}  // namespace millrace
