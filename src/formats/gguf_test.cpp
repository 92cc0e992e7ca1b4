// GGUF: values of every kind, every header field lied about in turn, truncation, splits.
#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "formats/test_support.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

std::string array_of(GgufType type, std::uint64_t count, const std::string& elements) {
  return encoded(static_cast<std::uint32_t>(type)) + encoded(count) + elements;
}

// Two tensors: "a" f32 [2, 4] and "b" q8_0 [1, 32], and a key of every kind.
GgufParts good_parts() {
  GgufParts parts;
  parts.keys = {
      gguf_key("u8", GgufType::kU8, encoded<std::uint8_t>(200)),
      gguf_key("i8", GgufType::kI8, encoded<std::int8_t>(-5)),
      gguf_key("u16", GgufType::kU16, encoded<std::uint16_t>(60'000)),
      gguf_key("i16", GgufType::kI16, encoded<std::int16_t>(-300)),
      gguf_key("u32", GgufType::kU32, encoded<std::uint32_t>(4'000'000'000)),
      gguf_key("i32", GgufType::kI32, encoded<std::int32_t>(-70'000)),
      gguf_key("f32", GgufType::kF32, encoded(0.5f)),
      gguf_key("bool", GgufType::kBool, encoded<std::uint8_t>(1)),
      gguf_key("string", GgufType::kString, encoded_string("llama")),
      gguf_key("strings", GgufType::kArray,
               array_of(GgufType::kString, 3,
                        encoded_string("a") + encoded_string("") + encoded_string("bc"))),
      gguf_key("u64", GgufType::kU64, encoded<std::uint64_t>(1ull << 63)),
      gguf_key("i64", GgufType::kI64, encoded<std::int64_t>(-(1ll << 40))),
      gguf_key("f64", GgufType::kF64, encoded(0.1)),
      gguf_key("i32s", GgufType::kArray,
               array_of(GgufType::kI32, 2, encoded<std::int32_t>(7) + encoded<std::int32_t>(-8))),
      gguf_key("nested", GgufType::kArray,
               array_of(GgufType::kArray, 2,
                        array_of(GgufType::kU8, 2, "\x01\x02") + array_of(GgufType::kU8, 0, ""))),
  };
  parts.tensors = {{"a", {4, 2}, 0, 0}, {"b", {32, 1}, 8, 32}};
  parts.data = std::string(32 + 34, '\x11');
  return parts;
}

Result<GgufImage> parse(const std::string& image) {
  // A copy of exactly the image's size, so that the address sanitizer sees every step outside it.
  const std::vector<char> copy(image.begin(), image.end());
  Result<GgufImage> parsed = parse_gguf(bytes_of({copy.data(), copy.size()}), "x.gguf");
  if (parsed.ok()) {
    // Reads everything that was promised, while the copy lives.
    for (const TensorInfo& info : parsed.value().tensors) {
      for (const std::byte byte : info.bytes) EXPECT_GE(std::to_integer<int>(byte), 0);
    }
    for (const GgufEntry& entry : parsed.value().metadata.entries()) {
      if (const auto array = entry.value.as_array()) {
        EXPECT_TRUE(array->values().ok());
      }
      if (entry.value.type == GgufType::kString) {
        EXPECT_TRUE(entry.value.as_string().has_value());
      }
    }
  }
  return parsed;
}

TEST(Gguf, ReadsValuesOfEveryKind) {
  const std::string image = gguf_image(good_parts());
  const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
  const GgufMetadata& metadata = parsed.metadata;
  EXPECT_EQ(metadata.find("u8")->as_unsigned(), 200u);
  EXPECT_EQ(metadata.find("i8")->as_signed(), -5);
  EXPECT_EQ(metadata.find("u16")->as_unsigned(), 60'000u);
  EXPECT_EQ(metadata.find("i16")->as_signed(), -300);
  EXPECT_EQ(metadata.find("u32")->as_unsigned(), 4'000'000'000u);
  EXPECT_EQ(metadata.find("i32")->as_signed(), -70'000);
  EXPECT_EQ(metadata.find("f32")->as_float(), 0.5);
  EXPECT_EQ(metadata.find("bool")->as_bool(), true);
  EXPECT_EQ(metadata.find("string")->as_string(), "llama");
  EXPECT_EQ(metadata.find("u64")->as_unsigned(), 1ull << 63);
  EXPECT_EQ(metadata.find("i64")->as_signed(), -(1ll << 40));
  EXPECT_EQ(metadata.find("f64")->as_float(), 0.1);
  EXPECT_EQ(metadata.find("strings")->as_array()->strings().value(),
            (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(metadata.find("i32s")->as_array()->signed_values().value(),
            (std::vector<std::int64_t>{7, -8}));
  const auto nested = metadata.find("nested")->as_array()->values().value();
  ASSERT_EQ(nested.size(), 2u);
  EXPECT_EQ(nested[0].as_array()->unsigned_values().value(), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(nested[1].as_array()->size(), 0u);
  EXPECT_EQ(metadata.find("absent"), nullptr);
  EXPECT_EQ(metadata.entries().front().key, "u8");
}

TEST(Gguf, ConvertsIntegersOnlyWhereTheyFit) {
  const std::string image = gguf_image(good_parts());
  const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
  EXPECT_EQ(parsed.metadata.find("u32")->as_signed(), 4'000'000'000);
  EXPECT_EQ(parsed.metadata.find("i8")->as_unsigned(), std::nullopt);
  EXPECT_EQ(parsed.metadata.find("u64")->as_signed(), std::nullopt);
  EXPECT_EQ(parsed.metadata.find("bool")->as_unsigned(), std::nullopt);
  EXPECT_EQ(parsed.metadata.find("u8")->as_float(), std::nullopt);
  EXPECT_EQ(parsed.metadata.find("string")->as_array().has_value(), false);
}

TEST(Gguf, GettersNameKeyExpectedAndFound) {
  const std::string image = gguf_image(good_parts());
  const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
  const GgufMetadata& metadata = parsed.metadata;
  EXPECT_EQ(message_of(metadata.get<std::uint64_t>("absent")),
            "x.gguf: GGUF key 'absent' is missing, expected an integer that is not negative");
  EXPECT_EQ(metadata.get<bool>("absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(message_of(metadata.get<std::uint64_t>("i8")),
            "x.gguf: GGUF key 'i8' holds i8 -5, expected an integer that is not negative");
  EXPECT_EQ(message_of(metadata.get<std::string_view>("strings")),
            "x.gguf: GGUF key 'strings' holds array of string, expected string");
  EXPECT_EQ(message_of(metadata.get_optional<double>("string")),
            "x.gguf: GGUF key 'string' holds string, expected f32 or f64");
  EXPECT_EQ(metadata.get_optional<double>("absent").value(), std::nullopt);
  EXPECT_EQ(metadata.get_optional<double>("f32").value(), 0.5);
  EXPECT_EQ(message_of(metadata.find("strings")->as_array()->float_values()),
            "GGUF array: element 0 is string, expected a float");
}

TEST(Gguf, ReversesExtentsAndPlacesBytes) {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufParts parts = good_parts();
    parts.version = version;
    const std::string image = gguf_image(parts);
    const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
    EXPECT_EQ(parsed.version, version);
    ASSERT_EQ(parsed.tensors.size(), 2u);
    EXPECT_EQ(parsed.tensors[0].shape, (Shape{2, 4}));
    EXPECT_EQ(parsed.tensors[0].dtype, DType::kF32);
    EXPECT_EQ(parsed.tensors[0].bytes.size(), 32u);
    EXPECT_EQ(parsed.tensors[1].shape, (Shape{1, 32}));
    EXPECT_EQ(parsed.tensors[1].bytes.data(), parsed.tensors[0].bytes.data() + 32);
    EXPECT_EQ(parsed.tensors[1].bytes.size(), 34u);
  }
}

struct Lie {
  const char* name;
  std::function<void(GgufParts&)> tell;
  const char* message;
};

class GgufLies : public ::testing::TestWithParam<Lie> {};

TEST_P(GgufLies, AreRefusedByName) {
  GgufParts parts = good_parts();
  GetParam().tell(parts);
  EXPECT_THAT(message_of(parse(gguf_image(parts))), HasSubstr(GetParam().message));
}

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

INSTANTIATE_TEST_SUITE_P(
    EachField, GgufLies,
    ::testing::Values(
        Lie{"Magic", [](GgufParts& p) { p.magic = "GGML"; }, "does not begin with GGUF"},
        Lie{"Version1", [](GgufParts& p) { p.version = 1; }, "version is 1, expected 2 or 3"},
        Lie{"Version4", [](GgufParts& p) { p.version = 4; }, "version is 4, expected 2 or 3"},
        Lie{"BigEndian", [](GgufParts& p) { p.version = 3u << 24; }, "big-endian"},
        Lie{"TensorCountHuge", [](GgufParts& p) { p.num_extra_tensors = kHuge - 2; },
            "tensor count is 18446744073709551615, expected at most 65536"},
        Lie{"TensorCountMore", [](GgufParts& p) { p.num_extra_tensors = 60'000; },
            "tensor count is 60002, more than"},
        Lie{"TensorCountOneMore", [](GgufParts& p) { p.num_extra_tensors = 1; },
            "name of tensor 2 is 0 bytes long"},
        Lie{"KeyCountHuge", [](GgufParts& p) { p.num_extra_keys = kHuge - 100; },
            "expected at most 65536"},
        Lie{"KeyCountMore", [](GgufParts& p) { p.num_extra_keys = 60'000; }, "key count is 60015"},
        Lie{"KeyEmpty", [](GgufParts& p) { p.keys[0].key = ""; }, "key 0 is 0 bytes long"},
        Lie{"KeyTooLong", [](GgufParts& p) { p.keys[0].key = std::string(65'536, 'k'); },
            "key 0 is 65536 bytes long, expected 1 to 65535"},
        Lie{"KeyTwice", [](GgufParts& p) { p.keys[1].key = "u8"; }, "key 'u8' occurs twice"},
        Lie{"KeyType", [](GgufParts& p) { p.keys[0].type = 13; },
            "key 'u8' has type number 13, expected 0 to 12"},
        Lie{"StringLength",
            [](GgufParts& p) { p.keys[8].value = encoded<std::uint64_t>(1'000'000) + "llama"; },
            "key 'string' at byte 180 needs 1000008 bytes where"},
        Lie{"StringLengthHuge", [](GgufParts& p) { p.keys[8].value = encoded(kHuge); },
            "needs 18446744073709551615 bytes where"},
        Lie{"ArrayCount",
            [](GgufParts& p) { p.keys[13].value = array_of(GgufType::kI32, 1 << 20, "abcd"); },
            "key 'i32s' at byte"},
        Lie{"ArrayCountOverflows",
            [](GgufParts& p) { p.keys[13].value = array_of(GgufType::kF64, kHuge / 8 + 1, ""); },
            "needs 18446744073709551615 bytes where"},
        Lie{"ArrayOfStringsCount",
            [](GgufParts& p) {
              p.keys[9].value = array_of(GgufType::kString, kHuge, encoded_string("a"));
            },
            "key 'strings' at byte 212 element 3 of its array needs"},
        Lie{"ArrayElementType",
            [](GgufParts& p) { p.keys[13].value = encoded(99u) + encoded<std::uint64_t>(0); },
            "has elements of type number 99"},
        Lie{"ArrayDepth",
            [](GgufParts& p) {
              std::string value = array_of(GgufType::kU8, 0, "");
              for (int i = 0; i < 4; ++i) value = array_of(GgufType::kArray, 1, value);
              p.keys[14].value = value;
            },
            "nests arrays deeper than 4"},
        Lie{"AlignmentOdd",
            [](GgufParts& p) {
              p.keys[4] = gguf_key("general.alignment", GgufType::kU32, encoded(24u));
            },
            "'general.alignment' is 24, expected a power of two"},
        Lie{"AlignmentZero",
            [](GgufParts& p) {
              p.keys[4] = gguf_key("general.alignment", GgufType::kU32, encoded(0u));
            },
            "'general.alignment' is 0, expected a power of two"},
        Lie{"AlignmentHuge",
            [](GgufParts& p) {
              p.keys[4] = gguf_key("general.alignment", GgufType::kU32, encoded(1u << 31));
            },
            "'general.alignment' is 2147483648, expected a power of two"},
        Lie{"AlignmentText",
            [](GgufParts& p) {
              p.keys[8] = gguf_key("general.alignment", GgufType::kString, encoded_string("32"));
            },
            "'general.alignment' holds string, expected an integer"},
        Lie{"NameEmpty", [](GgufParts& p) { p.tensors[0].name = ""; },
            "name of tensor 0 is 0 bytes long"},
        Lie{"NameTooLong", [](GgufParts& p) { p.tensors[0].name = std::string(1'025, 'n'); },
            "name of tensor 0 is 1025 bytes long"},
        Lie{"RankFive",
            [](GgufParts& p) {
              p.tensors[0].extents = {1, 1, 1, 1, 8};
            },
            "tensor 'a' has 5 dimensions, expected at most 4"},
        Lie{"ExtentHuge",
            [](GgufParts& p) {
              p.tensors[0].extents = {kHuge, 2};
            },
            "tensor 'a' has shape [2, 18446744073709551615]: too large"},
        Lie{"ExtentsOverflowBytes",
            [](GgufParts& p) {
              p.tensors[0].extents = {kHuge / 2, 1};
            },
            "too large"},
        Lie{"ExtentBeyondFile",
            [](GgufParts& p) {
              p.tensors[1].extents = {64, 1};
            },
            "tensor 'b' has 68 bytes at offset 32 of the data"},
        Lie{"RowNotWhole",
            [](GgufParts& p) {
              p.tensors[1].extents = {16, 2};
            },
            "tensor 'b' of type Q8_0 has rows of 16 elements, expected a multiple of 32"},
        Lie{"OffsetOdd", [](GgufParts& p) { p.tensors[1].offset = 33; },
            "tensor 'b' has offset 33, expected a multiple of 32"},
        Lie{"OffsetBeyondFile", [](GgufParts& p) { p.tensors[1].offset = 64; },
            "tensor 'b' has 34 bytes at offset 64 of the data"},
        Lie{"OffsetHuge", [](GgufParts& p) { p.tensors[1].offset = kHuge - 31; },
            "tensor 'b' has 34 bytes at offset 18446744073709551584"},
        Lie{"Overlap", [](GgufParts& p) { p.tensors[1].offset = 0; }, "overlap at byte"}),
    [](const auto& lie) { return lie.param.name; });

TEST(Gguf, RefusesEveryPrefix) {
  const std::string image = gguf_image(good_parts());
  ASSERT_TRUE(parse(image).ok());
  for (std::size_t size = 0; size < image.size(); ++size)
    EXPECT_FALSE(parse(image.substr(0, size)).ok()) << size;
}

// Whatever a changed byte does, nothing outside the image is read (the sanitizers watch).
TEST(Gguf, SurvivesEveryChangedByte) {
  const std::string image = gguf_image(good_parts());
  std::size_t num_refused = 0;
  for (std::size_t at = 0; at < image.size(); ++at) {
    for (const char value : {'\x00', '\x01', '\x7F', '\xFF'}) {
      std::string changed = image;
      changed[at] = value;
      num_refused += parse(changed).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(num_refused, image.size() / 2);
}

TEST(Gguf, ListsTypesThatItCannotRead) {
  TemporaryFolder folder;
  GgufParts parts;
  parts.tensors = {
      {"k", {256, 1}, 15, 0}, {"old", {256}, 31, 0}, {"unknown", {7}, 77, 224}, {"f", {1}, 0, 320}};
  parts.data = std::string(352, '\0');
  MUST(write_file(folder / "k.gguf", gguf_image(parts)));  // a folder of our own
  const auto file = MUST(GgufFile::open(folder / "k.gguf"));
  EXPECT_EQ(file->find("k")->type_name, "Q8_K");
  EXPECT_EQ(file->find("k")->bytes.size(), 292u);
  EXPECT_EQ(file->find("unknown")->type_name, "type number 77");
  EXPECT_EQ(message_of(file->tensor("k")),
            folder /
                "k.gguf: tensor 'k': type Q8_K is not supported: it holds activations, not "
                "weights");
  EXPECT_EQ(message_of(file->tensor("old")),
            folder /
                "k.gguf: tensor 'old': type Q4_0_4_4 is not supported: it was an arrangement "
                "for one kind of CPU; make the file again as Q4_0");
  EXPECT_EQ(file->tensor("k").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(message_of(file->tensor("unknown")),
            folder / "k.gguf: tensor 'unknown': type number 77 is not known");
  EXPECT_TRUE(file->tensor("f").ok());
  EXPECT_EQ(message_of(file->tensor("g")), folder / "k.gguf: tensor 'g' is missing");
  EXPECT_EQ(file->num_parameters(), 520u);
}

TEST(Gguf, RefusesTensorsOfOneName) {
  TemporaryFolder folder;
  GgufParts parts = good_parts();
  parts.tensors[1].name = "a";
  MUST(write_file(folder / "x.gguf", gguf_image(parts)));  // a folder of our own
  EXPECT_THAT(message_of(GgufFile::open(folder / "x.gguf")), HasSubstr("tensor 'a' occurs twice"));
}

TEST(Gguf, AcceptsScalarsEmptyTensorsGapsAndOtherAlignments) {
  GgufParts parts;
  parts.alignment = 64;
  parts.keys = {gguf_key("general.alignment", GgufType::kU32, encoded(64u))};
  parts.tensors = {{"empty", {0, 4}, 0, 0}, {"late", {1}, 0, 128}, {"scalar", {}, 0, 64}};
  parts.data = std::string(132, '\0');
  const std::string image = gguf_image(parts);
  const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
  EXPECT_EQ(parsed.alignment, 64u);
  EXPECT_TRUE(parsed.tensors[0].bytes.empty());
  EXPECT_EQ(parsed.tensors[0].shape, (Shape{4, 0}));
  EXPECT_EQ(parsed.tensors[2].shape.rank(), 0u);
  EXPECT_EQ(parsed.tensors[2].bytes.size(), 4u);
}

GgufParts split_part(std::uint16_t part, std::uint16_t num_parts, const std::string& tensor) {
  GgufParts parts;
  parts.keys = {gguf_key("split.no", GgufType::kU16, encoded(part)),
                gguf_key("split.count", GgufType::kU16, encoded(num_parts)),
                gguf_key("split.tensors.count", GgufType::kI32, encoded<std::int32_t>(2))};
  parts.tensors = {{tensor, {8}, 0, 0}};
  parts.data = std::string(32, static_cast<char>('0' + part));
  return parts;
}

TEST(Gguf, OpensThePartsOfASplitModel) {
  TemporaryFolder folder;
  const std::string first = folder / "m-00001-of-00002.gguf";
  const std::string second = folder / "m-00002-of-00002.gguf";
  MUST(write_file(first, gguf_image(split_part(0, 2, "a"))));  // a folder of our own
  EXPECT_THAT(message_of(GgufFile::open(first)), HasSubstr("m-00002-of-00002.gguf"));
  MUST(write_file(second, gguf_image(split_part(1, 2, "b"))));  // likewise
  const auto file = MUST(GgufFile::open(first));
  EXPECT_EQ(file->files().size(), 2u);
  EXPECT_EQ(std::to_integer<char>(file->tensor("b").value().bytes[0]), '1');
  file->release_pages(file->tensor("b").value().bytes);
  EXPECT_THAT(message_of(GgufFile::open(second)), HasSubstr("open the first one"));

  MUST(write_file(second, gguf_image(split_part(1, 2, "a"))));  // likewise
  EXPECT_THAT(message_of(GgufFile::open(first)), HasSubstr("tensor 'a' occurs twice"));
  MUST(write_file(second, gguf_image(split_part(0, 2, "b"))));  // likewise
  EXPECT_THAT(message_of(GgufFile::open(first)), HasSubstr("says that it is number 0 of 2"));
  MUST(write_file(folder / "n.gguf", gguf_image(split_part(0, 2, "a"))));  // likewise
  EXPECT_THAT(message_of(GgufFile::open(folder / "n.gguf")),
              HasSubstr("its name must end in -00001-of-00002.gguf"));
}

// What a vocabulary of 150,000 tokens costs: one pass over lengths, nothing copied.
TEST(Gguf, ReadsALargeVocabularyInPlace) {
  constexpr std::uint64_t kNumTokens = 150'000;
  std::string tokens;
  for (std::uint64_t i = 0; i < kNumTokens; ++i) tokens += encoded_string(std::to_string(i));
  GgufParts parts;
  parts.keys = {
      gguf_key("tokens", GgufType::kArray, array_of(GgufType::kString, kNumTokens, tokens)),
      gguf_key("last", GgufType::kU8, "\x01")};
  const std::string image = gguf_image(parts);
  const GgufImage parsed = MUST(parse_gguf(bytes_of(image), "x.gguf"));  // well-formed
  const auto read = MUST(parsed.metadata.find("tokens")->as_array()->strings());
  ASSERT_EQ(read.size(), kNumTokens);
  EXPECT_EQ(read[kNumTokens - 1], "149999");
  EXPECT_GE(read.back().data(), image.data());
  EXPECT_LT(read.back().data(), image.data() + image.size());
}

}  // namespace
}  // namespace millrace
