// Ids and decoded texts of Hugging Face's tokenizers library on hostile texts (see
// tests/golden/tokenizers/make_golden.py), for small vocabularies of every kind and for published
// ones.
#include <cstdio>

#include "base/json.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "shared_data.h"
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
  const Json texts = MUST(read_json_file(golden("texts.json")));       // a file of ours
  const Json rows = MUST(read_json_file(golden(name + ".ids.json")));  // a file of ours
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
  std::printf("golden %s: %zu of %zu texts have equal ids, %zu decode equally\n", name.c_str(),
              num_equal, rows.size(), num_decoded);
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

// Ids only: SentencePiece's library decodes unknown pieces in a way of its own.
TEST(SentencePieceModel, AgreesWithTheReferenceLibrary) {
  const Json texts = MUST(read_json_file(golden("texts.json")));  // a file of ours
  for (const std::string name : {"spm_bpe_bytes", "spm_unigram_bytes", "spm_unigram_nfkc"}) {
    const TokenizerSpec spec = MUST(load_tokenizer_spec(golden(name)));  // a folder of ours
    const Tokenizer tokenizer = MUST(Tokenizer::create(spec));           // it is whole
    const Json rows = MUST(read_json_file(golden(name + ".ids.json")));  // a file of ours
    ASSERT_EQ(texts.size(), rows.size());
    std::size_t num_equal = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto want = rows[i].get<std::vector<TokenId>>();
      const std::string text = texts[i];
      const auto ids = MUST(  // a text within every limit
          tokenizer.encode(text, {.add_special = AddSpecial::kNo}));
      EXPECT_EQ(ids, want) << name << " text " << i << ": " << texts[i];
      num_equal += ids == want;
    }
    std::printf("golden %s: %zu of %zu texts have equal ids\n", name.c_str(), num_equal,
                rows.size());
  }
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
