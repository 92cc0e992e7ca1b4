// Reads pieces, scores, types and merges, and fills in what llama.cpp implies for each model.
#include "formats/tokenizer_gguf.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "formats/pre_tokenizer_names.h"
#include "formats/sentencepiece_rules.h"
#include "formats/text_quote.h"
#include "formats/tokenizer_json.h"

namespace millrace {
namespace {

constexpr std::size_t kTokensMax = 1 << 24;

Error corrupt(const std::string& key, const std::string& what) {
  return Error{ErrorCode::kCorruptData, "tokenizer.ggml." + key + ": " + what};
}

Result<PieceType> piece_type(std::int64_t number) {
  switch (number) {
    case 0:  // Undefined; old converters wrote it for ordinary pieces.
    case 1:
      return PieceType::kNormal;
    case 2:
      return PieceType::kUnknown;
    case 3:
      return PieceType::kControl;
    case 4:
      return PieceType::kUserDefined;
    case 5:
      return PieceType::kUnused;
    case 6:
      return PieceType::kByte;
    default:
      return corrupt("token_type", "type " + std::to_string(number) + " is not 0 to 6");
  }
}

Status read_pieces(const GgufMetadata& metadata, TokenizerSpec& spec) {
  const GgufArray tokens = TRY(metadata.get<GgufArray>("tokenizer.ggml.tokens"));
  if (tokens.size() > kTokensMax) {
    return corrupt("tokens",
                   std::to_string(tokens.size()) + " tokens exceed " + std::to_string(kTokensMax));
  }
  for (const std::string_view text : TRY(tokens.strings())) {
    spec.pieces.push_back({.text = std::string(text)});
  }
  const auto wrong_count = [&spec](const std::string& key, std::uint64_t count) {
    return corrupt(key, std::to_string(count) + " entries for " +
                            std::to_string(spec.pieces.size()) + " tokens");
  };
  if (const auto scores = TRY(metadata.get_optional<GgufArray>("tokenizer.ggml.scores"))) {
    if (scores->size() != spec.pieces.size()) return wrong_count("scores", scores->size());
    const std::vector<double> values = TRY(scores->float_values());
    for (std::size_t i = 0; i < values.size(); ++i) {
      spec.pieces[i].score = values[i];
    }
  }
  if (const auto types = TRY(metadata.get_optional<GgufArray>("tokenizer.ggml.token_type"))) {
    if (types->size() != spec.pieces.size()) return wrong_count("token_type", types->size());
    const std::vector<std::int64_t> values = TRY(types->signed_values());
    for (std::size_t i = 0; i < values.size(); ++i) {
      spec.pieces[i].type = TRY(piece_type(values[i]));
    }
  }
  return Ok{};
}

Status read_merges(const GgufMetadata& metadata, std::string_view pre_tokenizer,
                   TokenizerSpec& spec) {
  // Kimi K2 has ranks of tiktoken and no merges: the lowest id wins.
  if (pre_tokenizer == "kimi-k2" && metadata.find("tokenizer.ggml.merges") == nullptr) {
    spec.merge_source = MergeSource::kPieceRank;
    return Ok{};
  }
  const GgufArray merges = TRY(metadata.get<GgufArray>("tokenizer.ggml.merges"));
  spec.merges.reserve(std::min<std::uint64_t>(merges.size(), kTokensMax));
  for (const std::string_view merge : TRY(merges.strings())) {
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) {
      return corrupt("merges", "entry " + in_quotes(merge) + " has no space");
    }
    // Some vocabularies (MPT) list merges of raw spaces, which byte-level words never contain.
    if (merge.find(' ', space + 1) != std::string_view::npos) continue;
    spec.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return Ok{};
}

Status read_id(const GgufMetadata& metadata, const char* key, const TokenizerSpec& spec,
               std::optional<TokenId>& id) {
  const std::string full_key = std::string("tokenizer.ggml.") + key;
  const auto value = TRY(metadata.get_optional<std::int64_t>(full_key));
  if (!value || *value == -1 || *value == 0xFFFFFFFF) return Ok{};  // Both mean "none".
  if (*value < 0 || static_cast<std::uint64_t>(*value) >= spec.pieces.size()) {
    return corrupt(key, "id " + std::to_string(*value) + " exceeds the vocabulary of " +
                            std::to_string(spec.pieces.size()) + " tokens");
  }
  id = static_cast<TokenId>(*value);
  return Ok{};
}

Status read_ids(const GgufMetadata& metadata, TokenizerSpec& spec) {
  TRY(read_id(metadata, "bos_token_id", spec, spec.bos_id));
  TRY(read_id(metadata, "eos_token_id", spec, spec.eos_id));
  TRY(read_id(metadata, "unknown_token_id", spec, spec.unk_id));
  TRY(read_id(metadata, "padding_token_id", spec, spec.pad_id));
  for (const char* key : {"eot_token_id", "eom_token_id"}) {
    std::optional<TokenId> id;
    TRY(read_id(metadata, key, spec, id));
    if (id) spec.end_of_generation_ids.push_back(*id);
  }
  return Ok{};
}

// What stands around a text; BERT's family ends it with a separator.
struct GgufEnds {
  bool add_bos = false;
  bool add_eos = false;
  bool add_sep = false;
};

Status read_text_ends(const GgufMetadata& metadata, GgufEnds fallback, TokenizerSpec& spec) {
  const auto flag = [&metadata](const char* key, bool value) -> Result<bool> {
    const std::string full_key = std::string("tokenizer.ggml.") + key;
    return TRY(metadata.get_optional<bool>(full_key)).value_or(value);
  };
  TextEnds ends;
  ends.add_bos = TRY(flag("add_bos_token", fallback.add_bos));
  ends.add_eos = TRY(flag("add_eos_token", fallback.add_eos));
  set_text_ends(ends, spec);
  std::optional<TokenId> sep_id;
  // The key has been spelled so since it exists.
  TRY(read_id(metadata, "seperator_token_id", spec, sep_id));
  const bool add_sep = TRY(flag("add_sep_token", fallback.add_sep));
  if (add_sep && sep_id && !ends.add_eos) spec.suffix_ids.push_back(*sep_id);
  return Ok{};
}

Status read_byte_level(const GgufMetadata& metadata, TokenizerSpec& spec) {
  const std::string_view name =
      TRY(metadata.get_optional<std::string_view>("tokenizer.ggml.pre")).value_or("default");
  NamedPreTokenizer named = TRY(find_pre_tokenizer(name));
  spec.normalizers = std::move(named.normalizers);
  spec.pre_tokenizers = std::move(named.steps);
  spec.ignore_merges = named.ignore_merges;
  spec.decoders.emplace_back(ByteLevelDecoder{});
  TRY(read_merges(metadata, name, spec));
  return read_text_ends(metadata, {.add_bos = named.add_bos, .add_sep = named.add_sep}, spec);
}

// The bytes of the character map, as int8 or uint8.
Result<std::string> read_chars_map(const GgufMetadata& metadata) {
  std::string bytes;
  const char* key = "tokenizer.ggml.precompiled_charsmap";
  const auto array = TRY(metadata.get_optional<GgufArray>(key));
  if (!array) return bytes;
  constexpr std::size_t kBytesMax = 16 << 20;
  if (array->size() > kBytesMax) {
    return corrupt("precompiled_charsmap",
                   std::to_string(array->size()) + " bytes exceed " + std::to_string(kBytesMax));
  }
  for (const std::int64_t value : TRY(array->signed_values())) {
    if (value < -128 || value > 255) {
      return corrupt("precompiled_charsmap", std::to_string(value) + " is no byte");
    }
    bytes.push_back(static_cast<char>(value & 0xFF));
  }
  return bytes;
}

Result<SentencePieceRules> read_sentencepiece_rules(const GgufMetadata& metadata,
                                                    bool add_space_prefix) {
  SentencePieceRules rules;
  rules.chars_map = TRY(read_chars_map(metadata));
  rules.add_space_prefix = TRY(metadata.get_optional<bool>("tokenizer.ggml.add_space_prefix"))
                               .value_or(add_space_prefix);
  rules.squeeze_spaces =
      TRY(metadata.get_optional<bool>("tokenizer.ggml.remove_extra_whitespaces")).value_or(false);
  return rules;
}

// Many files name no unknown token; a piece of that type is it.
void find_unknown_piece(TokenizerSpec& spec) {
  for (TokenId id = 0; id < spec.pieces.size() && !spec.unk_id; ++id) {
    if (spec.pieces[id].type == PieceType::kUnknown) spec.unk_id = id;
  }
}

Status read_sentencepiece(const GgufMetadata& metadata, TokenizerSpec& spec) {
  const SentencePieceRules rules =
      TRY(read_sentencepiece_rules(metadata, /*add_space_prefix=*/true));
  find_unknown_piece(spec);
  apply_sentencepiece_rules(rules, spec);
  spec.merge_source = MergeSource::kPieceScore;
  return read_text_ends(metadata, {.add_bos = true}, spec);
}

Status read_unigram(const GgufMetadata& metadata, TokenizerSpec& spec) {
  spec.model = TokenizerModel::kUnigram;
  const SentencePieceRules rules =
      TRY(read_sentencepiece_rules(metadata, /*add_space_prefix=*/false));
  find_unknown_piece(spec);
  apply_sentencepiece_rules(rules, spec);
  return read_text_ends(metadata, {.add_eos = true}, spec);
}

// BERT's pieces as converters write them: the start of a word has a marker, a continuation nothing.
Status read_word_piece(const GgufMetadata& metadata, TokenizerSpec& spec) {
  constexpr std::string_view kMarker = "\xE2\x96\x81";
  spec.model = TokenizerModel::kWordPiece;
  spec.continuing_subword_prefix = "##";
  find_unknown_piece(spec);
  for (Piece& piece : spec.pieces) {
    if (piece.type != PieceType::kNormal || piece.text.empty()) continue;
    const bool in_brackets = piece.text.starts_with('[') && piece.text.ends_with(']');
    if (piece.text.starts_with(kMarker) && piece.text != kMarker) {
      piece.text.erase(0, kMarker.size());
    } else if (!in_brackets) {
      piece.text.insert(0, spec.continuing_subword_prefix);
    }
  }
  BertNormalizer normalizer;
  const auto lowercase = metadata.get_optional<bool>("tokenizer.ggml.normalizer.lowercase");
  normalizer.lowercase = TRY(lowercase).value_or(true);
  const auto strip = metadata.get_optional<bool>("tokenizer.ggml.normalizer.strip_accents");
  normalizer.strip_accents = TRY(strip).value_or(normalizer.lowercase);
  spec.normalizers = {normalizer};
  spec.pre_tokenizers = {BertPreTokenizer{}};
  spec.decoders = {WordPieceDecoder{}};
  return read_text_ends(metadata, {.add_bos = true, .add_sep = true}, spec);
}

// Gemma 4: merges over characters, with markers for spaces, in lines.
Status read_marked_merges(const GgufMetadata& metadata, TokenizerSpec& spec) {
  apply_sentencepiece_rules({.add_space_prefix = false}, spec);
  spec.pre_tokenizers = {SplitPreTokenizer{.pattern = {Pattern::Kind::kRegex, R"([^\n]+|[\n]+)"}}};
  spec.byte_fallback = true;
  TRY(read_merges(metadata, "", spec));
  return read_text_ends(metadata, {.add_bos = true}, spec);
}

Status read_chat_templates(const GgufMetadata& metadata, TokenizerSpec& spec) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  for (const GgufEntry& entry : metadata.entries()) {
    const std::string_view key = entry.key;
    if (key != kKey && !key.starts_with(std::string(kKey) + ".")) continue;
    const std::optional<std::string_view> source = entry.value.as_string();
    if (!source) {
      return Error{ErrorCode::kCorruptData, in_quotes(key) + " is not a string"};
    }
    const std::string_view name = key == kKey ? std::string_view() : key.substr(kKey.size() + 1);
    spec.chat_templates.push_back({std::string(name), std::string(*source)});
  }
  return Ok{};
}

}  // namespace

Result<TokenizerSpec> load_tokenizer_spec(const GgufMetadata& metadata) {
  TokenizerSpec spec;
  const std::string_view model = TRY(metadata.get<std::string_view>("tokenizer.ggml.model"));
  using Read = Status (*)(const GgufMetadata&, TokenizerSpec&);
  constexpr std::pair<std::string_view, Read> kModels[] = {{"gpt2", read_byte_level},
                                                           {"llama", read_sentencepiece},
                                                           {"t5", read_unigram},
                                                           {"bert", read_word_piece},
                                                           {"gemma4", read_marked_merges}};
  const auto* row = std::find_if(std::begin(kModels), std::end(kModels),
                                 [model](const auto& known) { return known.first == model; });
  if (row == std::end(kModels)) {
    return Error{ErrorCode::kUnsupported,
                 "tokenizer.ggml.model " + in_quotes(model) + " is not supported"};
  }
  spec.merges_user_defined = true;
  TRY(read_pieces(metadata, spec));
  TRY(read_ids(metadata, spec));
  add_tokens_by_type(UserDefinedPlace::kRawText, spec);
  TRY(row->second(metadata, spec));
  TRY(read_chat_templates(metadata, spec));
  add_known_end_tokens(spec);
  return spec;
}

}  // namespace millrace
