// Tokenizers written as tokenizer.json and GGUF keys, and read again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_write_gguf.h"
#include "formats/tokenizer_write_json.h"
#include "formats/tokenizer_write_merges.h"
#include "formats/tokenizer_write_steps.h"
#include "text/byte_tokenizer.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

constexpr const char* kText = "he said:  the 42 hats, h\xC3\xA9!\n\x01 \xF0\x9F\x8E\xA9";

// A GGUF file image in memory: header and metadata, no tensors.
std::vector<std::byte> image_of(const GgufMetadataBuilder& metadata) {
  std::string image = "GGUF";
  const auto append = [&image](auto value) {
    image.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(std::uint32_t{3});
  append(std::uint64_t{0});
  append(std::uint64_t{metadata.keys().size()});
  image += metadata.encoded();
  const auto bytes = std::as_bytes(std::span(image));
  return {bytes.begin(), bytes.end()};
}

Result<TokenizerSpec> through_gguf(const TokenizerSpec& spec, const GgufTokenizerOptions& options) {
  GgufMetadataBuilder metadata;
  TRY(add_tokenizer_metadata(spec, options, metadata));
  const std::vector<std::byte> image = image_of(metadata);
  return load_tokenizer_spec(TRY(parse_gguf(image, "test.gguf")).metadata);
}

Result<TokenizerSpec> through_json(const TokenizerSpec& spec) {
  const std::string json = TRY(tokenizer_json_of(spec)).dump();
  TokenizerSpec back = TRY(parse_tokenizer_json(Json::parse(json), "tokenizer.json"));
  const std::string config = tokenizer_config_json_of(spec, 512).dump();
  TRY(apply_tokenizer_config(Json::parse(config), "tokenizer_config.json", back));
  return back;
}

std::vector<TokenId> ids_of(const TokenizerSpec& spec, std::string_view text) {
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // a vocabulary of ours
  return MUST(tokenizer.encode(text, {.parse_special = ParseSpecial::kYes}));
}

void expect_same_ids(const TokenizerSpec& got, const TokenizerSpec& want, std::string_view text) {
  EXPECT_EQ(ids_of(got, text), ids_of(want, text)) << text;
  EXPECT_EQ(got.bos_id, want.bos_id);
  EXPECT_EQ(got.eos_id, want.eos_id);
  EXPECT_THAT(got.end_of_generation_ids,
              ::testing::UnorderedElementsAreArray(want.end_of_generation_ids));
  EXPECT_EQ(got.chat_templates.size(), want.chat_templates.size());
}

// Bytes, characters over ▁, and some merges by score; <unk> 0, <s> 1, </s> 2.
TokenizerSpec sentencepiece_spec() {
  TokenizerSpec spec;
  spec.pieces = {{"<unk>", 0, PieceType::kUnknown},
                 {"<s>", 0, PieceType::kControl},
                 {"</s>", 0, PieceType::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    spec.pieces.push_back({text, 0, PieceType::kByte});
  }
  float score = 0;
  for (const char* text : {"he", "\xE2\x96\x81t", "\xE2\x96\x81the", "the", "at", "hat"}) {
    spec.pieces.push_back({text, score--});
  }
  for (const char* text : {"\xE2\x96\x81", "h", "e", "t", "a", "s", "i", "d", ":", ","}) {
    spec.pieces.push_back({text, score--});
  }
  spec.merge_source = MergeSource::kPieceScore;
  spec.byte_fallback = spec.fuse_unk = true;
  spec.normalizers = {PrependNormalizer{"\xE2\x96\x81"},
                      ReplaceNormalizer{{Pattern::Kind::kLiteral, " "}, "\xE2\x96\x81"}};
  spec.decoders = {ReplaceDecoder{{Pattern::Kind::kLiteral, "\xE2\x96\x81"}, " "},
                   ByteFallbackDecoder{}, FuseDecoder{}, StripDecoder{" ", 1, 0}};
  for (TokenId id = 0; id < 3; ++id) {
    spec.added_tokens.push_back({.id = id, .content = spec.pieces[id].text, .special = true});
  }
  spec.unk_id = 0;
  spec.bos_id = 1;
  spec.eos_id = 2;
  spec.end_of_generation_ids = {2};
  spec.prefix_ids = {1};
  spec.chat_templates = {{"", "{{ messages }}"}};
  return spec;
}

// GPT-2's kind with two merges and three special tokens after the vocabulary.
TokenizerSpec byte_level_spec() {
  TokenizerSpec spec = byte_tokenizer_spec();
  spec.pieces.resize(256);
  spec.added_tokens.clear();
  spec.pieces.push_back({"he"});
  spec.pieces.push_back(
      {"\xC4\xA0"
       "t"});
  spec.pieces.push_back(
      {"\xC4\xA0"
       "the"});
  spec.merges = {{"h", "e"}, {"\xC4\xA0", "t"}, {"\xC4\xA0t", "he"}};
  for (const char* text : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    const auto id = static_cast<TokenId>(spec.pieces.size());
    spec.pieces.push_back({text, 0, PieceType::kControl});
    spec.added_tokens.push_back({.id = id, .content = text, .special = true});
  }
  spec.bos_id = spec.eos_id = 259;
  spec.end_of_generation_ids = {259, 261};
  return spec;
}

TEST(TokenizerWrite, SentencePieceSurvivesJson) {
  const TokenizerSpec spec = sentencepiece_spec();
  const auto back = through_json(spec);
  ASSERT_TRUE(back.ok()) << back.error().message;
  expect_same_ids(back.value(), spec, kText);
  expect_same_ids(back.value(), spec, "<s>the</s> hat <unk>");
  EXPECT_EQ(back.value().pieces.size(), spec.pieces.size());
}

TEST(TokenizerWrite, SentencePieceSurvivesGguf) {
  const TokenizerSpec spec = sentencepiece_spec();
  const std::size_t num_rows = spec.pieces.size() + 5;
  const auto back = through_gguf(spec, {.num_rows = num_rows, .bos_id = {}, .eos_ids = {}});
  ASSERT_TRUE(back.ok()) << back.error().message;
  expect_same_ids(back.value(), spec, kText);
  ASSERT_EQ(back.value().pieces.size(), num_rows);
  EXPECT_EQ(back.value().pieces.back().type, PieceType::kUnused);
  for (std::size_t id = 0; id < spec.pieces.size(); ++id) {
    EXPECT_EQ(back.value().pieces[id].type, spec.pieces[id].type) << id;
    EXPECT_EQ(back.value().pieces[id].score, spec.pieces[id].score) << id;
  }
}

// tokenizer.json has merges instead of scores, and knows no types: both are found again.
TEST(TokenizerWrite, ScoresAndTypesAreFoundFromMerges) {
  const TokenizerSpec original = sentencepiece_spec();
  const TokenizerSpec from_json = MUST(through_json(original));  // as above
  EXPECT_EQ(from_json.merge_source, MergeSource::kMerges);
  EXPECT_EQ(merge_scores_of(from_json).num_inexact, 0u);
  const auto back =
      through_gguf(from_json, {.num_rows = original.pieces.size(), .bos_id = {}, .eos_ids = {}});
  ASSERT_TRUE(back.ok()) << back.error().message;
  expect_same_ids(back.value(), original, kText);
  for (std::size_t id = 0; id < original.pieces.size(); ++id) {
    EXPECT_EQ(back.value().pieces[id].type, original.pieces[id].type) << id;
  }
}

TEST(TokenizerWrite, MergesThatScoresCannotSayAreCounted) {
  TokenizerSpec spec = sentencepiece_spec();
  spec.merge_source = MergeSource::kMerges;
  // "▁the" by two merges with another between them, and "hat" by none.
  spec.merges = {{"h", "e"}, {"\xE2\x96\x81", "t"}, {"\xE2\x96\x81t", "he"},
                 {"a", "t"}, {"t", "he"},           {"\xE2\x96\x81", "the"}};
  const MergeScores scores = merge_scores_of(spec);
  EXPECT_EQ(scores.num_inexact, 4u);  // ▁the, at and the share one score; hat can be merged now
  EXPECT_EQ(scores.example, "\xE2\x96\x81the");
}

TEST(TokenizerWrite, ByteLevelSurvivesBoth) {
  const TokenizerSpec spec = byte_level_spec();
  const auto json = through_json(spec);
  ASSERT_TRUE(json.ok()) << json.error().message;
  expect_same_ids(json.value(), spec, kText);
  expect_same_ids(json.value(), spec, "<|im_start|>the<|im_end|>");
  const auto gguf = through_gguf(spec, {.num_rows = 300, .bos_id = {}, .eos_ids = {259, 261}});
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  expect_same_ids(gguf.value(), spec, kText);
  const auto again = through_json(gguf.value());
  ASSERT_TRUE(again.ok()) << again.error().message;
  expect_same_ids(again.value(), spec, kText);
  EXPECT_EQ(again.value().pieces.size(), spec.pieces.size());  // without the 38 unused ones
}

TEST(TokenizerWrite, PreTokenizersAreNamed) {
  const auto name_of = [](const TokenizerSpec& spec) {
    GgufMetadataBuilder metadata;
    MUST(add_tokenizer_metadata(spec, {.num_rows = 300, .bos_id = {}, .eos_ids = {}}, metadata));
    const std::vector<std::byte> image = image_of(metadata);
    const GgufImage parsed = MUST(parse_gguf(image, "test.gguf"));  // written above
    return std::string(MUST(parsed.metadata.get<std::string_view>("tokenizer.ggml.pre")));
  };
  TokenizerSpec spec = byte_level_spec();
  EXPECT_EQ(name_of(spec), "gpt-2");
  // SmolLM's: single digits, then GPT-2's words.
  spec.pre_tokenizers = {DigitsPreTokenizer{true}, ByteLevelPreTokenizer{}};
  EXPECT_EQ(name_of(spec), "smollm");
  const std::string digits_of_three =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  spec.pre_tokenizers = {SplitPreTokenizer{{Pattern::Kind::kRegex, digits_of_three}},
                         ByteLevelPreTokenizer{.use_regex = false}};
  spec.ignore_merges = true;
  EXPECT_EQ(name_of(spec), "llama-bpe");
}

TEST(TokenizerWrite, RefusesByName) {
  GgufMetadataBuilder metadata;
  const auto refusal = [&metadata](const TokenizerSpec& spec, std::size_t num_rows) {
    const auto refused =
        add_tokenizer_metadata(spec, {.num_rows = num_rows, .bos_id = {}, .eos_ids = {}}, metadata);
    return refused.ok() ? std::string("accepted") : refused.error().message;
  };
  TokenizerSpec spec = byte_level_spec();
  EXPECT_EQ(refusal(spec, 100),
            "the tokenizer has 262 tokens, the model's embedding only 100 rows");
  spec.pre_tokenizers = {SplitPreTokenizer{{Pattern::Kind::kRegex, "[xyz]+"}},
                         ByteLevelPreTokenizer{.use_regex = false}};
  EXPECT_NE(refusal(spec, 300).find("[xyz]+"), std::string::npos);
  spec = byte_level_spec();
  spec.prefix_ids = {256, 257};
  EXPECT_NE(refusal(spec, 300).find("other tokens around a text"), std::string::npos);
  spec = sentencepiece_spec();
  spec.normalizers.emplace_back(LowercaseNormalizer{});
  EXPECT_NE(refusal(spec, 300).find("Lowercase"), std::string::npos);
  spec.model = TokenizerModel::kUnigram;
  EXPECT_NE(refusal(spec, 300).find("BPE"), std::string::npos);
  EXPECT_FALSE(tokenizer_json_of(spec).ok());
  spec = byte_level_spec();
  spec.pieces[10].text = spec.pieces[11].text;
  EXPECT_NE(tokenizer_json_of(spec).error().message.find("two tokens"), std::string::npos);
}

// Added tokens that do not simply follow the vocabulary are part of it, so that their ids hold.
TEST(TokenizerWrite, AddedTokensWithGapsKeepTheirIds) {
  TokenizerSpec spec = byte_level_spec();
  spec.pieces.resize(271, {"", 0, PieceType::kUnused});
  spec.pieces[270] = {"<|late|>", 0, PieceType::kControl};
  spec.added_tokens.push_back({.id = 270, .content = "<|late|>", .special = true});
  const OrderedJson json = MUST(tokenizer_json_of(spec));
  EXPECT_EQ(json["model"]["vocab"]["<|late|>"], 270);
  EXPECT_EQ(json["model"]["vocab"]["<|im_end|>"], 261);
  const OrderedJson plain = MUST(tokenizer_json_of(byte_level_spec()));
  EXPECT_FALSE(plain["model"]["vocab"].contains("<|im_end|>"));
}

TEST(TokenizerWrite, EveryStepIsReadBack) {
  const std::vector<NormalizerStep> normalizers = {
      PrependNormalizer{"x"},
      ReplaceNormalizer{{Pattern::Kind::kRegex, "a+"}, "b"},
      UnicodeNormalizer{UnicodeForm::kNfkd},
      LowercaseNormalizer{},
      StripNormalizer{true, false},
      StripAccentsNormalizer{},
      CharsMapNormalizer{std::string("\x00\xFF\x10\x80", 4)},
      BertNormalizer{true, false, true, false}};
  const OrderedJson json = normalizers_json(normalizers);
  const auto back = parse_normalizers(Json::parse(json.dump()), "test");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(normalizers_json(back.value()), json);

  const std::vector<PreTokenizerStep> pre_tokenizers = {
      SplitPreTokenizer{{Pattern::Kind::kLiteral, "-"}, SplitBehavior::kContiguous, true},
      ByteLevelPreTokenizer{true, false},
      DigitsPreTokenizer{true},
      PunctuationPreTokenizer{SplitBehavior::kMergedWithNext},
      MetaspacePreTokenizer{"_", PrependScheme::kFirst, false},
      WhitespacePreTokenizer{},
      WhitespaceSplitPreTokenizer{},
      BertPreTokenizer{},
      CharDelimiterPreTokenizer{"|"},
      FixedLengthPreTokenizer{3}};
  const OrderedJson cuts = pre_tokenizers_json(pre_tokenizers);
  const auto cuts_back = parse_pre_tokenizers(Json::parse(cuts.dump()), "test");
  ASSERT_TRUE(cuts_back.ok()) << cuts_back.error().message;
  EXPECT_EQ(pre_tokenizers_json(cuts_back.value()), cuts);

  const std::vector<DecoderStep> decoders = {ByteLevelDecoder{},
                                             ByteFallbackDecoder{},
                                             FuseDecoder{},
                                             ReplaceDecoder{{Pattern::Kind::kLiteral, "a"}, "b"},
                                             StripDecoder{" ", 1, 2},
                                             MetaspaceDecoder{"_", PrependScheme::kNever},
                                             WordPieceDecoder{"#", false}};
  const OrderedJson decoding = decoders_json(decoders);
  const auto decoding_back = parse_decoders(Json::parse(decoding.dump()), "test");
  ASSERT_TRUE(decoding_back.ok()) << decoding_back.error().message;
  EXPECT_EQ(decoders_json(decoding_back.value()), decoding);
}

}  // namespace
}  // namespace millrace
