// The simplest models: a word is a piece or unknown, and words put into the byte-level alphabet.
#include "text/byte_alphabet.h"
#include "text/word_model.h"

namespace millrace {
namespace {

class WordLevelModel final : public WordModel {
 public:
  WordLevelModel(const TokenizerSpec& spec, ModelPieces pieces)
      : pieces_(std::move(pieces)), unk_id_(spec.unk_id) {}

  void encode(std::string_view word, ModelScratch&, std::vector<TokenId>& ids) const override {
    if (const std::optional<std::uint32_t> id = pieces_.ids.find(word)) {
      ids.push_back(*id);
    } else if (unk_id_) {
      ids.push_back(*unk_id_);
    }
  }

 private:
  ModelPieces pieces_;
  std::optional<TokenId> unk_id_;
};

class AlphabetModel final : public WordModel {
 public:
  explicit AlphabetModel(std::unique_ptr<WordModel> model) : model_(std::move(model)) {}

  void encode(std::string_view word, ModelScratch& scratch,
              std::vector<TokenId>& ids) const override {
    scratch.text = bytes_to_alphabet(word);
    model_->encode(scratch.text, scratch, ids);
  }

 private:
  std::unique_ptr<WordModel> model_;
};

}  // namespace

std::unique_ptr<WordModel> make_word_level_model(const TokenizerSpec& spec, ModelPieces pieces) {
  return std::make_unique<WordLevelModel>(spec, std::move(pieces));
}

std::unique_ptr<WordModel> in_byte_alphabet(std::unique_ptr<WordModel> model) {
  return std::make_unique<AlphabetModel>(std::move(model));
}

}  // namespace millrace
