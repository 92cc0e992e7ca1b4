// Blocks and halves: golden bytes from the gguf package, and the error that rounding may have.
#include "formats/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "formats/decode.h"
#include "formats/safetensors.h"
#include "formats/test_support.h"
#include "tensor/half.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

constexpr DType kBlockTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1};

std::unique_ptr<SafetensorsFolder> golden_blocks() {
  return MUST(SafetensorsFolder::open_file(  // part of the project
      std::filesystem::path(MILLRACE_TEST_DATA).parent_path() /
      "golden/models/blocks.safetensors"));
}

std::vector<float> floats_of(const SourceTensor& tensor) {
  std::vector<float> values(tensor.shape.num_elements());
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

std::vector<std::byte> encode_all(DType dtype, std::span<const float> values) {
  std::vector<std::byte> bytes(*storage_bytes(dtype, values.size()));
  const Status status = encode(dtype, values, bytes);
  EXPECT_TRUE(status.ok()) << message_of(status);
  return bytes;
}

std::vector<float> decode_all(DType dtype, std::span<const std::byte> bytes, std::size_t count) {
  std::vector<float> values(count);
  decode(dtype, bytes, values);
  return values;
}

TEST(Decode, GivesTheGoldenValuesOfBlocks) {
  const auto golden = golden_blocks();
  for (const DType dtype : kBlockTypes) {
    const std::string name(dtype_name(dtype));
    const SourceTensor blocks = MUST(golden->tensor(name + ".blocks"));
    const std::vector<float> want = floats_of(MUST(golden->tensor(name + ".values")));
    const std::vector<float> got = decode_all(dtype, blocks.bytes, want.size());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << name;
  }
}

TEST(Encode, GivesTheGoldenBlocksOfValues) {
  const auto golden = golden_blocks();
  for (const DType dtype : kBlockTypes) {
    const std::string name(dtype_name(dtype));
    const std::vector<float> rows = floats_of(MUST(golden->tensor(name + ".rows")));
    const SourceTensor want = MUST(golden->tensor(name + ".encoded"));
    const std::vector<std::byte> got = encode_all(dtype, rows);
    ASSERT_EQ(got.size(), want.bytes.size());
    EXPECT_EQ(std::memcmp(got.data(), want.bytes.data(), got.size()), 0) << name;
  }
}

// Half a step for the quant, plus the stored scale's relative error of 2^-11 times the quant, plus
// the minimum's (q4_1); q4_0 clips one side by a whole step. Floats of the formula add a few ulp.
TEST(Encode, ErrorsStayWithinHalfAStep) {
  Random random(11);
  for (const DType dtype : kBlockTypes) {
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<float> values(32);
      for (float& x : values)
        x = static_cast<float>((random.uniform() - 0.5) * std::ldexp(1.0, trial % 20 - 10));
      float least = values[0];
      float most = values[0];
      for (const float x : values) {
        least = std::min(least, x);
        most = std::max(most, x);
      }
      const double magnitude = std::max(std::fabs(double{least}), std::fabs(double{most}));
      const double step = dtype == DType::kQ8_0   ? magnitude / 127
                          : dtype == DType::kQ4_0 ? magnitude / 8
                                                  : (double{most} - double{least}) / 15;
      const double half_steps = dtype == DType::kQ4_0 ? 1.0 : 0.5;
      // Two demotions to f16 at most; below 2^-14 they are absolute, 2^-25.
      const double demotions = magnitude * 3 * 0x1p-11 + 127 * 0x1p-25;
      const auto bytes = encode_all(dtype, values);
      const auto decoded = decode_all(dtype, bytes, values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_LE(std::fabs(double{decoded[i]} - double{values[i]}),
                  step * half_steps + demotions + magnitude * 0x1p-20)
            << dtype_name(dtype) << " " << i;
      }
    }
  }
}

TEST(Encode, PlainTypesRoundTrip) {
  const std::vector<float> values = {0.0f, -0.0f, 1.0f, -2.5f, 65504.0f, 0x1p-24f, INFINITY};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto decoded = decode_all(dtype, encode_all(dtype, values), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      // 65504 has 11 bits of mantissa and rounds up in bf16's 8.
      const float want = dtype == DType::kBF16 && i == 4 ? 65536.0f : values[i];
      EXPECT_EQ(decoded[i], want) << dtype_name(dtype);
      EXPECT_EQ(std::signbit(decoded[i]), std::signbit(want));
    }
  }
}

TEST(Encode, RefusesWhatATypeCannotHold) {
  const auto message_for = [](DType dtype, std::size_t at, float value) {
    std::vector<float> values(64, 1.0f);
    values[at] = value;
    std::vector<std::byte> bytes(*storage_bytes(dtype, values.size()));
    return message_of(encode(dtype, values, bytes));
  };
  EXPECT_EQ(message_for(DType::kF16, 40, 65520.0f),
            "f16 cannot hold the value 65520.000000 of element 40");
  EXPECT_EQ(message_for(DType::kF16, 40, 65519.0f), "no error");
  EXPECT_THAT(message_for(DType::kBF16, 3, std::numeric_limits<float>::max()),
              HasSubstr("of element 3"));
  for (const DType dtype : kBlockTypes) {
    EXPECT_THAT(message_for(dtype, 40, NAN), HasSubstr("cannot hold the value nan of element 40"));
    EXPECT_THAT(message_for(dtype, 7, -INFINITY), HasSubstr("value -inf of element 7"));
    EXPECT_THAT(message_for(dtype, 63, 1e30f), HasSubstr("of element 63"));
    // Scales of 65504 and less: what f16 holds.
    EXPECT_EQ(message_for(dtype, 63, 65504.0f * 8), "no error");
  }
  EXPECT_THAT(message_for(DType::kQ4_1, 5, -1e5f), HasSubstr("of element 5"));
}

// The range of finite values may be infinite; found by fuzzing.
TEST(Encode, RefusesARangeBeyondFloat) {
  std::vector<float> values(32, std::numeric_limits<float>::max());
  values[1] = -values[0];
  for (const DType dtype : kBlockTypes) {
    std::vector<std::byte> bytes(*storage_bytes(dtype, values.size()));
    EXPECT_THAT(message_of(encode(dtype, values, bytes)), HasSubstr("cannot hold"));
  }
}

TEST(Encode, TinyValuesBecomeZeros) {
  for (const DType dtype : kBlockTypes) {
    const std::vector<float> values(32, std::numeric_limits<float>::denorm_min());
    for (const float x : decode_all(dtype, encode_all(dtype, values), values.size()))
      EXPECT_EQ(x, 0.0f) << dtype_name(dtype);
  }
}

TEST(DecodeRows, ReadsAnyRowsAtAnyAddress) {
  std::vector<float> values(6 * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) - 8.0f;
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1}) {
    const auto bytes = encode_all(dtype, values);
    std::vector<std::byte> shifted(bytes.size() + 1);  // An odd address.
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
    const SourceTensor tensor{"t", dtype, Shape{6, 32}, std::span(shifted).subspan(1)};
    std::vector<float> rows(2 * 32);
    ASSERT_TRUE(decode_rows(tensor, 3, 2, rows).ok());
    const auto all = decode_all(dtype, bytes, values.size());
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), all.begin() + 3 * 32)) << dtype_name(dtype);
  }
}

// A quantised vector is read whole; found by fuzzing.
TEST(DecodeRows, RefusesToPartAGroup) {
  const std::vector<float> values(64, 127.0f);  // A scale of one: exact.
  const auto bytes = encode_all(DType::kQ8_0, values);
  const SourceTensor tensor{"v", DType::kQ8_0, Shape{64}, bytes};
  std::vector<float> read(64);
  EXPECT_TRUE(decode_rows(tensor, 0, 64, read).ok());
  EXPECT_EQ(read[63], 127.0f);
  EXPECT_TRUE(decode_rows(tensor, 32, 32, std::span(read).first(32)).ok());
  EXPECT_EQ(message_of(decode_rows(tensor, 0, 1, std::span(read).first(1))),
            "tensor 'v' of type q8_0 and shape [64] has rows inside a group of 32");
}

TEST(DecodeRows, RoundsDoublesAndRefusesIntegers) {
  const double doubles[] = {1.0 + 0x1p-30, -0.1};
  const SourceTensor tensor{"d", DType::kF64, Shape{2}, std::as_bytes(std::span(doubles))};
  std::vector<float> values(2);
  ASSERT_TRUE(decode_rows(tensor, 0, 2, values).ok());
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -0.1f);
  const SourceTensor indices{"i", DType::kI64, Shape{2}, std::as_bytes(std::span(doubles))};
  EXPECT_EQ(
      message_of(decode_rows(indices, 0, 2, values)),
      "tensor 'i' is of type i64, expected f32, f16, bf16, f64, f8_e4m3 or a block type of GGUF");
}

}  // namespace
}  // namespace millrace
