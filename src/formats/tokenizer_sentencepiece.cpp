// The fields of ModelProto that say how text is cut; the numbers are those of SentencePiece's
// sentencepiece_model.proto.
#include "formats/tokenizer_sentencepiece.h"

#include "formats/protobuf_reader.h"
#include "formats/sentencepiece_rules.h"
#include "formats/text_quote.h"
#include "formats/tokenizer_json.h"

namespace millrace {
namespace {

constexpr std::size_t kTokensMax = 1 << 24;

enum class ModelType : std::uint64_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

struct TrainerFacts {
  ModelType type = ModelType::kUnigram;
  bool space_is_suffix = false;
  // Negative when the model has none, as the file has it.
  std::int32_t unk_id = 0;
  std::int32_t bos_id = 1;
  std::int32_t eos_id = 2;
  std::int32_t pad_id = -1;
};

Result<Piece> parse_piece(std::string_view bytes, const std::string& name) {
  Piece piece;
  ProtobufReader reader(bytes, name + ": piece");
  while (const std::optional<ProtobufField> field = TRY(reader.next())) {
    if (field->number == 1 && field->is_bytes()) {
      piece.text = field->bytes;
    } else if (field->number == 2) {
      piece.score = field->as_float().value_or(0);
    } else if (field->number == 3 && field->is_varint()) {
      constexpr PieceType kTypes[] = {PieceType::kNormal,  PieceType::kUnknown,
                                      PieceType::kControl, PieceType::kUserDefined,
                                      PieceType::kUnused,  PieceType::kByte};
      if (field->value < 1 || field->value > std::size(kTypes)) {
        return Error{ErrorCode::kCorruptData, name + ": piece " + in_quotes(piece.text) +
                                                  " of type " + std::to_string(field->value) +
                                                  "; expected 1 to 6"};
      }
      piece.type = kTypes[field->value - 1];
    }
  }
  return piece;
}

Result<TrainerFacts> parse_trainer(std::string_view bytes, const std::string& name) {
  TrainerFacts facts;
  ProtobufReader reader(bytes, name + ": trainer_spec");
  while (const std::optional<ProtobufField> field = TRY(reader.next())) {
    if (!field->is_varint()) continue;
    const auto id = static_cast<std::int32_t>(field->value);
    switch (field->number) {
      case 3:
        facts.type = static_cast<ModelType>(field->value);
        break;
      case 24:
        facts.space_is_suffix = field->value != 0;
        break;
      case 40:
        facts.unk_id = id;
        break;
      case 41:
        facts.bos_id = id;
        break;
      case 42:
        facts.eos_id = id;
        break;
      case 43:
        facts.pad_id = id;
        break;
      default:
        break;
    }
  }
  return facts;
}

Result<SentencePieceRules> parse_normalizer(std::string_view bytes, const std::string& name) {
  SentencePieceRules rules;
  rules.squeeze_spaces = true;
  ProtobufReader reader(bytes, name + ": normalizer_spec");
  while (const std::optional<ProtobufField> field = TRY(reader.next())) {
    if (field->number == 2 && field->is_bytes()) rules.chars_map = field->bytes;
    if (field->number == 3) rules.add_space_prefix = field->value != 0;
    if (field->number == 4) rules.squeeze_spaces = field->value != 0;
    if (field->number == 5 && field->value == 0) {
      return Error{ErrorCode::kUnsupported, name + ": escape_whitespaces = false is not supported"};
    }
  }
  return rules;
}

std::optional<TokenId> optional_id(std::int32_t id, const TokenizerSpec& spec) {
  if (id < 0 || static_cast<std::size_t>(id) >= spec.pieces.size()) return std::nullopt;
  return static_cast<TokenId>(id);
}

Status check_supported(const TrainerFacts& facts, const std::string& name) {
  if (facts.space_is_suffix) {
    return Error{ErrorCode::kUnsupported, name + ": treat_whitespace_as_suffix is not supported"};
  }
  if (facts.type == ModelType::kBpe || facts.type == ModelType::kUnigram) return Ok{};
  const std::string type = facts.type == ModelType::kWord ? "word"
                           : facts.type == ModelType::kChar
                               ? "char"
                               : std::to_string(static_cast<std::uint64_t>(facts.type));
  return Error{ErrorCode::kUnsupported, name + ": model type " + type + " is not supported"};
}

}  // namespace

Result<TokenizerSpec> parse_sentencepiece(std::string_view bytes, const std::string& name) {
  TokenizerSpec spec;
  TrainerFacts facts;
  SentencePieceRules rules;
  ProtobufReader reader(bytes, name);
  while (const std::optional<ProtobufField> field = TRY(reader.next())) {
    if (!field->is_bytes()) continue;
    if (field->number == 1) {
      if (spec.pieces.size() == kTokensMax) {
        return Error{ErrorCode::kTooLarge,
                     name + ": more than " + std::to_string(kTokensMax) + " pieces"};
      }
      spec.pieces.push_back(TRY(parse_piece(field->bytes, name)));
    } else if (field->number == 2) {
      facts = TRY(parse_trainer(field->bytes, name));
    } else if (field->number == 3) {
      rules = TRY(parse_normalizer(field->bytes, name));
    }
  }
  if (spec.pieces.empty()) {
    return Error{ErrorCode::kCorruptData, name + ": no SentencePiece model; it has no pieces"};
  }
  TRY(check_supported(facts, name));
  if (facts.type == ModelType::kUnigram) spec.model = TokenizerModel::kUnigram;
  spec.merge_source = MergeSource::kPieceScore;
  spec.float_sums = true;
  spec.unk_id = optional_id(facts.unk_id, spec);
  spec.bos_id = optional_id(facts.bos_id, spec);
  spec.eos_id = optional_id(facts.eos_id, spec);
  spec.pad_id = optional_id(facts.pad_id, spec);
  add_tokens_by_type(UserDefinedPlace::kNormalizedText, spec);
  apply_sentencepiece_rules(rules, spec);
  set_text_ends({.add_bos = true}, spec);
  add_known_end_tokens(spec);
  return spec;
}

}  // namespace millrace
