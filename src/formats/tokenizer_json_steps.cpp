// Normalizers, pre-tokenizers and decoders of tokenizer.json, one function for each type.
#include <array>
#include <string_view>

#include "formats/base64.h"
#include "formats/text_quote.h"
#include "formats/tokenizer_fields.h"
#include "formats/tokenizer_json.h"

namespace millrace {
namespace {

constexpr std::size_t kSequenceDepthMax = 8;

template <class Step>
using ParseStep = Result<Step> (*)(const JsonObject&);

template <class Step>
struct StepRow {
  std::string_view type;
  ParseStep<Step> parse;
};

// Parses `json`, an object with a type or a Sequence of such, with the rows of one kind of step.
template <class Step, std::size_t kNumRows>
Status parse_steps(const Json& json, const std::string& name, const char* sequence_key,
                   const std::array<StepRow<Step>, kNumRows>& rows, std::size_t depth,
                   std::vector<Step>& steps) {
  const JsonObject object = TRY(as_json_object(json, name));
  const std::string type = TRY(object.get_string("type"));
  if (type == "Sequence") {
    if (depth >= kSequenceDepthMax) {
      return Error{ErrorCode::kTooLarge,
                   name + ": Sequence nested deeper than " + std::to_string(kSequenceDepthMax)};
    }
    for (const Json& step : *TRY(object.get_array(sequence_key))) {
      TRY(parse_steps(step, name, sequence_key, rows, depth + 1, steps));
    }
    return Ok{};
  }
  for (const StepRow<Step>& row : rows) {
    if (row.type != type) continue;
    steps.push_back(TRY(row.parse(JsonObject{json, name + " " + type})));
    return Ok{};
  }
  return Error{ErrorCode::kUnsupported, name + ": type " + in_quotes(type) + " is not supported"};
}

// {"String": …} or {"Regex": …}; some old files have the string itself.
Result<Pattern> parse_pattern(const JsonObject& step) {
  const Json* field = step.find("pattern");
  if (field != nullptr && field->is_string()) {
    return Pattern{Pattern::Kind::kLiteral, TRY(step.get_string("pattern"))};
  }
  const JsonObject pattern = TRY(step.get_object("pattern"));
  if (pattern.find("Regex") != nullptr) {
    return Pattern{Pattern::Kind::kRegex, TRY(pattern.get_string("Regex"))};
  }
  return Pattern{Pattern::Kind::kLiteral, TRY(pattern.get_string("String"))};
}

Result<SplitBehavior> parse_behavior(const JsonObject& step, const std::string& fallback) {
  constexpr std::pair<std::string_view, SplitBehavior> kBehaviors[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const std::string name = TRY(step.get_string_or("behavior", fallback));
  for (const auto& [known, behavior] : kBehaviors) {
    if (known == name) return behavior;
  }
  return Error{ErrorCode::kUnsupported,
               step.name + ": behavior " + in_quotes(name) + " is not supported"};
}

// prepend_scheme, or the add_prefix_space that it replaced.
Result<PrependScheme> parse_scheme(const JsonObject& step) {
  const bool add = TRY(step.get_bool_or("add_prefix_space", true));
  const std::string name = TRY(step.get_string_or("prepend_scheme", add ? "always" : "never"));
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  return Error{ErrorCode::kUnsupported,
               step.name + ": prepend_scheme " + in_quotes(name) + " is not supported"};
}

template <class Step, UnicodeForm kForm>
Result<Step> parse_form(const JsonObject&) {
  return Step(UnicodeNormalizer{kForm});
}

// A step without options.
template <class Step, class T>
Result<Step> parse_plain(const JsonObject&) {
  return Step(T{});
}

Result<NormalizerStep> parse_prepend(const JsonObject& step) {
  return NormalizerStep(PrependNormalizer{TRY(step.get_string("prepend"))});
}
Result<NormalizerStep> parse_replace(const JsonObject& step) {
  const Pattern pattern = TRY(parse_pattern(step));
  const std::string content = TRY(step.get_string("content"));
  return NormalizerStep(ReplaceNormalizer{pattern, content});
}
Result<NormalizerStep> parse_strip_normalizer(const JsonObject& step) {
  StripNormalizer strip;
  strip.left = TRY(step.get_bool_or("strip_left", true));
  strip.right = TRY(step.get_bool_or("strip_right", true));
  return NormalizerStep(strip);
}
Result<NormalizerStep> parse_precompiled(const JsonObject& step) {
  const std::string text = TRY(step.get_string("precompiled_charsmap"));
  std::optional<std::string> bytes = decode_base64(text);
  if (!bytes) return step.wrong("precompiled_charsmap", "base64");
  return NormalizerStep(CharsMapNormalizer{std::move(*bytes), /*by_grapheme=*/true});
}
Result<NormalizerStep> parse_bert_normalizer(const JsonObject& step) {
  BertNormalizer bert;
  bert.clean_text = TRY(step.get_bool_or("clean_text", true));
  bert.handle_chinese_chars = TRY(step.get_bool_or("handle_chinese_chars", true));
  bert.lowercase = TRY(step.get_bool_or("lowercase", true));
  bert.strip_accents = TRY(step.get_bool_or("strip_accents", bert.lowercase));
  return NormalizerStep(bert);
}

Result<PreTokenizerStep> parse_split(const JsonObject& step) {
  SplitPreTokenizer split;
  split.pattern = TRY(parse_pattern(step));
  split.behavior = TRY(parse_behavior(step, "Isolated"));
  split.invert = TRY(step.get_bool_or("invert", false));
  return PreTokenizerStep(split);
}
Result<PreTokenizerStep> parse_byte_level(const JsonObject& step) {
  ByteLevelPreTokenizer byte_level;
  byte_level.add_prefix_space = TRY(step.get_bool_or("add_prefix_space", true));
  byte_level.use_regex = TRY(step.get_bool_or("use_regex", true));
  return PreTokenizerStep(byte_level);
}
Result<PreTokenizerStep> parse_digits(const JsonObject& step) {
  return PreTokenizerStep(DigitsPreTokenizer{TRY(step.get_bool_or("individual_digits", false))});
}
Result<PreTokenizerStep> parse_punctuation(const JsonObject& step) {
  return PreTokenizerStep(PunctuationPreTokenizer{TRY(parse_behavior(step, "Isolated"))});
}
Result<PreTokenizerStep> parse_metaspace(const JsonObject& step) {
  MetaspacePreTokenizer metaspace;
  metaspace.replacement = TRY(step.get_string_or("replacement", metaspace.replacement));
  metaspace.prepend_scheme = TRY(parse_scheme(step));
  metaspace.split = TRY(step.get_bool_or("split", true));
  return PreTokenizerStep(metaspace);
}
Result<PreTokenizerStep> parse_char_delimiter(const JsonObject& step) {
  return PreTokenizerStep(CharDelimiterPreTokenizer{TRY(step.get_string("delimiter"))});
}
Result<PreTokenizerStep> parse_fixed_length(const JsonObject& step) {
  return PreTokenizerStep(FixedLengthPreTokenizer{TRY(step.get_count_or("length", 5))});
}

Result<DecoderStep> parse_replace_decoder(const JsonObject& step) {
  const Pattern pattern = TRY(parse_pattern(step));
  const std::string content = TRY(step.get_string("content"));
  return DecoderStep(ReplaceDecoder{pattern, content});
}
Result<DecoderStep> parse_strip_decoder(const JsonObject& step) {
  StripDecoder strip;
  strip.content = TRY(step.get_string("content"));
  strip.start = TRY(step.get_count_or("start", 0));
  strip.stop = TRY(step.get_count_or("stop", 0));
  return DecoderStep(strip);
}
Result<DecoderStep> parse_metaspace_decoder(const JsonObject& step) {
  MetaspaceDecoder metaspace;
  metaspace.replacement = TRY(step.get_string_or("replacement", metaspace.replacement));
  metaspace.prepend_scheme = TRY(parse_scheme(step));
  return DecoderStep(metaspace);
}
Result<DecoderStep> parse_word_piece_decoder(const JsonObject& step) {
  WordPieceDecoder word_piece;
  word_piece.prefix = TRY(step.get_string_or("prefix", word_piece.prefix));
  word_piece.cleanup = TRY(step.get_bool_or("cleanup", true));
  return DecoderStep(word_piece);
}

Result<DecoderStep> parse_bpe_decoder(const JsonObject& step) {
  return DecoderStep(BpeDecoder{TRY(step.get_string_or("suffix", BpeDecoder().suffix))});
}
Result<DecoderStep> parse_ctc_decoder(const JsonObject& step) {
  CtcDecoder ctc;
  ctc.pad = TRY(step.get_string_or("pad_token", ctc.pad));
  ctc.word_delimiter = TRY(step.get_string_or("word_delimiter_token", ctc.word_delimiter));
  ctc.cleanup = TRY(step.get_bool_or("cleanup", ctc.cleanup));
  return DecoderStep(ctc);
}

using N = NormalizerStep;
constexpr std::array<StepRow<N>, 14> kNormalizers = {{
    {"Prepend", parse_prepend},
    {"Replace", parse_replace},
    {"NFC", parse_form<N, UnicodeForm::kNfc>},
    {"NFD", parse_form<N, UnicodeForm::kNfd>},
    {"NFKC", parse_form<N, UnicodeForm::kNfkc>},
    {"NFKD", parse_form<N, UnicodeForm::kNfkd>},
    {"Lowercase", parse_plain<N, LowercaseNormalizer>},
    {"Strip", parse_strip_normalizer},
    {"StripAccents", parse_plain<N, StripAccentsNormalizer>},
    {"Precompiled", parse_precompiled},
    {"BertNormalizer", parse_bert_normalizer},
    {"BertNorm", parse_bert_normalizer},
    {"Nmt", parse_plain<N, NmtNormalizer>},
    {"ByteLevel", parse_plain<N, ByteLevelNormalizer>},
}};

using P = PreTokenizerStep;
constexpr std::array<StepRow<P>, 11> kPreTokenizers = {{
    {"Split", parse_split},
    {"ByteLevel", parse_byte_level},
    {"Digits", parse_digits},
    {"Punctuation", parse_punctuation},
    {"Metaspace", parse_metaspace},
    {"Whitespace", parse_plain<P, WhitespacePreTokenizer>},
    {"WhitespaceSplit", parse_plain<P, WhitespaceSplitPreTokenizer>},
    {"BertPreTokenizer", parse_plain<P, BertPreTokenizer>},
    {"CharDelimiterSplit", parse_char_delimiter},
    {"FixedLength", parse_fixed_length},
    {"UnicodeScripts", parse_plain<P, UnicodeScriptsPreTokenizer>},
}};

using D = DecoderStep;
constexpr std::array<StepRow<D>, 9> kDecoders = {{
    {"ByteLevel", parse_plain<D, ByteLevelDecoder>},
    {"ByteFallback", parse_plain<D, ByteFallbackDecoder>},
    {"Fuse", parse_plain<D, FuseDecoder>},
    {"Replace", parse_replace_decoder},
    {"Strip", parse_strip_decoder},
    {"Metaspace", parse_metaspace_decoder},
    {"WordPiece", parse_word_piece_decoder},
    {"BPEDecoder", parse_bpe_decoder},
    {"CTC", parse_ctc_decoder},
}};

}  // namespace

Result<std::vector<NormalizerStep>> parse_normalizers(const Json& json, const std::string& name) {
  std::vector<NormalizerStep> steps;
  TRY(parse_steps(json, name, "normalizers", kNormalizers, 0, steps));
  return steps;
}

Result<std::vector<PreTokenizerStep>> parse_pre_tokenizers(const Json& json,
                                                           const std::string& name) {
  std::vector<PreTokenizerStep> steps;
  TRY(parse_steps(json, name, "pretokenizers", kPreTokenizers, 0, steps));
  return steps;
}

Result<std::vector<DecoderStep>> parse_decoders(const Json& json, const std::string& name) {
  std::vector<DecoderStep> steps;
  TRY(parse_steps(json, name, "decoders", kDecoders, 0, steps));
  return steps;
}

}  // namespace millrace
