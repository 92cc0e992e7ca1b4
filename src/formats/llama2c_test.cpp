// llama2.c files: the layout, and every header field lied about in turn.
#include "formats/llama2c.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "formats/test_support.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

// dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len.
using Header = std::array<std::int32_t, 7>;
constexpr Header kGood = {8, 12, 2, 2, 1, 10, 6};

// Elements in the file: embeddings and norms, two layers, the tables of rope.
constexpr std::size_t kNumFloats =
    10 * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 3 * 96) + 8 + 2 * 6 * 2;

std::string image_of(const Header& header, std::size_t num_floats) {
  std::string image;
  for (const std::int32_t field : header) image += encoded(field);
  for (std::size_t i = 0; i < num_floats; ++i) image += encoded(static_cast<float>(i));
  return image;
}

float first_value(const TensorInfo& info) {
  float value = 0;
  std::memcpy(&value, info.bytes.data(), sizeof(value));
  return value;
}

TEST(Llama2c, LaysTensorsOutInTheOrderOfTheFile) {
  const std::string image = image_of(kGood, kNumFloats);
  const Llama2cImage parsed = MUST(parse_llama2c(bytes_of(image), "x"));  // well-formed
  EXPECT_TRUE(parsed.config.shares_classifier);
  EXPECT_EQ(parsed.config.head_dim(), 4u);
  EXPECT_EQ(parsed.config.vocabulary_size, 10u);
  ASSERT_EQ(parsed.tensors.size(), 2u + 9u * 2u);
  EXPECT_EQ(parsed.tensors[0].name, "model.embed_tokens.weight");
  EXPECT_EQ(parsed.tensors[0].shape, (Shape{10, 8}));
  EXPECT_EQ(parsed.tensors[2].name, "model.layers.1.input_layernorm.weight");
  EXPECT_EQ(first_value(parsed.tensors[2]), 88.0f);
  EXPECT_EQ(parsed.tensors[5].name, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(parsed.tensors[5].shape, (Shape{4, 8}));
  EXPECT_EQ(first_value(parsed.tensors[5]), 80.0f + 16 + 128);
  EXPECT_EQ(parsed.tensors[15].name, "model.layers.0.mlp.down_proj.weight");
  EXPECT_EQ(parsed.tensors[15].shape, (Shape{8, 12}));
  EXPECT_EQ(parsed.tensors.back().name, "model.norm.weight");
}

TEST(Llama2c, NegativeVocabularyMeansAClassifierOfItsOwn) {
  Header header = kGood;
  header[5] = -10;
  const std::string image = image_of(header, kNumFloats + 80);
  const Llama2cImage parsed = MUST(parse_llama2c(bytes_of(image), "x"));  // well-formed
  EXPECT_FALSE(parsed.config.shares_classifier);
  EXPECT_EQ(parsed.config.vocabulary_size, 10u);
  EXPECT_EQ(parsed.tensors.back().name, "lm_head.weight");
  EXPECT_EQ(first_value(parsed.tensors.back()), static_cast<float>(kNumFloats));
}

TEST(Llama2c, LiesAreRefusedByName) {
  struct Lie {
    std::size_t field;
    std::int32_t value;
    const char* message;
  };
  const Lie kLies[] = {
      {0, 0, "field dim is 0"},
      {0, -8, "field dim is -8"},
      {0, 9, "field dim is 9 for 2 heads"},
      {0, 6, "field dim is 6 for 2 heads"},
      {0, 16, "needs more than the"},
      {0, 0x616b3432, "has version 12 of the format"},
      {0, INT32_MAX, "field dim is 2147483647, expected 1 to 16777216"},
      {1, 0, "field hidden_dim is 0"},
      {1, 13, "needs more than the"},
      {1, 1 << 24, "needs more than the"},
      {2, 0, "field n_layers is 0"},
      {2, 3, "needs more than the"},
      {2, 1, "bytes after its last tensor"},
      {2, 1 << 20, "field n_layers is 1048576, expected at most 4096"},
      {3, 0, "field n_heads is 0"},
      {3, 3, "field dim is 8 for 3 heads"},
      {4, 0, "field n_kv_heads is 0"},
      {4, 2, "needs more than the"},
      {4, 3, "field n_kv_heads is 3, expected a divisor of the 2 heads"},
      {5, 0, "field vocab_size is 0"},
      {5, INT32_MIN, "field vocab_size is 2147483648"},
      {5, 11, "table of rope of shape [6, 2] needs more than the"},
      {5, -10, "tensor lm_head.weight of shape [10, 8] needs more than the 0 bytes"},
      {6, 0, "field seq_len is 0"},
      {6, 7, "table of rope"},
      {6, 5, "file has 16 bytes after its last tensor, expected none"},
  };
  for (const Lie& lie : kLies) {
    Header header = kGood;
    header[lie.field] = lie.value;
    const std::string image = image_of(header, kNumFloats);
    EXPECT_THAT(message_of(parse_llama2c(bytes_of(image), "x")), HasSubstr(lie.message));
  }
}

TEST(Llama2c, RefusesEveryPrefix) {
  const std::string image = image_of(kGood, kNumFloats);
  for (std::size_t size = 0; size < image.size(); size += size < 64 ? 1 : 37) {
    const std::vector<char> copy(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_llama2c(bytes_of({copy.data(), copy.size()}), "x").ok()) << size;
  }
}

}  // namespace
}  // namespace millrace
