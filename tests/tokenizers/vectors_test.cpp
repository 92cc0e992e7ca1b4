// Published test vectors: llama.cpp's for its vocabularies, swift-transformers', and the prompts of
// the reference models, each through every form of the vocabulary that is there.
#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_sentencepiece.h"
#include "formats/tokenizer_tiktoken.h"
#include "formats/tokenizer_vocab_merges.h"
#include "shared_data.h"
#include "support/support_table.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

constexpr std::uint64_t kFileBytesMax = 64 << 20;

std::string read(const std::string& path) {
  return MUST(read_file(shared_data(path), kFileBytesMax));  // the data's index lists it
}

Tokenizer from_gguf(const std::string& path) {
  const auto file = MUST(GgufFile::open(shared_data(path)));               // in the index
  const TokenizerSpec spec = MUST(load_tokenizer_spec(file->metadata()));  // a kind that we read
  return MUST(Tokenizer::create(spec));                                    // published and whole
}

Tokenizer from_folder(const std::string& path) {
  const TokenizerSpec spec = MUST(load_tokenizer_spec(shared_data(path)));  // in the index
  return MUST(Tokenizer::create(spec));                                     // published and whole
}

Tokenizer from_model_file(const std::string& path) {
  const TokenizerSpec spec = MUST(parse_sentencepiece(read(path), path));  // in the index
  return MUST(Tokenizer::create(spec));                                    // published and whole
}

Tokenizer from_json(const std::string& path) {
  const Json json = MUST(read_json_file(shared_data(path)));               // in the index
  return MUST(Tokenizer::create(MUST(parse_tokenizer_json(json, path))));  // published and whole
}

Tokenizer from_gpt2_vocab_merges(const std::string& path) {
  const Json vocabulary = MUST(read_json_file(shared_data(path)));  // in the index
  const std::string merges = read("tokenizers/gpt2/gpt2.merges.txt");
  const TokenizerSpec spec =
      MUST(parse_vocab_merges(vocabulary, merges, path, "gpt-2"));  // a kind that we read
  return MUST(Tokenizer::create(spec));                             // published and whole
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::string& text,
                            AddSpecial add_special) {
  return MUST(tokenizer.encode(text, {.add_special = add_special}));  // a text of the data
}

std::vector<std::string> split_texts(const std::string& text) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(separator); end != std::string::npos;
       end = text.find(separator, begin)) {
    texts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return texts;
}

std::vector<std::vector<TokenId>> split_ids(const std::string& text) {
  std::vector<std::vector<TokenId>> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    std::vector<TokenId> ids;
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
    all.push_back(ids);
  }
  return all;
}

// A path without the folders that all have in common.
std::string short_name(const std::string& path) {
  const std::string folder = "tokenizers/";
  return path.starts_with(folder) ? path.substr(folder.size()) : path;
}

struct GgmlCase {
  const char* vectors;
  Tokenizer (*load)(const std::string&);
  const char* path;
};

constexpr GgmlCase kGgmlCases[] = {
    {"deepseek-coder", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-deepseek-coder.gguf"},
    {"falcon", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-falcon.gguf"},
    {"gpt-2", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf"},
    {"gpt-2", from_json, "tokenizers/gpt2/gpt2_tokenizer.json"},
    {"gpt-2", from_gpt2_vocab_merges, "tokenizers/gpt2/gpt2.vocab"},
    {"llama-spm", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf"},
    {"llama-spm", from_folder, "tokenizers/llama2-hf"},
    {"mpt", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-mpt.gguf"},
    {"starcoder", from_gguf, "tokenizers/ggml-vocab/ggml-vocab-starcoder.gguf"},
    {"qwen2", from_folder, "tokenizers/qwen2"},
    {"llama-bpe", from_folder, "tokenizers/llama3"},
};

class GgmlVectors : public ::testing::TestWithParam<GgmlCase> {};

TEST_P(GgmlVectors, EveryTextHasThePublishedIds) {
  MILLRACE_NEEDS_SHARED_DATA();
  const Tokenizer tokenizer = GetParam().load(GetParam().path);
  const std::string base =
      std::string("tokenizers/ggml-vocab/ggml-vocab-") + GetParam().vectors + ".gguf";
  const std::vector<std::string> texts = split_texts(read(base + ".inp"));
  const std::vector<std::vector<TokenId>> want = split_ids(read(base + ".out"));
  ASSERT_EQ(texts.size(), want.size());
  ASSERT_GT(texts.size(), 40u);
  std::size_t num_equal = 0;
  std::size_t num_back = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::vector<TokenId> ids = encode(tokenizer, texts[i], AddSpecial::kNo);
    EXPECT_EQ(ids, want[i]) << "text " << i << ": " << texts[i];
    num_equal += ids == want[i];
    num_back += MUST(tokenizer.decode(ids)) == texts[i];  // ids that encode made
  }
  const std::string note = "llama.cpp's vectors of " + std::string(GetParam().vectors) + "; " +
                           std::to_string(num_back) + " decoded back";
  record_support({"vocabulary", short_name(GetParam().path), num_equal, texts.size(), note});
  EXPECT_EQ(num_back, texts.size());
}

std::string case_name(const ::testing::TestParamInfo<GgmlCase>& info) {
  std::string name = std::string(info.param.vectors) + "_" + info.param.path;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(Vocabularies, GgmlVectors, ::testing::ValuesIn(kGgmlCases), case_name);

struct SwiftCase {
  const char* model;    // In tokenizer_tests.json,
  const char* encoded;  // and a file of its own.
  Tokenizer (*load)(const std::string&);
  const char* path;
};

constexpr SwiftCase kSwiftCases[] = {
    {"distilgpt2", "gpt2_encoded_tokens", from_json, "tokenizers/gpt2/gpt2_tokenizer.json"},
    {"coreml-projects/Llama-2-7b-chat-coreml", "llama_encoded", from_folder,
     "tokenizers/llama2-hf"},
    {"coreml-projects/Llama-2-7b-chat-coreml", "llama_encoded", from_gguf,
     "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf"},
    {"tiiuae/falcon-7b", "falcon_encoded", from_gguf,
     "tokenizers/ggml-vocab/ggml-vocab-falcon.gguf"},
    {"pcuenq/Llama-3.2-1B-Instruct-tokenizer", "llama_3.2_encoded", from_folder,
     "tokenizers/llama3"},
};

// This copy of Llama 2's tokenizer.json has plain spaces where the original has no-break spaces
// (the reference library refuses it for that), so texts with one cannot have the published ids.
constexpr std::string_view kDamagedFolder = "tokenizers/llama2-hf";
constexpr std::string_view kNoBreakSpace = "\xC2\xA0";

TEST(SwiftVectors, EveryTextHasThePublishedIds) {
  MILLRACE_NEEDS_SHARED_DATA();
  const Json tests = MUST(read_json_file(shared_data(  // in the index
      "tokenizers/swift-vectors/tokenizer_tests.json")));
  for (const SwiftCase& swift_case : kSwiftCases) {
    const Tokenizer tokenizer = swift_case.load(swift_case.path);
    std::size_t num_texts = 0;
    std::size_t num_equal = 0;
    std::size_t num_left_out = 0;
    const auto compare = [&](const std::string& text, const Json& ids) {
      const bool lost = text.find(kNoBreakSpace) != std::string::npos;
      if (lost && std::string_view(swift_case.path) == kDamagedFolder) {
        ++num_left_out;
        return;
      }
      const auto want = ids.get<std::vector<TokenId>>();
      const std::vector<TokenId> got = encode(tokenizer, text, AddSpecial::kYes);
      EXPECT_EQ(got, want) << swift_case.model << ": " << text;
      ++num_texts;
      num_equal += got == want;
    };
    for (const Json& row : tests[swift_case.model]) {
      compare(row["input"], row["encoded"]["input_ids"]);
    }
    const std::string encoded = std::string("tokenizers/swift-vectors/") + swift_case.encoded;
    const Json row = MUST(read_json_file(shared_data(encoded + ".json")));  // in the index
    compare(row["text"], row["token_ids"]);
    std::string note = "swift-transformers' vectors of " + std::string(swift_case.model);
    if (num_left_out > 0) {
      note += "; " + std::to_string(num_left_out) + " left out: the file lost its no-break spaces";
    }
    record_support(
        {"vocabulary", short_name(swift_case.path) + " (swift)", num_equal, num_texts, note});
  }
}

// Vectors whose vocabulary is not in the data folder: named, so that nobody takes them for done.
TEST(SwiftVectors, OthersHaveNoVocabularyToTestThem) {
  MILLRACE_NEEDS_SHARED_DATA();
  const Json tests = MUST(read_json_file(shared_data(  // in the index
      "tokenizers/swift-vectors/tokenizer_tests.json")));
  for (const auto& [model, rows] : tests.items()) {
    const bool is_tested =
        std::any_of(std::begin(kSwiftCases), std::end(kSwiftCases),
                    [&model = model](const SwiftCase& row) { return row.model == model; });
    if (is_tested) continue;
    record_support({"vocabulary", model + " (swift)", 0, 0,
                    "vectors of " + std::to_string(rows.size()) + " texts without a vocabulary"});
  }
}

TEST(Vocabularies, EveryFolderOfTheDataIsInTheTable) {
  MILLRACE_NEEDS_SHARED_DATA();
  // Tested above or in golden_test.cpp; what is new must be added there.
  const std::set<std::string> tested = {"ggml-vocab", "gpt2",  "llama2-hf", "llama3",
                                        "mistral",    "phi-2", "qwen2",     "swift-vectors"};
  for (const auto& entry : std::filesystem::directory_iterator(shared_data("tokenizers"))) {
    EXPECT_TRUE(tested.contains(entry.path().filename())) << entry.path();
  }
  for (const auto& entry :
       std::filesystem::directory_iterator(shared_data("tokenizers/ggml-vocab"))) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".inp")) continue;
    const bool is_tested =
        std::any_of(std::begin(kGgmlCases), std::end(kGgmlCases), [&name](const GgmlCase& row) {
          return name == std::string("ggml-vocab-") + row.vectors + ".gguf.inp";
        });
    EXPECT_TRUE(is_tested) << name;
  }
}

TEST(ReferenceModels, PromptsHaveTheSameIdsFromEveryForm) {
  MILLRACE_NEEDS_SHARED_DATA();
  for (const std::string model : {"stories260k", "babyllama"}) {
    const std::string folder = "models/" + model;
    const Json reference = MUST(read_json_file(shared_data(folder + "/reference.json")));  // there
    const std::pair<const char*, Tokenizer> forms[] = {
        {"tokenizer.json", from_folder(folder)},
        {"gguf", from_gguf(folder + "/" + model + "-f32.gguf")},
        {"tokenizer.model", from_model_file(folder + "/tokenizer.model")},
    };
    for (const auto& [form, tokenizer] : forms) {
      std::size_t num_equal = 0;
      for (const Json& row : reference["cases"]) {
        const auto want = row["prompt_ids"].get<std::vector<TokenId>>();
        const std::string prompt = row["prompt"];
        const std::vector<TokenId> ids = encode(tokenizer, prompt, AddSpecial::kYes);
        EXPECT_EQ(ids, want) << model << " from " << form << ": " << prompt;
        EXPECT_EQ(MUST(tokenizer.decode(ids)), prompt);  // ids that encode made
        num_equal += ids == want;
      }
      std::printf("reference prompts of %s from %s: %zu of %zu equal\n", model.c_str(), form,
                  num_equal, reference["cases"].size());
      EXPECT_EQ(tokenizer.bos_id(), TokenId{1});
      EXPECT_EQ(tokenizer.eos_id(), TokenId{2});
      EXPECT_TRUE(tokenizer.is_end_of_generation(2));
    }
  }
}

TEST(MistralModels, SentencePieceFilesLoadAndDecodeBack) {
  MILLRACE_NEEDS_SHARED_DATA();
  for (const char* file :
       {"tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2",
        "mistral_instruct_tokenizer_240323.model.v3", "mistral_instruct_tokenizer_241114.model.v7",
        "mistral_instruct_tokenizer_241114.model.v7m1"}) {
    const Tokenizer tokenizer = from_model_file(std::string("tokenizers/mistral/") + file);
    const std::string text = "Hello, y'all!  \n\t \xE6\x88\x91\xF0\x9F\x98\x81 x";
    const std::vector<TokenId> ids = encode(tokenizer, text, AddSpecial::kYes);
    EXPECT_EQ(ids.front(), tokenizer.bos_id());
    EXPECT_EQ(MUST(tokenizer.decode(ids)), text) << file;  // ids that encode made
  }
}

}  // namespace
}  // namespace millrace
