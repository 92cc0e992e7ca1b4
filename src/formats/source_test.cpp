// Real checkpoints: three formats of one model hold the same values, and opening finds what they
// are.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "formats/checkpoint.h"

namespace millrace {
namespace {

const std::string kModel = std::string(MILLRACE_SHARED_DATA) + "/models/stories260k";

// Skips without the shared data, unless the environment says that it must be there.
#define REQUIRE_DATA()                                                                     \
  if (!is_directory(kModel)) {                                                             \
    if (std::getenv("MILLRACE_REQUIRE_DATA") != nullptr) FAIL() << kModel << " is absent"; \
    GTEST_SKIP() << kModel << " is absent";                                                \
  }

Checkpoint open_or_die(const std::string& path) {
  Result<Checkpoint> checkpoint = open_checkpoint(path);
  if (!checkpoint.ok()) {
    ADD_FAILURE() << checkpoint.error().message;
    std::abort();
  }
  return std::move(checkpoint).value();
}

std::span<const std::byte> bytes_of(const WeightSource& source, const std::string& name) {
  const Result<SourceTensor> tensor = source.tensor(name);
  EXPECT_TRUE(tensor.ok()) << tensor.error().message;
  return tensor.ok() ? tensor.value().bytes : std::span<const std::byte>();
}

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

// True when b's rows are a's rows with each head's interleaved pairs drawn apart (llama2c.h).
bool same_rows_for_rope(std::span<const std::byte> interleaved, std::span<const std::byte> halves,
                        std::size_t num_rows, std::size_t head_dim) {
  const std::size_t row_bytes = interleaved.size() / num_rows;
  const auto row = [&](std::span<const std::byte> bytes, std::size_t i) {
    return bytes.subspan(i * row_bytes, row_bytes);
  };
  for (std::size_t head = 0; head < num_rows; head += head_dim) {
    for (std::size_t i = 0; i < head_dim / 2; ++i) {
      if (!same_bytes(row(interleaved, head + 2 * i), row(halves, head + i))) return false;
      if (!same_bytes(row(interleaved, head + 2 * i + 1), row(halves, head + head_dim / 2 + i)))
        return false;
    }
  }
  return true;
}

TEST(RealCheckpoints, Llama2cAndFolderHoldTheSameValues) {
  REQUIRE_DATA();
  const Checkpoint folder = open_or_die(kModel);
  const Checkpoint file = open_or_die(kModel + "/stories260k.llama2c.bin");
  ASSERT_EQ(folder.kind(), CheckpointKind::kHuggingFace);
  ASSERT_EQ(file.kind(), CheckpointKind::kLlama2c);
  ASSERT_NE(file.llama2c_config(), nullptr);
  EXPECT_TRUE(file.llama2c_config()->shares_classifier);
  EXPECT_EQ(file.weights().tensors().size(), folder.weights().tensors().size());
  EXPECT_EQ(file.weights().num_parameters(), folder.weights().num_parameters());
  const std::size_t head_dim = file.llama2c_config()->head_dim();
  for (const TensorInfo& info : file.weights().tensors()) {
    const auto mine = bytes_of(file.weights(), info.name);
    const auto theirs = bytes_of(folder.weights(), info.name);
    ASSERT_EQ(info.shape, folder.weights().find(info.name)->shape) << info.name;
    const bool is_rotated =
        info.name.ends_with("q_proj.weight") || info.name.ends_with("k_proj.weight");
    EXPECT_EQ(same_bytes(mine, theirs), !is_rotated) << info.name;
    if (is_rotated) {
      EXPECT_TRUE(same_rows_for_rope(mine, theirs, info.shape[0], head_dim)) << info.name;
    }
  }
  EXPECT_TRUE(file.weights().check_intact().ok());
}

TEST(RealCheckpoints, GgufAndLlama2cHoldTheSameValues) {
  REQUIRE_DATA();
  const Checkpoint gguf = open_or_die(kModel + "/stories260k-f32.gguf");
  const Checkpoint file = open_or_die(kModel + "/stories260k.llama2c.bin");
  ASSERT_EQ(gguf.kind(), CheckpointKind::kGguf);
  EXPECT_EQ(gguf.weights().format_name(), "GGUF v3");
  const GgufMetadata& metadata = *gguf.gguf_metadata();
  EXPECT_EQ(MUST(metadata.get<std::uint64_t>("llama.block_count")), 5u);  // the model's facts
  EXPECT_EQ(MUST(metadata.get<std::string_view>("general.architecture")), "llama");
  EXPECT_EQ(MUST(MUST(metadata.get<GgufArray>("tokenizer.ggml.tokens")).strings()).size(), 512u);
  const std::pair<const char*, const char*> kNames[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"blk.4.attn_q.weight", "model.layers.4.self_attn.q_proj.weight"},
      {"blk.4.attn_k.weight", "model.layers.4.self_attn.k_proj.weight"},
      {"blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"},
      {"blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight"},
      {"output_norm.weight", "model.norm.weight"},
  };
  for (const auto& [gguf_name, name] : kNames) {
    EXPECT_TRUE(same_bytes(bytes_of(gguf.weights(), gguf_name), bytes_of(file.weights(), name)))
        << name;
    ASSERT_NE(gguf.weights().find(gguf_name), nullptr);
    EXPECT_EQ(gguf.weights().find(gguf_name)->shape, file.weights().find(name)->shape) << name;
  }
}

TEST(RealCheckpoints, MetadataOfVocabularyFilesIsReadWhole) {
  REQUIRE_DATA();
  const std::string folder = std::string(MILLRACE_SHARED_DATA) + "/tokenizers/ggml-vocab/";
  for (const char* name : {"gpt-2", "falcon", "llama-spm", "mpt", "starcoder", "deepseek-coder"}) {
    const Checkpoint checkpoint = open_or_die(folder + "ggml-vocab-" + name + ".gguf");
    const GgufMetadata& metadata = *checkpoint.gguf_metadata();
    const auto tokens = MUST(MUST(metadata.get<GgufArray>("tokenizer.ggml.tokens")).strings());
    const auto types =
        MUST(MUST(metadata.get<GgufArray>("tokenizer.ggml.token_type")).signed_values());
    EXPECT_GT(tokens.size(), 10'000u) << name;
    EXPECT_EQ(tokens.size(), types.size()) << name;
    EXPECT_TRUE(checkpoint.weights().tensors().empty());
  }
}

}  // namespace
}  // namespace millrace
