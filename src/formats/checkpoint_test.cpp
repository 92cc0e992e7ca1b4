// Finding out what a path is, opening without reading, and files that are cut short while mapped.
#include "formats/checkpoint.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/safetensors.h"
#include "formats/test_support.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

const std::string kHeader = R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})";

void write(const std::string& path, const std::string& text) {
  MUST(write_file(path, text));  // a folder of our own
}

TEST(OpenCheckpoint, OpensAFolderOrItsFile) {
  TemporaryFolder folder;
  write(folder / "config.json", R"({"model_type":"llama"})");
  write(folder / "model.safetensors", safetensors_image(kHeader, "xy"));
  for (const std::string& path : {folder.path(), folder / "model.safetensors"}) {
    const auto opened = open_checkpoint(path);
    ASSERT_TRUE(opened.ok()) << message_of(opened);
    EXPECT_EQ(opened.value().kind(), CheckpointKind::kHuggingFace);
    EXPECT_EQ(opened.value().folder(), folder.path());
    EXPECT_EQ(opened.value().config()["model_type"], "llama");
    EXPECT_TRUE(opened.value().generation_config().is_null());
    EXPECT_NE(opened.value().weights().find("a"), nullptr);
    EXPECT_EQ(opened.value().gguf_metadata(), nullptr);
  }
  write(folder / "generation_config.json", R"({"eos_token_id":2})");
  EXPECT_EQ(MUST(open_checkpoint(folder.path())).generation_config()["eos_token_id"], 2);
  std::filesystem::create_symlink(folder.path(), folder / "link");
  EXPECT_TRUE(open_checkpoint(folder / "link").ok());
  write(folder / "config.json", "[]");
  EXPECT_THAT(message_of(open_checkpoint(folder.path())),
              HasSubstr("config.json holds array, expected an object"));
}

TEST(OpenCheckpoint, GoesByContentBeforeName) {
  TemporaryFolder folder;
  write(folder / "model.bin", gguf_image({}));
  EXPECT_EQ(MUST(open_checkpoint(folder / "model.bin")).kind(), CheckpointKind::kGguf);
  write(folder / "x.gguf", "GGU");
  EXPECT_THAT(message_of(open_checkpoint(folder / "x.gguf")), HasSubstr("GGUF magic needs 4"));
}

TEST(OpenCheckpoint, OpensTheOnlyModelOfAFolder) {
  TemporaryFolder folder;
  write(folder / "model-Q4_0-00001-of-00002.gguf", gguf_image({}));
  write(folder / "model-Q4_0-00002-of-00002.gguf", "a later part, which the first one opens");
  write(folder / "mmproj-model.gguf", "no language model");
  std::filesystem::create_directory(folder / "old.gguf");
  EXPECT_EQ(MUST(open_checkpoint(folder.path())).kind(), CheckpointKind::kGguf);
  write(folder / "model-Q8_0.gguf", gguf_image({}));
  EXPECT_THAT(message_of(open_checkpoint(folder.path())),
              HasSubstr("several models; name one of model-Q4_0-00001-of-00002.gguf, model-Q8_0"));
  write(folder / "gptq_model-4bit-128g.safetensors", safetensors_image(kHeader, "xy"));
  write(folder / "config.json", R"({"model_type":"llama"})");
  EXPECT_EQ(MUST(open_checkpoint(folder.path())).kind(), CheckpointKind::kHuggingFace);
}

TEST(OpenCheckpoint, RefusesByName) {
  TemporaryFolder folder;
  const auto message_for_file = [&](const std::string& name, const std::string& contents) {
    write(folder / name, contents);
    return message_of(open_checkpoint(folder / name));
  };
  EXPECT_THAT(message_of(open_checkpoint(folder / "absent")), HasSubstr("No such file"));
  EXPECT_THAT(message_for_file("a.bin", std::string("PK\x03\x04 zip")),
              HasSubstr("PyTorch pickle"));
  EXPECT_THAT(message_for_file("a.pt", "\x80\x02}q"), HasSubstr("PyTorch pickle"));
  EXPECT_THAT(message_for_file("b.bin", "tjgg...."), HasSubstr("from before GGUF"));
  EXPECT_THAT(message_for_file("c.bin", "hello"), HasSubstr("taken for a llama2.c file"));
  EXPECT_THAT(message_for_file("c.txt", "hello"), HasSubstr("supported are: a folder with"));
  EXPECT_THAT(message_for_file("empty", ""), HasSubstr("supported are: a folder with"));
  EXPECT_THAT(message_for_file("x.safetensors", safetensors_image(kHeader, "xy")),
              HasSubstr("has no config.json beside it"));
  EXPECT_THAT(message_of(open_checkpoint(folder.path())), HasSubstr("supported are: a folder"));
  write(folder / "pytorch_model.bin", "PK");
  EXPECT_THAT(message_of(open_checkpoint(folder.path())), HasSubstr("PyTorch pickle"));
  write(folder / "model.safetensors", safetensors_image(kHeader, "xy"));
  EXPECT_THAT(message_of(open_checkpoint(folder.path())), HasSubstr("but no config.json"));
  std::filesystem::create_directory(folder / "model.gguf");
  EXPECT_THAT(message_of(open_checkpoint(folder / "model.gguf")), HasSubstr("supported are"));
}

// A file of `num_bytes` with `head` in front; what was not written takes no room on disk.
void write_sparse(const std::string& path, const std::string& head, std::uint64_t num_bytes) {
  write(path, head);
  std::filesystem::resize_file(path, num_bytes);
}

std::uint64_t page_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Pages of the process that are in memory and belong to the file: /proc/self/smaps, "Rss".
std::uint64_t resident_bytes_of_mapping(const std::string& path) {
  const std::string maps = MUST(read_file("/proc/self/smaps", 64u << 20));  // Linux has it
  const std::size_t at = maps.find(path);
  if (at == std::string::npos) return 0;
  const std::size_t rss = maps.find("Rss:", at);
  return std::strtoull(maps.c_str() + rss + 4, nullptr, 10) * 1024;
}

constexpr std::uint64_t kGigabyte = 1ull << 30;

// The kernel maps up to 16 pages around each page that is touched (fault-around, 64 KiB), and a
// header here lies in one page.
constexpr std::uint64_t kTouchedBytesMax = 256 << 10;

TEST(Opening, SafetensorsReadsOnlyTheHeader) {
  TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  const std::string shape = std::to_string(kGigabyte / 4);
  const std::string header = R"({"a":{"dtype":"F32","shape":[)" + shape +
                             R"(],"data_offsets":[0,)" + std::to_string(kGigabyte) + "]}}";
  const std::string head = safetensors_image(header, "");
  write_sparse(path, head, head.size() + kGigabyte);
  const auto source = MUST(SafetensorsFolder::open_file(path));
  EXPECT_EQ(source->num_bytes(), kGigabyte);
  EXPECT_LE(resident_bytes_of_mapping(path), kTouchedBytesMax);
  // The measure sees what is touched: 4 MiB of weights, and their release.
  const auto bytes = source->tensor("a").value().bytes.first(4 << 20);
  unsigned sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += page_bytes())
    sum += std::to_integer<unsigned>(bytes[i]);
  EXPECT_EQ(sum, 0u);
  EXPECT_GE(resident_bytes_of_mapping(path), bytes.size());
  source->release_pages(bytes);
  EXPECT_LE(resident_bytes_of_mapping(path), 2 * kTouchedBytesMax);
}

TEST(Opening, GgufReadsOnlyTheHeader) {
  TemporaryFolder folder;
  const std::string path = folder / "model.gguf";
  GgufParts parts;
  parts.tensors = {{"a", {kGigabyte / 4}, 0, 0}};
  const std::string head = gguf_image(parts);
  write_sparse(path, head, head.size() + kGigabyte);
  const auto source = MUST(GgufFile::open(path));
  EXPECT_EQ(source->num_parameters(), kGigabyte / 4);
  EXPECT_LE(resident_bytes_of_mapping(path), kTouchedBytesMax);
}

TEST(CutShort, IsAnErrorAfterReading) {
  TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  const std::uint64_t num_bytes = 16 * page_bytes();
  const std::string header = R"({"a":{"dtype":"U8","shape":[)" + std::to_string(num_bytes) +
                             R"(],"data_offsets":[0,)" + std::to_string(num_bytes) + "]}}";
  write(path, safetensors_image(header, std::string(num_bytes, '\x55')));
  const auto source = MUST(SafetensorsFolder::open_file(path));
  const auto bytes = source->tensor("a").value().bytes;
  EXPECT_TRUE(source->check_intact().ok());
  std::filesystem::resize_file(path, 2 * page_bytes());
  std::uint64_t sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<std::uint64_t>(byte);
  EXPECT_LT(sum, 0x55 * num_bytes);
  EXPECT_THAT(message_of(source->check_intact()),
              HasSubstr("was cut short while it was being read"));
}

// GGUF strings are read where they lie: after the cut they are zeros, or an error, never a crash.
TEST(CutShort, LeavesMetadataSafeToRead) {
  TemporaryFolder folder;
  const std::string path = folder / "model.gguf";
  std::string strings;
  constexpr std::uint64_t kNumStrings = 10'000;
  for (std::uint64_t i = 0; i < kNumStrings; ++i) strings += encoded_string("token");
  GgufParts parts;
  parts.keys = {gguf_key("tokens", GgufType::kArray, encoded(8u) + encoded(kNumStrings) + strings),
                gguf_key("name", GgufType::kString, encoded_string("late"))};
  write(path, gguf_image(parts));
  const auto file = MUST(GgufFile::open(path));
  std::filesystem::resize_file(path, page_bytes());
  const auto array = file->metadata().find("tokens")->as_array();
  ASSERT_TRUE(array.has_value());
  const auto tokens = array->strings();
  EXPECT_TRUE(!tokens.ok() || tokens.value().size() == kNumStrings);
  EXPECT_EQ(file->metadata().find("name")->as_string(), "");
  EXPECT_FALSE(file->check_intact().ok());
}

}  // namespace
}  // namespace millrace
