// Writers: what they write is read back the same, whole or not at all, and aligned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "formats/encode.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "formats/test_support.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

// Bytes that depend on the tensor and the place in it.
std::string contents_of(const TensorDeclaration& tensor) {
  const auto num_bytes = storage_bytes(tensor.dtype, tensor.shape.num_elements());
  std::string contents(static_cast<std::size_t>(*num_bytes), '\0');
  for (std::size_t i = 0; i < contents.size(); ++i)
    contents[i] = static_cast<char>(tensor.name.back() + 7 * static_cast<int>(i));
  return contents;
}

// Appends every tensor in pieces of `piece_bytes`.
void write_contents(WeightWriter& writer, std::size_t piece_bytes) {
  for (const TensorDeclaration& tensor : writer.tensors()) {
    const std::string contents = contents_of(tensor);
    for (std::size_t at = 0; at < contents.size(); at += piece_bytes)
      ASSERT_TRUE(writer.append(bytes_of(contents.substr(at, piece_bytes))).ok());
  }
}

void expect_same(const WeightSource& source, std::span<const TensorDeclaration> tensors) {
  EXPECT_EQ(source.tensors().size(), tensors.size());
  for (const TensorDeclaration& tensor : tensors) {
    const auto read = source.tensor(tensor.name);
    ASSERT_TRUE(read.ok()) << message_of(read);
    EXPECT_EQ(read.value().dtype, tensor.dtype);
    EXPECT_EQ(read.value().shape, tensor.shape);
    const std::string want = contents_of(tensor);
    ASSERT_EQ(read.value().bytes.size(), want.size());
    EXPECT_TRUE(want.empty() ||
                std::memcmp(read.value().bytes.data(), want.data(), want.size()) == 0)
        << tensor.name;
  }
}

const std::vector<TensorDeclaration> kPlain = {
    {"e0", DType::kF32, Shape{0, 4}}, {"a", DType::kI8, Shape{3}},
    {"b", DType::kF32, Shape{2, 3}},  {"e1", DType::kBF16, Shape{0}},
    {"c", DType::kBF16, Shape{5, 1}}, {"quote\"\\ü", DType::kF64, Shape{2}},
    {"s", DType::kF16, Shape{}},      {"e2", DType::kU8, Shape{0}},
};

TEST(SafetensorsWriter, RoundTripsInOneFileAligned) {
  TemporaryFolder folder;
  auto writer = MUST(create_safetensors(folder.path(), kPlain));  // a folder of our own
  write_contents(*writer, 5);
  EXPECT_FALSE(file_exists(folder / "model.safetensors"));
  ASSERT_TRUE(writer->finish().ok());
  const auto source = MUST(SafetensorsFolder::open_folder(folder.path()));
  expect_same(*source, kPlain);
  EXPECT_EQ(source->metadata().at("format"), "pt");
  EXPECT_EQ(source->files().size(), 1u);
  for (const TensorInfo& info : source->tensors()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(info.bytes.data()) % element_bytes(*info.dtype), 0u)
        << info.name;
  }
}

TEST(SafetensorsWriter, RoundTripsInShardsOfAnySize) {
  for (const std::uint64_t shard_bytes_max : {1u, 10u, 16u, 24u, 30u, 1000u}) {
    TemporaryFolder folder;
    auto writer = MUST(  // a folder of our own
        create_safetensors(folder.path(), kPlain,
                           {.shard_bytes_max = shard_bytes_max, .metadata = {}}));
    write_contents(*writer, 1000);
    ASSERT_TRUE(writer->finish().ok());
    const auto source = MUST(SafetensorsFolder::open_folder(folder.path()));
    expect_same(*source, kPlain);
    EXPECT_EQ(file_exists(folder / "model.safetensors.index.json"), shard_bytes_max < 63);
    for (const SourceFile& file : source->files()) {
      const auto shard = MUST(SafetensorsFolder::open_file(file.path));
      EXPECT_TRUE(shard->num_bytes() <= shard_bytes_max || shard->tensors().size() <= 4)
          << file.path;
    }
  }
}

TEST(SafetensorsWriter, WritesACheckpointWithoutTensors) {
  TemporaryFolder folder;
  auto writer = MUST(create_safetensors(folder.path(), {}));  // a folder of our own
  ASSERT_TRUE(writer->finish().ok());
  EXPECT_TRUE(MUST(SafetensorsFolder::open_folder(folder.path()))->tensors().empty());
}

TEST(SafetensorsWriter, LeavesNothingWithoutFinish) {
  TemporaryFolder folder;
  {
    auto writer = MUST(create_safetensors(folder.path(), kPlain));  // a folder of our own
    write_contents(*writer, 100);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, RefusesWhatItCannotWrite) {
  TemporaryFolder folder;
  const auto message_for = [&](std::vector<TensorDeclaration> tensors) {
    return message_of(create_safetensors(folder.path(), std::move(tensors)));
  };
  EXPECT_THAT(message_for({{"q", DType::kQ4_0, Shape{32}}}),
              HasSubstr("tensor 'q' is of type q4_0, which safetensors lacks"));
  EXPECT_THAT(message_for({{"a", DType::kI8, Shape{1}}, {"a", DType::kI8, Shape{1}}}),
              HasSubstr("tensor 'a' is declared twice"));
  EXPECT_THAT(message_for({{"", DType::kI8, Shape{1}}}), HasSubstr("has no UTF-8 name"));
  EXPECT_THAT(message_for({{"\xFF", DType::kI8, Shape{1}}}), HasSubstr("has no UTF-8 name"));
  EXPECT_THAT(message_for({{"__metadata__", DType::kI8, Shape{1}}}), HasSubstr("__metadata__"));
  EXPECT_THAT(message_for({{"a", DType::kF32, Shape{std::size_t{1} << 62}}}),
              HasSubstr("has shape [4611686018427387904]: too large"));
  EXPECT_THAT(
      message_for({{"a", DType::kI8, Shape{std::size_t{1} << 62}}, {"b", DType::kI8, Shape{1}}}),
      HasSubstr("tensor 'b' has shape [1]: too large"));
  EXPECT_THAT(message_of(create_safetensors(folder / "absent", {})), HasSubstr("cannot create"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, DoesNotMixTwoCheckpointsInAFolder) {
  TemporaryFolder folder;
  MUST(write_file(folder / "model.safetensors.index.json", "{}"));  // a folder of our own
  EXPECT_THAT(message_of(create_safetensors(folder.path(), kPlain)), HasSubstr("remove it first"));
  TemporaryFolder other;
  MUST(write_file(other / "model.safetensors", "{}"));  // likewise
  EXPECT_THAT(
      message_of(create_safetensors(other.path(), kPlain, {.shard_bytes_max = 10, .metadata = {}})),
      HasSubstr("remove it first"));
}

// While it lives, files of this process cannot grow beyond a size, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes_max) {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    CHECK(::getrlimit(RLIMIT_FSIZE, &previous_) == 0);
    const rlimit limit = {bytes_max, previous_.rlim_max};
    CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    CHECK(::setrlimit(RLIMIT_FSIZE, &previous_) == 0);
    std::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_ = {};
  void (*previous_handler_)(int) = SIG_DFL;
};

Status write_all(Result<std::unique_ptr<WeightWriter>> created) {
  const auto writer = TRY(std::move(created));
  for (const TensorDeclaration& tensor : writer->tensors())
    TRY(writer->append(bytes_of(contents_of(tensor))));
  return writer->finish();
}

// The write that does not fit fails, for every size until all fit; nothing is left behind.
TEST(Writers, AFullDiskIsAnErrorWhereverItHappens) {
  const std::vector<TensorDeclaration> tensors = {{"a", DType::kF32, Shape{16}},
                                                  {"b", DType::kF16, Shape{40}}};
  for (const char* format : {"gguf", "safetensors"}) {
    std::size_t num_failures = 0;
    for (std::uint64_t bytes_max = 0;; bytes_max += 16) {
      TemporaryFolder folder;
      const auto written = [&] {
        const FileSizeLimit limit(bytes_max);
        return format == std::string("gguf")
                   ? write_all(create_gguf(folder / "m.gguf", {}, tensors))
                   : write_all(create_safetensors(folder.path(), tensors));
      }();
      if (written.ok()) break;
      ++num_failures;
      EXPECT_THAT(message_of(written), HasSubstr("File too large"));
      EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << bytes_max;
    }
    EXPECT_GT(num_failures, 10u) << format;
  }
}

const std::vector<TensorDeclaration> kGgufTensors = {
    {"e0", DType::kF32, Shape{0, 4}}, {"a", DType::kQ4_0, Shape{3, 64}},
    {"b", DType::kF16, Shape{1}},     {"c", DType::kQ8_0, Shape{2, 1, 32}},
    {"e1", DType::kI32, Shape{0}},    {"d", DType::kBF16, Shape{7, 1, 1, 3}},
};

GgufMetadataBuilder every_kind() {
  GgufMetadataBuilder metadata;
  metadata.add("u8", std::uint8_t{255});
  metadata.add("i8", std::int8_t{-128});
  metadata.add("u16", std::uint16_t{65'535});
  metadata.add("i16", std::int16_t{-32'768});
  metadata.add("u32", std::uint32_t{4'294'967'295});
  metadata.add("i32", std::int32_t{-2'147'483'647});
  metadata.add("u64", ~std::uint64_t{0});
  metadata.add("i64", std::int64_t{-(1ll << 62)});
  metadata.add("f32", 1e-5f);
  metadata.add("f64", 1e-300);
  metadata.add_bool("bool", true);
  metadata.add_string("string", "llama");
  const std::vector<std::string> kStrings = {"<s>", "", "\xE2\x96\x81"};
  metadata.add_strings("strings", kStrings);
  metadata.add_array("i32s", std::vector<std::int32_t>{-1, 2});
  metadata.add_array("u32s", std::vector<std::uint32_t>{1, 2, 3});
  metadata.add_array("f32s", std::vector<float>{0.5f});
  // Bytes of an array of one array of two u8.
  static const std::string kNested = encoded(9u) + encoded<std::uint64_t>(1) + encoded(0u) +
                                     encoded<std::uint64_t>(2) + "\x05\x06";
  metadata.add("nested", GgufValue{GgufType::kArray, bytes_of(kNested)});
  return metadata;
}

TEST(GgufWriter, RoundTripsTensorsAndEveryKindOfValue) {
  TemporaryFolder folder;
  auto writer = MUST(  // a folder of our own
      create_gguf(folder / "m.gguf", every_kind(), kGgufTensors));
  write_contents(*writer, 9);
  ASSERT_TRUE(writer->finish().ok());
  const auto file = MUST(GgufFile::open(folder / "m.gguf"));
  EXPECT_EQ(file->format_name(), "GGUF v3");
  expect_same(*file, kGgufTensors);
  EXPECT_EQ(file->files()[0].identity.num_bytes % 32, 0u);
  const GgufMetadata& metadata = file->metadata();
  EXPECT_EQ(metadata.find("i8")->as_signed(), -128);
  EXPECT_EQ(metadata.find("u64")->as_unsigned(), ~std::uint64_t{0});
  EXPECT_EQ(metadata.find("f32")->as_float(), double{1e-5f});
  EXPECT_EQ(metadata.find("f64")->as_float(), 1e-300);
  EXPECT_EQ(metadata.find("bool")->as_bool(), true);
  EXPECT_EQ(metadata.find("strings")->as_array()->strings().value()[2], "\xE2\x96\x81");
  EXPECT_EQ(metadata.find("u32s")->as_array()->unsigned_values().value().size(), 3u);
  EXPECT_EQ(metadata.find("f32s")->as_array()->float_values().value()[0], 0.5);

  // Values of any file can be written again: the metadata come out the same, byte for byte.
  GgufMetadataBuilder copied;
  for (const GgufEntry& entry : metadata.entries()) copied.add(entry.key, entry.value);
  EXPECT_EQ(copied.encoded(), every_kind().encoded());
}

TEST(GgufWriter, RefusesWhatItCannotWrite) {
  TemporaryFolder folder;
  const auto message_for = [&](std::vector<TensorDeclaration> tensors) {
    return message_of(create_gguf(folder / "m.gguf", {}, std::move(tensors)));
  };
  EXPECT_THAT(message_for({{"b", DType::kBool, Shape{1}}}),
              HasSubstr("of type bool, which GGUF lacks"));
  EXPECT_THAT(message_for({{std::string(64, 'n'), DType::kF32, Shape{1}}}),
              HasSubstr("has a name of 64 bytes, expected at most 63"));
  EXPECT_THAT(
      message_for({{"q", DType::kQ8_0, Shape{64, 16}}}),
      HasSubstr("tensor 'q' of type q8_0 has rows of 16 elements, expected a multiple of 32"));
  const auto message_for_key = [&](const std::string& key, int times) {
    GgufMetadataBuilder metadata;
    for (int i = 0; i < times; ++i) metadata.add(key, std::uint32_t{64});
    return message_of(create_gguf(folder / "m.gguf", metadata, {}));
  };
  EXPECT_THAT(message_for_key("k", 2), HasSubstr("GGUF key 'k' is added twice"));
  EXPECT_THAT(message_for_key("", 1), HasSubstr("has 0 bytes, expected 1 to 65535"));
  EXPECT_THAT(message_for_key("general.alignment", 1), HasSubstr("is the writer's own affair"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace millrace
