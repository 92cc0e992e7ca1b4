// The container of packed models: what was written comes back, and damage of every kind is named.
#include "formats/packed_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/checksum.h"
#include "formats/test_support.h"
#include "formats/tokenizer_archive.h"
#include "text/byte_tokenizer.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

constexpr std::size_t kChecksumAt = 192;
constexpr std::size_t kSectionsAt = 48;

PackedModelParts parts_of(const std::vector<std::string>& sections) {
  PackedModelParts parts;
  parts.layout_version = 7;
  parts.layout = "panels-of-a-test";
  for (std::size_t i = 0; i < sections.size(); ++i) {
    parts.sections[i] = std::as_bytes(std::span(sections[i]));
  }
  return parts;
}

const std::vector<std::string>& sections() {
  static const std::vector<std::string> kSections = {
      "spec", std::string(100, 't'), "", "{}", std::string("\0\1\2", 3), std::string(5000, 'w')};
  return kSections;
}

class PackedModel : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_packed_model(path(), parts_of(sections())).ok());
    std::ifstream file(path(), std::ios::binary);
    image_.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::string path() const { return folder_ / "model.millrace"; }
  Result<PackedModelImage> parse() const {
    return parse_packed_model(std::as_bytes(std::span(image_)), "x");
  }
  std::string message() const {
    const auto parsed = parse();
    return parsed.ok() ? "accepted" : parsed.error().message;
  }
  template <class T>
  void put(std::size_t at, T value) {
    std::memcpy(image_.data() + at, &value, sizeof value);
  }
  // As somebody would who means harm.
  void fix_header() {
    Checksum sum;
    sum.add(std::as_bytes(std::span(image_)).first(kChecksumAt));
    put(kChecksumAt, sum.value());
  }

  TemporaryFolder folder_;
  std::string image_;
};

TEST_F(PackedModel, ComesBackAsItWasWritten) {
  const auto file = PackedModelFile::open(path());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file.value()->layout(), "panels-of-a-test");
  EXPECT_EQ(file.value()->layout_version(), 7u);
  for (std::size_t i = 0; i < kNumPackedSections; ++i) {
    const auto bytes = file.value()->section(static_cast<PackedSection>(i));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
              sections()[i]);
  }
  const auto weights = file.value()->section(PackedSection::kWeights);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weights.data()) % 4096, 0u);
  EXPECT_TRUE(file.value()->check_weights().ok());
}

TEST_F(PackedModel, EveryShorterFileIsRefused) {
  const std::string whole = image_;
  for (std::size_t size = 0; size < whole.size(); size = size < 400 ? size + 1 : size + 97) {
    image_ = whole.substr(0, size);
    EXPECT_FALSE(parse().ok()) << size;
  }
  image_ = whole + '\0';
  EXPECT_FALSE(parse().ok());
}

TEST_F(PackedModel, EveryChangedByteBeforeTheWeightsIsSeen) {
  const std::string whole = image_;
  const auto good = parse();
  ASSERT_TRUE(good.ok()) << message();
  std::vector<bool> is_covered(whole.size(), false);
  std::fill_n(is_covered.begin(), kChecksumAt + sizeof(std::uint64_t), true);
  for (const auto& section : good.value().sections) {
    const auto* begin = reinterpret_cast<const char*>(section.data());
    if (!section.empty())
      std::fill_n(is_covered.begin() + (begin - image_.data()), section.size(), true);
  }
  const std::size_t weights_at = whole.size() - sections().back().size();
  for (std::size_t at = 0; at < weights_at; ++at) {
    image_[at] = static_cast<char>(whole[at] ^ 0x40);
    EXPECT_EQ(parse().ok(), !is_covered[at]) << at;
    image_[at] = whole[at];
  }
}

TEST_F(PackedModel, ChangedWeightsAreSeenOnDemand) {
  image_[image_.size() - 10] ^= 1;
  ASSERT_TRUE(parse().ok()) << message();
  std::ofstream(path(), std::ios::binary) << image_;
  const auto file = PackedModelFile::open(path());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Status checked = file.value()->check_weights();
  ASSERT_FALSE(checked.ok());
  EXPECT_NE(checked.error().message.find("the weights do not match"), std::string::npos);
}

TEST_F(PackedModel, HostileNumbersUnderARightChecksum) {
  const std::string whole = image_;
  for (std::size_t section = 0; section < kNumPackedSections; ++section) {
    for (const std::size_t field : {0u, 8u}) {
      for (const std::uint64_t value :
           {std::uint64_t{1}, std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63,
            ~std::uint64_t{0} - 4095, std::uint64_t{whole.size()}}) {
        image_ = whole;
        const std::size_t at = kSectionsAt + section * 24 + field;
        std::uint64_t before = 0;
        std::memcpy(&before, image_.data() + at, sizeof before);
        if (before == value) continue;
        put(at, value);
        fix_header();
        EXPECT_FALSE(parse().ok()) << section << " " << field << " " << value;
      }
    }
  }
  image_ = whole;
  put<std::uint64_t>(16, 1);
  fix_header();
  EXPECT_NE(message().find("its header says 1"), std::string::npos) << message();
  image_ = whole;
  put<char>(47, 'x');
  fix_header();
  EXPECT_NE(message().find("has no end"), std::string::npos) << message();
}

TEST_F(PackedModel, AnotherVersionIsRefusedByNumber) {
  put<std::uint32_t>(8, kPackedModelVersion + 1);
  fix_header();
  const auto parsed = parse();
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(parsed.error().message.find("pack it again"), std::string::npos);
}

TEST(TokenizerArchive, EveryFieldComesBack) {
  TokenizerSpec spec = byte_tokenizer_spec();
  spec.merge_source = MergeSource::kPieceScore;
  spec.merges = {{"a", "b"}, {"ab", ""}};
  spec.float_sums = true;
  spec.continuing_subword_prefix = "##";
  spec.word_characters_max = 9;
  spec.added_tokens.push_back({.id = 3, .content = "<x>", .special = true, .lstrip = true});
  spec.normalizers = {ReplaceNormalizer{{Pattern::Kind::kRegex, "x+"}, "y"},
                      UnicodeNormalizer{UnicodeForm::kNfkd},
                      CharsMapNormalizer{std::string("\0\1", 2), true, {"k", ""}},
                      BertNormalizer{true, false, true, false}, ByteLevelNormalizer{}};
  spec.pre_tokenizers = {SplitPreTokenizer{{}, SplitBehavior::kContiguous, true},
                         FixedLengthPreTokenizer{5}, UnicodeScriptsPreTokenizer{}};
  spec.decoders = {StripDecoder{" ", 1, 2}, CtcDecoder{"p", "w", false}, SpaceJoinDecoder{}};
  spec.prefix_ids = {1, 2};
  spec.pad_id = 77;
  spec.end_of_generation_ids = {5};
  spec.chat_templates = {{"tool_use", "{{ x }}"}};
  const std::string bytes = write_tokenizer_archive(spec);
  const auto back = read_tokenizer_archive(std::as_bytes(std::span(bytes)), "x");
  ASSERT_TRUE(back.ok()) << back.error().message;
  // Equal bytes from what was read: nothing was lost on the way.
  EXPECT_EQ(write_tokenizer_archive(back.value()), bytes);
  EXPECT_EQ(back.value().pieces.size(), spec.pieces.size());
  EXPECT_EQ(back.value().merges, spec.merges);
  EXPECT_EQ(back.value().pad_id, spec.pad_id);
  EXPECT_FALSE(back.value().unk_id.has_value());
  ASSERT_EQ(back.value().normalizers.size(), 5u);
  EXPECT_EQ(std::get<CharsMapNormalizer>(back.value().normalizers[2]).bytes,
            std::string("\0\1", 2));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(read_tokenizer_archive(std::as_bytes(std::span(bytes)).first(size), "x").ok());
  }
}

TEST(TokenizerArchive, OtherBytesAreHarmless) {
  const std::string bytes = write_tokenizer_archive(byte_tokenizer_spec());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const auto back = read_tokenizer_archive(std::as_bytes(std::span(changed)), "x");
      if (back.ok()) static_cast<void>(Tokenizer::create(back.value()).ok());
    }
  }
}

}  // namespace
}  // namespace millrace
