// WordPiece: the longest piece first, and the unknown token for a word that cannot be cut so.
//
// Source: Wu et al. 2016, arXiv:1609.08144; the greedy cut is that of BERT's published code.
#include "text/utf8.h"
#include "text/word_model.h"

namespace millrace {
namespace {

class WordPieceModel final : public WordModel {
 public:
  WordPieceModel(const TokenizerSpec& spec, ModelPieces pieces)
      : pieces_(std::move(pieces)),
        prefix_(spec.continuing_subword_prefix),
        unk_id_(spec.unk_id),
        word_characters_max_(spec.word_characters_max) {}

  void encode(std::string_view word, ModelScratch& scratch,
              std::vector<TokenId>& ids) const override {
    find_character_ends(word, scratch.ends);
    const std::size_t num_before = ids.size();
    std::size_t begin = 0;
    std::size_t num_done = 0;  // Characters.
    bool known = scratch.ends.size() <= word_characters_max_;
    while (known && begin < word.size()) {
      std::size_t num_characters = scratch.ends.size();
      std::optional<std::uint32_t> id;
      for (; num_characters > num_done && !id; --num_characters) {
        id = find(word.substr(begin, scratch.ends[num_characters - 1] - begin), begin > 0);
      }
      known = id.has_value();
      if (!known) break;
      ids.push_back(*id);
      num_done = num_characters + 1;
      begin = scratch.ends[num_characters];
    }
    if (known) return;
    ids.resize(num_before);
    if (unk_id_) ids.push_back(*unk_id_);
  }

 private:
  static void find_character_ends(std::string_view word, std::vector<std::uint32_t>& ends) {
    ends.clear();
    std::uint32_t at = 0;
    while (at < word.size()) {
      at += decode_utf8(word.substr(at)).num_bytes;
      ends.push_back(at);
    }
  }

  std::optional<std::uint32_t> find(std::string_view part, bool continues) const {
    if (!continues || prefix_.empty()) return pieces_.ids.find(part);
    return pieces_.ids.find(prefix_ + std::string(part));
  }

  ModelPieces pieces_;
  std::string prefix_;
  std::optional<TokenId> unk_id_;
  std::size_t word_characters_max_;
};

}  // namespace

Result<std::unique_ptr<WordModel>> make_word_piece_model(const TokenizerSpec& spec,
                                                         ModelPieces pieces) {
  // Each word costs the square of its characters.
  constexpr std::uint32_t kWordCharactersMax = 1024;
  if (spec.word_characters_max > kWordCharactersMax) {
    return Error{ErrorCode::kUnsupported,
                 "WordPiece words of " + std::to_string(spec.word_characters_max) +
                     " characters exceed " + std::to_string(kWordCharactersMax)};
  }
  return std::unique_ptr<WordModel>(std::make_unique<WordPieceModel>(spec, std::move(pieces)));
}

}  // namespace millrace
