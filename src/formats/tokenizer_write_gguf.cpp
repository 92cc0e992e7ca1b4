// The two kinds of vocabulary that GGUF files hold for the families that this program runs.
#include "formats/tokenizer_write_gguf.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "formats/pre_tokenizer_names.h"
#include "formats/text_quote.h"
#include "formats/tokenizer_write_merges.h"
#include "formats/tokenizer_write_steps.h"
#include "text/byte_alphabet.h"

namespace millrace {
namespace {

const std::string kSpaceMarker = "\xE2\x96\x81";

Error cannot_say(const std::string& what) {
  return Error{ErrorCode::kUnsupported, "GGUF's tokenizer keys cannot say " + what};
}

// ---- Byte-level vocabularies: the name of the pre-tokeniser ----

bool is_byte_level(const TokenizerSpec& spec) {
  return !spec.pre_tokenizers.empty() &&
         std::holds_alternative<ByteLevelPreTokenizer>(spec.pre_tokenizers.back());
}

// Different spellings of one cut made the same: digits and GPT-2's words as the patterns that they
// stand for.
std::vector<PreTokenizerStep> spelt_out(const std::vector<PreTokenizerStep>& steps,
                                        const std::vector<PreTokenizerStep>& gpt2) {
  std::vector<PreTokenizerStep> result;
  for (const PreTokenizerStep& step : steps) {
    const auto* digits = std::get_if<DigitsPreTokenizer>(&step);
    const auto* bytes = std::get_if<ByteLevelPreTokenizer>(&step);
    if (digits != nullptr && digits->individual_digits) {
      result.emplace_back(SplitPreTokenizer{.pattern = {Pattern::Kind::kRegex, R"(\p{N})"}});
    } else if (bytes != nullptr && bytes->use_regex && !bytes->add_prefix_space) {
      result.insert(result.end(), gpt2.begin(), gpt2.end());
    } else {
      result.push_back(step);
    }
  }
  return result;
}

// Several names stand for one cut; the best known come first.
std::vector<std::string_view> names_in_order() {
  std::vector<std::string_view> names = {"llama-bpe", "qwen2", "gpt-2", "smollm", "tekken"};
  for (const std::string_view name : pre_tokenizer_names()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

Result<std::string> pre_tokenizer_name(const TokenizerSpec& spec) {
  const NamedPreTokenizer gpt2 = TRY(find_pre_tokenizer("gpt-2"));
  const OrderedJson cut = pre_tokenizers_json(spelt_out(spec.pre_tokenizers, gpt2.steps));
  const OrderedJson normalizers = normalizers_json(spec.normalizers);
  for (const std::string_view name : names_in_order()) {
    const NamedPreTokenizer named = TRY(find_pre_tokenizer(name));
    const bool same = named.ignore_merges == spec.ignore_merges &&
                      pre_tokenizers_json(named.steps) == cut &&
                      normalizers_json(named.normalizers) == normalizers;
    if (same) return std::string(name);
  }
  return cannot_say(
      "how this vocabulary cuts words: no pre-tokeniser that llama.cpp knows by name "
      "has its normaliser and its pattern " +
      in_quotes(cut.dump()));
}

// ---- Vocabularies over ▁ ----

struct SpaceRules {
  bool add_prefix = false;
  bool squeeze = false;
};

bool is_space_to_marker(const NormalizerStep& step) {
  const auto* replace = std::get_if<ReplaceNormalizer>(&step);
  return replace != nullptr && replace->pattern.kind == Pattern::Kind::kLiteral &&
         replace->pattern.text == " " && replace->content == kSpaceMarker;
}

Status read_metaspace(const MetaspacePreTokenizer& step, SpaceRules& rules) {
  if (step.split) return cannot_say("that words are cut at every ▁");
  if (step.replacement != kSpaceMarker) return cannot_say("a space marker other than ▁");
  rules.add_prefix = step.prepend_scheme != PrependScheme::kNever;
  return Ok{};
}

Result<SpaceRules> read_space_rules(const TokenizerSpec& spec) {
  SpaceRules rules;
  for (const NormalizerStep& step : spec.normalizers) {
    const auto* prepend = std::get_if<PrependNormalizer>(&step);
    if (prepend != nullptr && prepend->text == kSpaceMarker) {
      rules.add_prefix = true;
    } else if (std::holds_alternative<SqueezeSpacesNormalizer>(step)) {
      rules.squeeze = true;
    } else if (!is_space_to_marker(step)) {
      return cannot_say("a normaliser " + in_quotes(normalizers_json({step}).dump()));
    }
  }
  for (const PreTokenizerStep& step : spec.pre_tokenizers) {
    const auto* metaspace = std::get_if<MetaspacePreTokenizer>(&step);
    if (metaspace == nullptr) {
      return cannot_say("a pre-tokeniser " + in_quotes(pre_tokenizers_json({step}).dump()));
    }
    TRY(read_metaspace(*metaspace, rules));
  }
  return rules;
}

// ---- The list of tokens ----

// llama.cpp's numbers.
enum class TokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

TokenType type_of(const Piece& piece) {
  switch (piece.type) {
    case PieceType::kNormal:
      return TokenType::kNormal;
    case PieceType::kUnknown:
      return TokenType::kUnknown;
    case PieceType::kControl:
      return TokenType::kControl;
    case PieceType::kUserDefined:
      return TokenType::kUserDefined;
    case PieceType::kUnused:
      return TokenType::kUnused;
    case PieceType::kByte:
      return TokenType::kByte;
  }
  CHECK(false);
}

struct TokenList {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;

  void add(std::string text, TokenType type) {
    texts.push_back(std::move(text));
    types.push_back(static_cast<std::int32_t>(type));
  }
};

// tokenizer.json does not say what a piece is; its list of added tokens and its form do.
Result<TokenList> list_tokens(const TokenizerSpec& spec, std::size_t num_rows) {
  if (spec.pieces.size() > num_rows) {
    return Error{ErrorCode::kUnsupported,
                 "the tokenizer has " + std::to_string(spec.pieces.size()) +
                     " tokens, the model's embedding only " + std::to_string(num_rows) + " rows"};
  }
  TokenList list;
  for (const Piece& piece : spec.pieces) {
    const bool is_byte = spec.byte_fallback && parse_byte_piece(piece.text).has_value();
    list.add(piece.text, is_byte ? TokenType::kByte : type_of(piece));
  }
  for (const AddedToken& token : spec.added_tokens) {
    if (token.id >= list.texts.size()) continue;
    list.texts[token.id] = token.content;
    const TokenType type = token.special ? TokenType::kControl : TokenType::kUserDefined;
    list.types[token.id] = static_cast<std::int32_t>(type);
  }
  if (spec.unk_id && *spec.unk_id < list.types.size() && !is_byte_level(spec)) {
    list.types[*spec.unk_id] = static_cast<std::int32_t>(TokenType::kUnknown);
  }
  for (std::size_t id = 0; id < num_rows; ++id) {
    const std::string pad = "[PAD" + std::to_string(id) + "]";
    if (id >= list.texts.size()) {
      list.add(pad, TokenType::kUnused);
    } else if (list.texts[id].empty()) {
      list.texts[id] = pad;
    }
  }
  return list;
}

// ---- Ids ----

void add_id(const char* key, std::optional<TokenId> id, GgufMetadataBuilder& metadata) {
  if (id) metadata.add(std::string("tokenizer.ggml.") + key, std::uint32_t{*id});
}

// llama.cpp ends at eos, eot and eom alike; the tokenizer's own eos comes first.
void add_end_ids(const TokenizerSpec& spec, const GgufTokenizerOptions& options,
                 GgufMetadataBuilder& metadata, std::vector<std::string>& warnings) {
  std::vector<TokenId> ids;
  if (spec.eos_id) ids.push_back(*spec.eos_id);
  for (const TokenId id : options.eos_ids) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  constexpr std::array<const char*, 3> kKeys = {"eos_token_id", "eot_token_id", "eom_token_id"};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i < kKeys.size()) {
      add_id(kKeys[i], ids[i], metadata);
    } else {
      warnings.push_back("token " + std::to_string(ids[i]) +
                         " also ends texts, for which GGUF has no key");
    }
  }
}

Status add_text_ends(const TokenizerSpec& spec, std::optional<TokenId> bos_id,
                     GgufMetadataBuilder& metadata) {
  const auto is_one = [](const std::vector<TokenId>& ids, std::optional<TokenId> wanted) {
    return ids.size() == 1 && wanted && ids.front() == *wanted;
  };
  const bool add_bos = is_one(spec.prefix_ids, bos_id);
  const bool add_eos = is_one(spec.suffix_ids, spec.eos_id);
  if ((!spec.prefix_ids.empty() && !add_bos) || (!spec.suffix_ids.empty() && !add_eos)) {
    return cannot_say("other tokens around a text than bos and eos");
  }
  metadata.add_bool("tokenizer.ggml.add_bos_token", add_bos);
  metadata.add_bool("tokenizer.ggml.add_eos_token", add_eos);
  return Ok{};
}

// Which the token that begins texts is, where only the template around texts says it.
std::optional<TokenId> bos_of(const TokenizerSpec& spec, const GgufTokenizerOptions& options) {
  if (spec.bos_id) return spec.bos_id;
  if (spec.prefix_ids.size() == 1) return spec.prefix_ids.front();
  return options.bos_id;
}

Status add_ids(const TokenizerSpec& spec, const GgufTokenizerOptions& options,
               GgufMetadataBuilder& metadata, std::vector<std::string>& warnings) {
  const std::optional<TokenId> bos_id = bos_of(spec, options);
  add_id("bos_token_id", bos_id, metadata);
  add_end_ids(spec, options, metadata, warnings);
  add_id("unknown_token_id", spec.unk_id, metadata);
  add_id("padding_token_id", spec.pad_id, metadata);
  return add_text_ends(spec, bos_id, metadata);
}

// ---- The kinds ----

Status add_byte_level(const TokenizerSpec& spec, const TokenList& tokens,
                      GgufMetadataBuilder& metadata) {
  metadata.add_string("tokenizer.ggml.model", "gpt2");
  metadata.add_string("tokenizer.ggml.pre", TRY(pre_tokenizer_name(spec)));
  metadata.add_strings("tokenizer.ggml.tokens", tokens.texts);
  metadata.add_array("tokenizer.ggml.token_type", std::span<const std::int32_t>(tokens.types));
  std::vector<std::string> merges;
  for (const auto& [left, right] : merges_of(spec)) merges.push_back(left + " " + right);
  metadata.add_strings("tokenizer.ggml.merges", merges);
  return Ok{};
}

Status add_sentencepiece(const TokenizerSpec& spec, const TokenList& tokens,
                         GgufMetadataBuilder& metadata, std::vector<std::string>& warnings) {
  const SpaceRules rules = TRY(read_space_rules(spec));
  MergeScores merge_scores = merge_scores_of(spec);
  if (merge_scores.num_inexact > 0) {
    warnings.push_back("the merges of " + std::to_string(merge_scores.num_inexact) +
                       " tokens such as " + in_quotes(merge_scores.example) +
                       " are only nearly said by GGUF's scores");
  }
  std::vector<float>& scores = merge_scores.values;
  constexpr float kUnusedScore = -1000.0f;  // As llama.cpp's converter gives unused tokens.
  scores.resize(tokens.texts.size(), kUnusedScore);
  metadata.add_string("tokenizer.ggml.model", "llama");
  metadata.add_string("tokenizer.ggml.pre", "default");
  metadata.add_strings("tokenizer.ggml.tokens", tokens.texts);
  metadata.add_array("tokenizer.ggml.scores", std::span<const float>(scores));
  metadata.add_array("tokenizer.ggml.token_type", std::span<const std::int32_t>(tokens.types));
  metadata.add_bool("tokenizer.ggml.add_space_prefix", rules.add_prefix);
  if (rules.squeeze) metadata.add_bool("tokenizer.ggml.remove_extra_whitespaces", true);
  return Ok{};
}

void add_chat_templates(const TokenizerSpec& spec, GgufMetadataBuilder& metadata) {
  std::vector<std::string> names;
  for (const TokenizerSpec::NamedTemplate& chat : spec.chat_templates) {
    const std::string suffix = chat.name.empty() ? "" : "." + chat.name;
    metadata.add_string("tokenizer.chat_template" + suffix, chat.source);
    if (!chat.name.empty()) names.push_back(chat.name);
  }
  if (!names.empty()) metadata.add_strings("tokenizer.chat_templates", names);
}

Status check_model(const TokenizerSpec& spec) {
  if (spec.model != TokenizerModel::kBpe) return cannot_say("vocabularies other than BPE");
  if (!spec.continuing_subword_prefix.empty() || !spec.end_of_word_suffix.empty()) {
    return cannot_say("marks inside words (continuing_subword_prefix, end_of_word_suffix)");
  }
  return Ok{};
}

}  // namespace

Result<std::vector<std::string>> add_tokenizer_metadata(const TokenizerSpec& spec,
                                                        const GgufTokenizerOptions& options,
                                                        GgufMetadataBuilder& metadata) {
  TRY(check_model(spec));
  const TokenList tokens = TRY(list_tokens(spec, options.num_rows));
  std::vector<std::string> warnings;
  if (is_byte_level(spec)) {
    TRY(add_byte_level(spec, tokens, metadata));
  } else {
    TRY(add_sentencepiece(spec, tokens, metadata, warnings));
  }
  TRY(add_ids(spec, options, metadata, warnings));
  add_chat_templates(spec, metadata);
  return warnings;
}

}  // namespace millrace
