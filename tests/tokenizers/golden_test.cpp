// Ids and decoded texts of Hugging Face's tokenizers library on hostile texts (see
// tests/golden/tokenizers/make_golden.py), for small vocabularies of every kind and for published
// ones.
#include <cstdio>
#include <span>

#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_sentencepiece.h"
#include "shared_data.h"
#include "support/support_table.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

std::string golden(const std::string& file) {
  return std::string(MILLRACE_GOLDEN) + "/tokenizers/" + file;
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  Detokenizer stream(tokenizer, {.skip_special = SkipSpecial::kNo});
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.flush();
}

// The library's Unigram makes special tokens of the text of special tokens even where it was asked
// not to parse them; ours never does.
bool only_we_keep_special_apart(const Tokenizer& tokenizer, const std::string& text,
                                const std::vector<TokenId>& ours,
                                const std::vector<TokenId>& theirs) {
  const auto is_special_in_text = [&](TokenId id) {
    return tokenizer.is_special(id) && text.find(tokenizer.piece(id)) != std::string::npos;
  };
  const auto is_other_special = [&tokenizer](TokenId id) {
    return tokenizer.is_special(id) && id != tokenizer.unk_id();
  };
  return std::any_of(theirs.begin(), theirs.end(), is_special_in_text) &&
         std::none_of(ours.begin(), ours.end(), is_other_special);
}

// Every text of the golden file; returns how many had equal ids, and fails for the others.
void compare_all(const Tokenizer& tokenizer, const std::string& name) {
  Json texts = MUST(read_json_file(golden("texts.json")));             // a file of ours
  const Json rows = MUST(read_json_file(golden(name + ".ids.json")));  // a file of ours
  if (texts.size() != rows.size()) texts = MUST(read_json_file(golden("step_texts.json")));  // ours
  ASSERT_EQ(texts.size(), rows.size());
  std::size_t num_equal = 0;
  std::size_t num_decoded = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string text = texts[i];
    const auto want_parsed = rows[i][0].get<std::vector<TokenId>>();
    const auto want_plain = rows[i][1].get<std::vector<TokenId>>();
    const auto parsed = MUST(tokenizer.encode(  // a text within every limit
        text, {.add_special = AddSpecial::kYes, .parse_special = ParseSpecial::kYes}));
    const auto plain = MUST(tokenizer.encode(  // a text within every limit
        text, {.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kNo}));
    EXPECT_EQ(parsed, want_parsed) << name << " text " << i << ": " << texts[i];
    const bool agree =
        plain == want_plain || only_we_keep_special_apart(tokenizer, text, plain, want_plain);
    EXPECT_TRUE(agree) << name << " text " << i << ": " << texts[i] << " became "
                       << ::testing::PrintToString(plain) << " instead of "
                       << ::testing::PrintToString(want_plain);
    num_equal += parsed == want_parsed && agree;
    const std::string decoded = streamed(tokenizer, want_plain);
    EXPECT_EQ(decoded, rows[i][2].get<std::string>()) << name << " text " << i;
    num_decoded += decoded == rows[i][2].get<std::string>();
  }
  const std::string note = num_decoded == rows.size() ? "ids and texts" : "ids; not all texts";
  record_support({"vocabulary", "golden " + name, num_equal, rows.size(), note});
}

std::vector<std::string> small_vocabularies() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden(""))) {
    if (fs::exists(entry.path() / "tokenizer.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class SmallVocabulary : public ::testing::TestWithParam<std::string> {};

TEST_P(SmallVocabulary, AgreesWithTheReferenceLibrary) {
  const TokenizerSpec spec = MUST(load_tokenizer_spec(golden(GetParam())));  // a folder of ours
  compare_all(MUST(Tokenizer::create(spec)), GetParam());                    // it is whole
}
INSTANTIATE_TEST_SUITE_P(Golden, SmallVocabulary, ::testing::ValuesIn(small_vocabularies()),
                         [](const auto& row) { return row.param; });

// A pattern that takes exponential time stops at its limit, wherever the file has it.
TEST(TokenizerJson, ABombOfAPatternStopsWithAnError) {
  const std::string text = std::string(40, 'a') + std::string(40, '1') + "!";
  const Json good = MUST(read_json_file(golden("llama3/tokenizer.json")));  // a file of ours
  for (const char* bomb : {"(a+)+\\z", "(?:\\p{N}{1,3}+)+!!", "(a|aa)+\\z"}) {
    const Json pattern = {{"Regex", bomb}};
    Json splits = good;
    splits["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", pattern}, {"behavior", "Isolated"}, {"invert", false}};
    Json replaces = good;
    replaces["normalizer"] = {{"type", "Replace"}, {"pattern", pattern}, {"content", ""}};
    for (const Json& json : {splits, replaces}) {
      const TokenizerSpec spec = MUST(parse_tokenizer_json(json, bomb));  // well-formed
      const Tokenizer tokenizer = MUST(Tokenizer::create(spec));          // so is the pattern
      const auto result = tokenizer.encode(text);
      ASSERT_FALSE(result.ok()) << bomb;
      EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted) << result.error().message;
    }
  }
}

// Ids only: SentencePiece's library decodes unknown pieces in a way of its own.
void compare_ids(const TokenizerSpec& spec, const std::string& name, const std::string& title) {
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));           // it is whole
  const Json texts = MUST(read_json_file(golden("texts.json")));       // a file of ours
  const Json rows = MUST(read_json_file(golden(name + ".ids.json")));  // a file of ours
  ASSERT_EQ(texts.size(), rows.size());
  std::size_t num_equal = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto want = rows[i].get<std::vector<TokenId>>();
    const std::string text = texts[i];
    const auto ids = MUST(  // a text within every limit
        tokenizer.encode(text, {.add_special = AddSpecial::kNo}));
    EXPECT_EQ(ids, want) << title << " text " << i << ": " << texts[i];
    num_equal += ids == want;
  }
  record_support({"vocabulary", title, num_equal, rows.size(), "ids"});
}

constexpr const char* kSentencePieceModels[] = {"spm_bpe_bytes", "spm_unigram_bytes",
                                                "spm_unigram_nfkc", "spm_bpe_user"};

TEST(SentencePieceModel, AgreesWithTheReferenceLibrary) {
  for (const std::string name : kSentencePieceModels) {
    compare_ids(MUST(load_tokenizer_spec(golden(name))), name, "golden " + name);  // ours
  }
}

TEST(PublishedSentencePieceModel, AgreesWithTheReferenceLibrary) {
  MILLRACE_NEEDS_SHARED_DATA();
  constexpr std::pair<const char*, const char*> kFiles[] = {
      {"mistral-v1", "tokenizer.model.v1"},
      {"mistral-v2", "mistral_instruct_tokenizer_240216.model.v2"},
      {"mistral-v3", "mistral_instruct_tokenizer_240323.model.v3"},
      {"mistral-v7", "mistral_instruct_tokenizer_241114.model.v7"},
      {"mistral-v7m1", "mistral_instruct_tokenizer_241114.model.v7m1"}};
  for (const auto& [name, file] : kFiles) {
    const std::string path = shared_data(std::string("tokenizers/mistral/") + file);
    const std::string bytes = MUST(read_file(path, 64 << 20));          // in the index
    const TokenizerSpec spec = MUST(parse_sentencepiece(bytes, path));  // a kind that we read
    compare_ids(spec, name, std::string(name) + " (sentencepiece)");
  }
}

// ---- The same vocabularies as a converter to GGUF writes them ----

Tokenizer through_gguf(const GgufMetadataBuilder& builder) {
  std::string image = "GGUF";
  const auto append = [&image](auto number) {
    image.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  append(std::uint32_t{3});
  append(std::uint64_t{0});
  append(static_cast<std::uint64_t>(builder.keys().size()));
  image.append(builder.encoded());
  const auto bytes = std::as_bytes(std::span(image.data(), image.size()));
  const GgufImage parsed = MUST(parse_gguf(bytes, "x.gguf"));             // written above
  const TokenizerSpec spec = MUST(load_tokenizer_spec(parsed.metadata));  // a kind that we read
  return MUST(Tokenizer::create(spec));                                   // it is whole
}

void add_pieces(const TokenizerSpec& spec, std::string (*write)(const Piece&),
                GgufMetadataBuilder& builder) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const Piece& piece : spec.pieces) {
    texts.push_back(write(piece));
    scores.push_back(static_cast<float>(piece.score));
    types.push_back(static_cast<std::int32_t>(piece.type) + 1);
  }
  builder.add_strings("tokenizer.ggml.tokens", texts);
  builder.add_array("tokenizer.ggml.scores", std::span<const float>(scores));
  builder.add_array("tokenizer.ggml.token_type", std::span<const std::int32_t>(types));
}

TEST(GgufVocabulary, UnigramWithACharacterMapAgrees) {
  TokenizerSpec spec = MUST(load_tokenizer_spec(golden("spm_unigram_nfkc")));  // ours
  GgufMetadataBuilder builder;
  builder.add_string("tokenizer.ggml.model", "t5");
  add_pieces(
      spec, [](const Piece& piece) { return piece.text; }, builder);
  std::vector<std::int32_t> map;
  for (const NormalizerStep& step : spec.normalizers) {
    const auto* chars_map = std::get_if<CharsMapNormalizer>(&step);
    if (chars_map == nullptr) continue;
    for (const char byte : chars_map->bytes) map.push_back(byte);
  }
  ASSERT_FALSE(map.empty());
  builder.add_array("tokenizer.ggml.precompiled_charsmap", std::span<const std::int32_t>(map));
  builder.add_bool("tokenizer.ggml.add_space_prefix", true);
  builder.add_bool("tokenizer.ggml.remove_extra_whitespaces", true);
  builder.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  const Tokenizer tokenizer = through_gguf(builder);
  // The model file, which agrees with its library; what reads GGUF sums scores in double.
  spec.float_sums = false;
  const Tokenizer model = MUST(Tokenizer::create(spec));          // it is whole
  const Json texts = MUST(read_json_file(golden("texts.json")));  // a file of ours
  std::size_t num_equal = 0;
  for (const Json& row : texts) {
    const std::string text = row;
    auto want = MUST(model.encode(text, {.add_special = AddSpecial::kNo}));  // within every limit
    want.push_back(2);                                                       // T5 ends a text.
    const auto ids = MUST(tokenizer.encode(text));                           // within every limit
    EXPECT_EQ(ids, want) << text;
    num_equal += ids == want;
  }
  record_support({"vocabulary", "GGUF model t5 (Unigram)", num_equal, texts.size(), "ids"});
}

TEST(GgufVocabulary, WordPieceAgrees) {
  const TokenizerSpec spec = MUST(load_tokenizer_spec(golden("word_piece")));  // a folder of ours
  GgufMetadataBuilder builder;
  builder.add_string("tokenizer.ggml.model", "bert");
  TokenizerSpec typed = spec;
  for (const AddedToken& token : spec.added_tokens) {
    typed.pieces[token.id].type = token.special ? PieceType::kControl : PieceType::kUserDefined;
  }
  typed.pieces[*spec.unk_id].type = PieceType::kUnknown;
  // As llama.cpp's converter marks words.
  const auto write = [](const Piece& piece) {
    if (piece.type != PieceType::kNormal) return piece.text;
    return piece.text.starts_with("##") ? piece.text.substr(2) : "\xE2\x96\x81" + piece.text;
  };
  add_pieces(typed, write, builder);
  builder.add("tokenizer.ggml.bos_token_id", std::uint32_t{spec.prefix_ids.at(0)});
  builder.add("tokenizer.ggml.seperator_token_id", std::uint32_t{spec.suffix_ids.at(0)});
  const Tokenizer tokenizer = through_gguf(builder);
  const Json texts = MUST(read_json_file(golden("texts.json")));          // a file of ours
  const Json rows = MUST(read_json_file(golden("word_piece.ids.json")));  // a file of ours
  std::size_t num_equal = 0;
  std::size_t num_texts = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string text = texts[i];
    // The file has no flags for added tokens: no single words, no white space taken.
    const auto has = [&text](const char* part) { return text.find(part) != std::string::npos; };
    if (has("<w>") || has("[MASK]") || has("snake_case")) continue;
    const auto want = rows[i][0].get<std::vector<TokenId>>();
    const auto ids = MUST(tokenizer.encode(  // a text within every limit
        text, {.add_special = AddSpecial::kYes, .parse_special = ParseSpecial::kYes}));
    EXPECT_EQ(ids, want) << text;
    num_equal += ids == want;
    ++num_texts;
  }
  EXPECT_GT(num_texts, 100u);
  record_support({"vocabulary", "GGUF model bert (WordPiece)", num_equal, num_texts,
                  "ids; texts without flagged added tokens"});
}

TEST(PublishedVocabulary, AgreesWithTheReferenceLibrary) {
  MILLRACE_NEEDS_SHARED_DATA();
  for (const std::string name : {"phi-2", "llama2-hf", "qwen2"}) {
    const TokenizerSpec spec =
        MUST(load_tokenizer_spec(shared_data("tokenizers/" + name)));  // in the index
    compare_all(MUST(Tokenizer::create(spec)), name);                  // published and whole
  }
  const std::string path = shared_data("tokenizers/gpt2/gpt2_tokenizer.json");
  const Json json = MUST(read_json_file(path));                         // in the index
  const TokenizerSpec spec = MUST(parse_tokenizer_json(json, "gpt2"));  // a kind that we read
  compare_all(MUST(Tokenizer::create(spec)), "gpt2");                   // published and whole
}

}  // namespace
}  // namespace millrace
