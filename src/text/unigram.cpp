// Unigram: of all ways to cut a word into pieces, the most probable one (Viterbi).
//
// Source: Kudo 2018, arXiv:1804.10959, with the penalty of SentencePiece for unknown characters.
#include <algorithm>
#include <limits>

#include "text/unknown_pieces.h"
#include "text/utf8.h"
#include "text/word_model.h"

namespace millrace {
namespace {

// Published pieces have up to 16 characters; the limit bounds the time for each character of text.
constexpr std::size_t kPieceBytesMax = 512;
// How much less probable an unknown character is than the least probable piece.
constexpr double kUnknownPenalty = 10;

class UnigramModel final : public WordModel {
 public:
  UnigramModel(const TokenizerSpec& spec, const ModelPieces& pieces)
      : unknown_(spec), float_sums_(spec.float_sums) {
    double score_min = std::numeric_limits<double>::max();
    for (TokenId id = 0; id < spec.pieces.size(); ++id) {
      score_min = std::min(score_min, spec.pieces[id].score);
      scores_.push_back(spec.pieces[id].score);
      if (!pieces.texts[id].empty()) add(pieces.texts[id], id);
    }
    unknown_score_ = score_min - kUnknownPenalty;
  }

  void encode(std::string_view word, ModelScratch& scratch,
              std::vector<TokenId>& ids) const override;

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  static std::uint64_t edge_key(std::uint32_t node, char byte) {
    return (std::uint64_t{node} << 8) | static_cast<std::uint8_t>(byte);
  }

  void add(std::string_view text, TokenId id) {
    std::uint32_t node = 0;
    for (const char byte : text) {
      const auto added = static_cast<std::uint32_t>(token_of_node_.size());
      if (edges_.insert(edge_key(node, byte), added)) token_of_node_.push_back(kNone);
      node = *edges_.find(edge_key(node, byte));
    }
    token_of_node_[node] = id;  // Of a piece that is listed twice the last counts.
  }

  void find_best_cut(std::string_view word, ModelScratch& scratch) const;

  UnknownPieces unknown_;
  bool float_sums_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  FlatTable<std::uint32_t> edges_;  // A trie of the pieces: node and byte to node.
  std::vector<std::uint32_t> token_of_node_{kNone};
};

// Fills, for every end of a character, the best score of a cut that ends there and its last piece:
// symbols[end].begin and .id (kNone: an unknown character).
void UnigramModel::find_best_cut(std::string_view word, ModelScratch& scratch) const {
  scratch.symbols.assign(word.size() + 1, {.id = kNone, .begin = kNone});
  scratch.scores.assign(word.size() + 1, 0);
  const auto offer = [&](std::size_t begin, std::size_t end, std::uint32_t id, double score) {
    ModelScratch::Symbol& best = scratch.symbols[end];
    double total = scratch.scores[begin] + score;
    if (float_sums_) total = double{static_cast<float>(total)};
    if (best.begin != kNone && total <= scratch.scores[end]) return;
    best.begin = static_cast<std::uint32_t>(begin);
    best.id = id;
    scratch.scores[end] = total;
  };
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t character_end = begin + decode_utf8(word.substr(begin)).num_bytes;
    bool has_character = false;
    std::uint32_t node = 0;
    for (std::size_t at = begin; at < word.size(); ++at) {
      const std::uint32_t* next = edges_.find(edge_key(node, word[at]));
      if (next == nullptr) break;
      node = *next;
      const std::uint32_t id = token_of_node_[node];
      if (id == kNone) continue;
      offer(begin, at + 1, id, scores_[id]);
      has_character = has_character || at + 1 == character_end;
    }
    if (!has_character) offer(begin, character_end, kNone, unknown_score_);
    begin = character_end;
  }
}

void UnigramModel::encode(std::string_view word, ModelScratch& scratch,
                          std::vector<TokenId>& ids) const {
  find_best_cut(word, scratch);
  scratch.ends.clear();
  for (auto end = static_cast<std::uint32_t>(word.size()); end > 0;
       end = scratch.symbols[end].begin) {
    scratch.ends.push_back(end);
  }
  for (auto end = scratch.ends.rbegin(); end != scratch.ends.rend(); ++end) {
    const ModelScratch::Symbol& piece = scratch.symbols[*end];
    if (piece.id != kNone) {
      ids.push_back(piece.id);
    } else {
      // Unknown neighbours share one fate: bytes, or one unknown token.
      while (end + 1 != scratch.ends.rend() && scratch.symbols[*(end + 1)].id == kNone) ++end;
      unknown_.append(word.substr(piece.begin, *end - piece.begin), UnknownPieces::Run::kOutside,
                      ids);
    }
  }
}

}  // namespace

Result<std::unique_ptr<WordModel>> make_unigram_model(const TokenizerSpec& spec,
                                                      const ModelPieces& pieces) {
  for (const std::string& text : pieces.texts) {
    if (text.size() <= kPieceBytesMax) continue;
    return Error{ErrorCode::kUnsupported, "Unigram piece of " + std::to_string(text.size()) +
                                              " bytes exceeds " + std::to_string(kPieceBytesMax)};
  }
  return std::unique_ptr<WordModel>(std::make_unique<UnigramModel>(spec, pieces));
}

}  // namespace millrace
