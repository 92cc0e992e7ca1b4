// From TokenizerSpec to stages, checking every id and count that a file could get wrong.
#include "text/compiled_tokenizer.h"

#include <set>
#include <string_view>

#include "text/byte_alphabet.h"

namespace millrace {
namespace {

constexpr std::size_t kTokensMax = 1 << 24;
constexpr std::size_t kPieceBytesMax = 1 << 16;

Status check_id(TokenId id, const TokenizerSpec& spec, const char* what) {
  if (id < spec.pieces.size()) return Ok{};
  return Error{ErrorCode::kCorruptData, std::string(what) + " id " + std::to_string(id) +
                                            " exceeds the vocabulary of " +
                                            std::to_string(spec.pieces.size()) + " tokens"};
}

Status check_ids(const TokenizerSpec& spec) {
  if (spec.pieces.empty() || spec.pieces.size() > kTokensMax) {
    return Error{ErrorCode::kCorruptData, "vocabulary of " + std::to_string(spec.pieces.size()) +
                                              " tokens; expected 1 to " +
                                              std::to_string(kTokensMax)};
  }
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    if (spec.pieces[id].text.size() > kPieceBytesMax) {
      return Error{ErrorCode::kCorruptData, "token " + std::to_string(id) + " of " +
                                                std::to_string(spec.pieces[id].text.size()) +
                                                " bytes exceeds " + std::to_string(kPieceBytesMax)};
    }
  }
  for (const AddedToken& token : spec.added_tokens) TRY(check_id(token.id, spec, "added token"));
  for (const TokenId id : spec.prefix_ids) TRY(check_id(id, spec, "template"));
  for (const TokenId id : spec.suffix_ids) TRY(check_id(id, spec, "template"));
  for (const TokenId id : spec.end_of_generation_ids) {
    TRY(check_id(id, spec, "end of generation"));
  }
  if (spec.unk_id) TRY(check_id(*spec.unk_id, spec, "unknown token"));
  if (spec.bos_id) TRY(check_id(*spec.bos_id, spec, "bos"));
  if (spec.eos_id) TRY(check_id(*spec.eos_id, spec, "eos"));
  return Ok{};
}

std::vector<bool> special_tokens(const TokenizerSpec& spec) {
  std::vector<bool> is_special(spec.pieces.size(), false);
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const PieceType type = spec.pieces[id].type;
    is_special[id] = type == PieceType::kControl || type == PieceType::kUnknown;
  }
  std::set<std::string_view> special_texts;
  for (const AddedToken& token : spec.added_tokens) {
    is_special[token.id] = token.special;
    if (token.special) special_texts.insert(token.content);
  }
  // A vocabulary may list a piece twice; what reads like a special token is one.
  for (TokenId id = 0; id < spec.pieces.size() && !special_texts.empty(); ++id) {
    if (special_texts.contains(spec.pieces[id].text)) is_special[id] = true;
  }
  return is_special;
}

// Special tokens stay out of the model, so that no plain text can become one.
ModelPieces model_pieces(const TokenizerSpec& spec, const std::vector<bool>& is_special,
                         bool byte_level) {
  const bool takes_user_defined = spec.model == TokenizerModel::kBpe && spec.merges_user_defined;
  std::set<std::string_view> special_texts;  // Some vocabularies list a special token twice.
  for (const AddedToken& token : spec.added_tokens) {
    if (token.special) special_texts.insert(token.content);
  }
  ModelPieces pieces;
  pieces.texts.resize(spec.pieces.size());
  pieces.ids.reserve(spec.pieces.size());
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    const Piece& piece = spec.pieces[id];
    const bool in_model = piece.type == PieceType::kNormal ||
                          (piece.type == PieceType::kUserDefined && takes_user_defined);
    const bool special = is_special[id] || special_texts.contains(piece.text);
    if (special) pieces.special.insert(piece.text);
    if (!in_model || special || piece.text.empty()) continue;
    if (byte_level) {
      const std::optional<std::string> bytes = alphabet_to_bytes(piece.text);
      if (!bytes) continue;
      pieces.texts[id] = *bytes;
    } else {
      pieces.texts[id] = piece.text;
    }
    pieces.ids.insert(pieces.texts[id], id);
  }
  return pieces;
}

Status add_added_tokens(const TokenizerSpec& spec, CompiledTokenizer& compiled) {
  RegexScratch scratch;
  for (const AddedToken& token : spec.added_tokens) {
    compiled.ids_by_text.insert(token.content, token.id);
    if (token.special) TRY(compiled.special_texts.add(token, token.content));
    if (!token.normalized) {
      TRY(compiled.raw_added_tokens.add(token, token.content));
      continue;
    }
    const std::string content =
        token.verbatim ? token.content : TRY(compiled.normalizer.apply(token.content, scratch));
    if (!content.empty()) TRY(compiled.normalized_added_tokens.add(token, content));
  }
  return Ok{};
}

Result<std::unique_ptr<WordModel>> make_model(const TokenizerSpec& spec,
                                              const std::vector<bool>& is_special,
                                              bool byte_level) {
  if (spec.model == TokenizerModel::kBpe) {
    return make_bpe_model(spec, model_pieces(spec, is_special, byte_level), byte_level);
  }
  ModelPieces pieces = model_pieces(spec, is_special, /*byte_level=*/false);
  std::unique_ptr<WordModel> model;
  switch (spec.model) {
    case TokenizerModel::kUnigram:
      model = TRY(make_unigram_model(spec, pieces));
      break;
    case TokenizerModel::kWordPiece:
      model = TRY(make_word_piece_model(spec, std::move(pieces)));
      break;
    case TokenizerModel::kWordLevel:
      model = make_word_level_model(spec, std::move(pieces));
      break;
    case TokenizerModel::kBpe:
      break;
  }
  if (model == nullptr) {
    return Error{ErrorCode::kUnsupported, "tokenizer model of an unknown kind"};
  }
  return byte_level ? in_byte_alphabet(std::move(model)) : std::move(model);
}

}  // namespace

Result<std::shared_ptr<const CompiledTokenizer>> compile_tokenizer(const TokenizerSpec& spec) {
  TRY(check_ids(spec));
  auto compiled = std::make_shared<CompiledTokenizer>();
  compiled->normalizer = TRY(Normalizer::create(spec.normalizers));
  compiled->pre_tokenizer = TRY(PreTokenizer::create(spec.pre_tokenizers));
  compiled->is_special = special_tokens(spec);
  const bool byte_level = compiled->pre_tokenizer.is_byte_level();
  compiled->model = TRY(make_model(spec, compiled->is_special, byte_level));
  compiled->decoder = TRY(TokenDecoder::create(spec, compiled->normalizer));
  TRY(add_added_tokens(spec, *compiled));
  for (TokenId id = 0; id < spec.pieces.size(); ++id) {
    compiled->ids_by_text.insert(spec.pieces[id].text, id);
  }
  compiled->prefix_ids = spec.prefix_ids;
  compiled->suffix_ids = spec.suffix_ids;
  compiled->bos_id = spec.bos_id;
  compiled->eos_id = spec.eos_id;
  compiled->unk_id = spec.unk_id;
  std::set<TokenId> ends(spec.end_of_generation_ids.begin(), spec.end_of_generation_ids.end());
  if (spec.eos_id) ends.insert(*spec.eos_id);
  compiled->end_of_generation_ids.assign(ends.begin(), ends.end());
  return std::shared_ptr<const CompiledTokenizer>(std::move(compiled));
}

}  // namespace millrace
