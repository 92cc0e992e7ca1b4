// Eight times the text takes eight times the time, whatever the text: of every kind of model, on
// texts that a careless tokenizer takes squared time for.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "shared_data.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace millrace {
namespace {

constexpr std::size_t kLongBytes = 1 << 20;
constexpr std::size_t kShortBytes = kLongBytes / 8;
// n log n would be 9.5, the square 64 and more. What lies between is for memory: a text that is one
// word of a million symbols no longer fits the caches, which took 33 on a machine with much else to
// do.
constexpr double kRatioMax = 48;

std::string repeated(const std::string& part) {
  std::string text;
  while (text.size() < kLongBytes) text += part;
  return text;
}

std::string random_characters(char32_t first, char32_t count) {
  Random random(5);
  std::string text;
  while (text.size() < kLongBytes) {
    append_utf8(first + static_cast<char32_t>(random.below(count)), text);
  }
  return text;
}

std::string random_bytes() {
  Random random(6);
  std::string text;
  while (text.size() < kLongBytes) text.push_back(static_cast<char>(random.below(256)));
  return text;
}

struct NamedText {
  const char* name;
  std::string text;
};

std::vector<NamedText> hard_texts() {
  return {{"one letter", repeated("a")},
          {"spaces", repeated(" ")},
          {"line breaks", repeated("\n")},
          {"prose", repeated("It was a dark and stormy night; the rain fell in torrents. ")},
          {"Han", random_characters(0x4E00, 3000)},
          {"one Han character", repeated("\xE4\xB8\xAD")},
          {"emoji", random_characters(0x1F600, 64)},
          {"digits", repeated("1234567890")},
          {"marks", repeated("\xCC\x81\xCC\xA3")},
          {"bytes", random_bytes()}};
}

// Of the processor, so that what else the machine does counts little.
double seconds_of(const Tokenizer& tokenizer, std::string_view text) {
  const std::clock_t begin = std::clock();
  EXPECT_TRUE(tokenizer.encode(text).ok());
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

// What disturbs a measurement only ever adds time, so the best of a few rounds counts.
void expect_linear(const Tokenizer& tokenizer, const std::string& name) {
  for (const NamedText& row : hard_texts()) {
    const std::string_view text = row.text;
    double short_best = 1e300;
    double long_best = 1e300;
    double ratio = 1e300;
    for (int round = 0; round < 5 && ratio > kRatioMax; ++round) {
      short_best = std::min(short_best, seconds_of(tokenizer, text.substr(0, kShortBytes)));
      long_best = std::min(long_best, seconds_of(tokenizer, text));
      ratio = long_best / short_best;
    }
    EXPECT_LE(ratio, kRatioMax) << name << " on " << row.name << ": " << short_best << " s for "
                                << kShortBytes << " bytes, " << long_best << " s for "
                                << text.size();
  }
}

class SmallVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallVocabulary, TakesLinearTime) {
  const std::string folder = std::string(MILLRACE_GOLDEN) + "/tokenizers/" + GetParam();
  const TokenizerSpec spec = MUST(load_tokenizer_spec(folder));  // a folder of ours
  expect_linear(MUST(Tokenizer::create(spec)), GetParam());      // it is whole
}
INSTANTIATE_TEST_SUITE_P(Linear, SmallVocabulary,
                         ::testing::Values("unigram", "word_piece", "spm_unigram_nfkc", "llama2",
                                           "llama3", "gpt4o", "deepseek", "precompiled"));

class PublishedVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(PublishedVocabulary, TakesLinearTime) {
  MILLRACE_NEEDS_SHARED_DATA();
  const std::string path = shared_data(std::string("tokenizers/") + GetParam());
  const TokenizerSpec spec = is_directory(path)
                                 ? MUST(load_tokenizer_spec(path))          // in the index
                                 : MUST(parse_tokenizer_json(               // a kind that we read
                                       MUST(read_json_file(path)), path));  // in the index
  expect_linear(MUST(Tokenizer::create(spec)), GetParam());                 // published and whole
}
INSTANTIATE_TEST_SUITE_P(Linear, PublishedVocabulary,
                         ::testing::Values("gpt2/gpt2_tokenizer.json", "llama3", "llama2-hf"));

}  // namespace
}  // namespace millrace
