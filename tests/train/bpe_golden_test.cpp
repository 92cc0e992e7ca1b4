// The merges that Hugging Face's trainer learns from the same text.
#include <gtest/gtest.h>

#include "base/json.h"
#include "train/bpe_trainer.h"

namespace millrace {
namespace {

TEST(BpeGolden, MergesAndIdsAreThoseOfHuggingFacesTrainer) {
  // A file of ours.
  const Json golden = MUST(read_json_file(std::string(MILLRACE_TRAIN_GOLDEN) + "/bpe_golden.json"));
  const std::size_t vocabulary = golden["vocabulary"].size();
  BpeTrainer trainer = MUST(BpeTrainer::create({.vocabulary = vocabulary}));
  ASSERT_TRUE(trainer.add(golden["text"].get<std::string>()).ok());
  const TokenizerSpec spec = trainer.train();
  ASSERT_EQ(spec.merges.size(), golden["merges"].size());
  for (std::size_t i = 0; i < spec.merges.size(); ++i) {
    EXPECT_EQ(spec.merges[i].first + " " + spec.merges[i].second, golden["merges"][i]) << i;
  }
  ASSERT_EQ(spec.pieces.size(), vocabulary);
  for (std::size_t i = 0; i < vocabulary; ++i) {
    EXPECT_EQ(spec.pieces[i].text, golden["vocabulary"][i]) << i;
  }
}

}  // namespace
}  // namespace millrace
