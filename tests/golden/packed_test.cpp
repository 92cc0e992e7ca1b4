// Packed files of every golden model: the same spec and the same logits, bit for bit, as from the
// checkpoint; and what is refused.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "formats/packed_model.h"
#include "formats/tokenizer_archive.h"
#include "model/packed_writer.h"
#include "model/spec_archive.h"
#include "support/test_model.h"
#include "text/byte_tokenizer.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(std::string(MILLRACE_GOLDEN) + "/models")) {
    if (fs::exists(entry.path() / "prompts.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string model_path(const std::string& family) {
  return std::string(MILLRACE_GOLDEN) + "/models/" + family;
}

class PackedFile : public ::testing::Test {
 protected:
  PackedFile() {
    std::string pattern = (fs::temp_directory_path() / "packed_test-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~PackedFile() override { fs::remove_all(folder_); }

  std::string file() const { return (folder_ / "model.millrace").string(); }
  Status pack(const std::string& path, std::optional<WeightFormat> format = std::nullopt) const {
    const Checkpoint checkpoint = TRY(open_checkpoint(path));
    const ModelSpec spec = TRY(read_spec(checkpoint));
    ThreadTeam team(2);
    KernelContext context(*runnable_cpu_kernels().front(), team);
    const std::string tokenizer = write_tokenizer_archive(byte_tokenizer_spec());
    TRY(write_packed_checkpoint(checkpoint, spec, {.format = format},
                                std::as_bytes(std::span(tokenizer)), context, file(),
                                [](std::uint64_t, std::uint64_t) {}));
    return Ok{};
  }
  static std::vector<float> logits_of(const std::string& path,
                                      std::optional<WeightFormat> format = std::nullopt) {
    const auto model = TestModel::load(path, {.num_threads = 2, .format = format});
    EXPECT_TRUE(model.ok()) << model.error().message;
    if (!model.ok()) return {};
    const std::vector<std::uint32_t> ids = {1, 5, 3, 7, 2, 9, 4, 8, 6, 11, 10};
    return model.value()->logits(ids, ids.size());
  }

  fs::path folder_;
};

class PackedFamily : public PackedFile, public ::testing::WithParamInterface<std::string> {};

TEST_P(PackedFamily, GivesTheSpecAndTheLogitsOfItsCheckpoint) {
  const std::string path = model_path(GetParam());
  const Status packed = pack(path);
  ASSERT_TRUE(packed.ok()) << packed.error().message;
  const auto from = open_checkpoint(path);
  const auto to = open_checkpoint(file());
  ASSERT_TRUE(to.ok()) << to.error().message;
  EXPECT_EQ(to.value().kind(), CheckpointKind::kPacked);
  const auto spec = read_spec(from.value());
  const auto spec_back = read_spec(to.value());
  ASSERT_TRUE(spec_back.ok()) << spec_back.error().message;
  EXPECT_EQ(spec_back.value(), spec.value());
  EXPECT_EQ(to.value().config(), from.value().config());
  EXPECT_EQ(to.value().generation_config(), from.value().generation_config());
  EXPECT_TRUE(to.value().packed()->check_weights().ok());
  const std::vector<float> want = logits_of(path);
  const std::vector<float> got = logits_of(file());
  ASSERT_FALSE(want.empty());
  ASSERT_EQ(got.size(), want.size());
  EXPECT_TRUE(std::equal(want.begin(), want.end(), got.begin(),
                         [](float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }));
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, PackedFamily, ::testing::ValuesIn(families()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(PackedFile, KeepsTheFormatThatWasAskedForAndNoOther) {
  const std::string path = model_path("llama3");
  ASSERT_TRUE(pack(path, WeightFormat::kInt8).ok());
  EXPECT_EQ(logits_of(file()), logits_of(path, WeightFormat::kInt8));
  EXPECT_EQ(logits_of(file(), WeightFormat::kInt8), logits_of(path, WeightFormat::kInt8));
  const auto other = TestModel::load(file(), {.format = WeightFormat::kInt4});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("is packed as int8"), std::string::npos)
      << other.error().message;
}

TEST_F(PackedFile, IsNotPackedAgain) {
  ASSERT_TRUE(pack(model_path("llama3")).ok());
  fs::rename(file(), file() + ".first");
  const Status again = pack(file() + ".first");
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("is packed already"), std::string::npos);
}

// The parts of a good file, to be written again with one of them changed.
struct Parts {
  std::unique_ptr<PackedModelFile> file;
  PackedModelParts parts;
};
Parts parts_of(const std::string& path) {
  Parts found{MUST(PackedModelFile::open(path)), {}};
  found.parts.layout = found.file->layout();
  found.parts.layout_version = found.file->layout_version();
  for (std::size_t i = 0; i < kNumPackedSections; ++i) {
    found.parts.sections[i] = found.file->section(static_cast<PackedSection>(i));
  }
  return found;
}

class HostilePackedFile : public PackedFile {
 protected:
  void SetUp() override { ASSERT_TRUE(pack(model_path("llama3")).ok()); }
  // What loading says of the file with changed parts.
  std::string message_with(const PackedModelParts& parts) const {
    const std::string path = file() + ".changed";
    CHECK(write_packed_model(path, parts).ok());
    const auto model = TestModel::load(path, {});
    return model.ok() ? "accepted" : model.error().message;
  }
};

TEST_F(HostilePackedFile, AnotherLayoutOrVersionOfItIsRefused) {
  Parts good = parts_of(file());
  EXPECT_EQ(message_with(good.parts), "accepted");
  good.parts.layout = "panels-8";
  EXPECT_NE(message_with(good.parts).find("is packed in layout panels-8"), std::string::npos);
  good = parts_of(file());
  good.parts.layout_version += 1;
  EXPECT_NE(message_with(good.parts).find("pack it again with `millrace pack`"), std::string::npos);
}

TEST_F(HostilePackedFile, FormatsThatAreNoneOrTooFewOrTooManyAreRefused) {
  Parts good = parts_of(file());
  const auto section = good.file->section(PackedSection::kFormats);
  const auto at = static_cast<std::size_t>(PackedSection::kFormats);
  std::vector<std::byte> formats(section.begin(), section.end());
  formats.back() = std::byte{kNumWeightFormats};
  good.parts.sections[at] = formats;
  EXPECT_NE(message_with(good.parts).find("has format " + std::to_string(kNumWeightFormats)),
            std::string::npos);
  formats.back() = std::byte{0};
  formats.push_back(std::byte{0});
  good.parts.sections[at] = formats;
  EXPECT_NE(message_with(good.parts).find("the spec asks for"), std::string::npos);
  good.parts.sections[at] = std::span(formats).first(3);
  EXPECT_NE(message_with(good.parts).find("has no format"), std::string::npos);
}

TEST_F(HostilePackedFile, WeightsOfAnotherSizeAreRefused) {
  Parts good = parts_of(file());
  const auto at = static_cast<std::size_t>(PackedSection::kWeights);
  good.parts.sections[at] = good.parts.sections[at].first(good.parts.sections[at].size() - 64);
  EXPECT_NE(message_with(good.parts).find("bytes of weights, the file has"), std::string::npos);
}

// Whatever the spec says: refused or loaded, never a crash.
TEST_F(HostilePackedFile, ChangedSpecsAreHarmless) {
  Parts good = parts_of(file());
  const auto at = static_cast<std::size_t>(PackedSection::kSpec);
  const auto section = good.file->section(PackedSection::kSpec);
  for (std::size_t i = 0; i < section.size(); ++i) {
    std::vector<std::byte> spec(section.begin(), section.end());
    spec[i] ^= std::byte{0x41};
    const auto read = read_spec_archive(spec, "x");
    if (!read.ok()) continue;
    good.parts.sections[at] = spec;
    static_cast<void>(message_with(good.parts));
  }
}

}  // namespace
}  // namespace millrace
