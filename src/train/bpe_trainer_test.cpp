// BPE training: merges by frequency, ties, and texts that come back byte for byte.
#include "train/bpe_trainer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

TokenizerSpec trained(const std::vector<std::string>& texts, std::size_t vocabulary,
                      std::uint64_t pair_count_min = 2) {
  BpeTrainer trainer = MUST(BpeTrainer::create(
      {.vocabulary = vocabulary, .pair_count_min = pair_count_min}));  // a fixed pattern
  for (const std::string& text : texts) EXPECT_TRUE(trainer.add(text).ok());
  return trainer.train();
}

std::string merges_of(const TokenizerSpec& spec) {
  std::string all;
  for (const auto& [left, right] : spec.merges) all += left + "+" + right + " ";
  return all;
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // "low" 5 times, "lower" 2, "newest" 6, "widest" 3: the example of Sennrich et al., section 3.2,
  // without its end-of-word symbol. es 9, then est 9, then lo 7, low 7.
  std::vector<std::string> texts;
  const auto add = [&](const std::string& word, int times) {
    for (int i = 0; i < times; ++i) texts.push_back(word);
  };
  add("low", 5);
  add("lower", 2);
  add("newest", 6);
  add("widest", 3);
  EXPECT_EQ(merges_of(trained(texts, 259 + 4)), "e+s es+t l+o lo+w ");
}

TEST(BpeTrainer, TiesGoToTheLowerIds) {
  EXPECT_EQ(merges_of(trained({"cd", "cd", "ab", "ab"}, 259 + 2)), "a+b c+d ");
}

TEST(BpeTrainer, RarePairsAreLeftAlone) {
  EXPECT_EQ(merges_of(trained({"ab"}, 300)), "");
  EXPECT_EQ(merges_of(trained({"ab"}, 300, 1)), "a+b ");
}

TEST(BpeTrainer, RunsOfOneCharacterAreCountedAsTheyAreMerged) {
  // aaaa: a+a twice over, then aa+aa.
  EXPECT_EQ(merges_of(trained({"aaaa", "aaaa"}, 259 + 2)), "a+a aa+aa ");
}

TEST(BpeTrainer, DigitsStayApart) {
  const TokenizerSpec spec = trained({"4821 4821 4821", "4821"}, 300);
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));
  EXPECT_EQ(MUST(tokenizer.encode("4821", {.add_special = AddSpecial::kNo})).size(), 4u);
}

TEST(BpeTrainer, AnyTextComesBackByteForByte) {
  const TokenizerSpec spec = trained({"The quick brown fox. 退货需要多少天？七天之内可以退货。",
                                      "退货 refund 退货 refund\n\n\tquick brown"},
                                     400, 1);
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));
  Random random(5);
  for (int times = 0; times < 200; ++times) {
    std::string text;
    for (std::uint64_t i = random.below(40); i > 0; --i) {
      static constexpr std::string_view kParts[] = {"quick", "退货", "é", "\n", " ",  "  ", "🙂",
                                                    "48",    "\t",   ".", "a",  "需", "'s"};
      text += kParts[random.below(std::size(kParts))];
    }
    const auto ids = MUST(tokenizer.encode(text, {.add_special = AddSpecial::kNo}));
    EXPECT_EQ(MUST(tokenizer.decode(ids)), text);
  }
  for (int byte = 0; byte < 128; ++byte) {
    const std::string text(3, static_cast<char>(byte));
    EXPECT_EQ(MUST(tokenizer.decode(MUST(tokenizer.encode(text)))), text);
  }
}

TEST(BpeTrainer, AVocabularyWithoutRoomForBytesIsRefused) {
  EXPECT_EQ(BpeTrainer::create({.vocabulary = 258}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(BpeTrainer::create({.word_pattern = "("}).ok(), false);
}

}  // namespace
}  // namespace millrace
