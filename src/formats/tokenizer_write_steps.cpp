// One overload for each kind of step.
#include "formats/tokenizer_write_steps.h"

#include <string>

#include "base/check.h"

namespace millrace {
namespace {

OrderedJson typed(const char* type) {
  return {{"type", type}};
}

OrderedJson pattern_json(const Pattern& pattern) {
  return {{pattern.kind == Pattern::Kind::kRegex ? "Regex" : "String", pattern.text}};
}

const char* name_of(SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      return "Removed";
    case SplitBehavior::kIsolated:
      return "Isolated";
    case SplitBehavior::kMergedWithPrevious:
      return "MergedWithPrevious";
    case SplitBehavior::kMergedWithNext:
      return "MergedWithNext";
    case SplitBehavior::kContiguous:
      return "Contiguous";
  }
  CHECK(false);
}

const char* name_of(PrependScheme scheme) {
  switch (scheme) {
    case PrependScheme::kNever:
      return "never";
    case PrependScheme::kFirst:
      return "first";
    case PrependScheme::kAlways:
      return "always";
  }
  CHECK(false);
}

const char* name_of(UnicodeForm form) {
  switch (form) {
    case UnicodeForm::kNfc:
      return "NFC";
    case UnicodeForm::kNfd:
      return "NFD";
    case UnicodeForm::kNfkc:
      return "NFKC";
    case UnicodeForm::kNfkd:
      return "NFKD";
  }
  CHECK(false);
}

OrderedJson replace_json(const Pattern& pattern, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", pattern_json(pattern)}, {"content", content}};
}

// The bytes of a character map travel as base64.
std::string to_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const auto byte = j < group.size() ? static_cast<std::uint8_t>(group[j]) : std::uint8_t{0};
      bits = bits << 8 | byte;
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= group.size() ? kDigits[bits >> (18 - 6 * j) & 63u] : '=';
    }
  }
  return text;
}

// ---- Normalisers ----

using Steps = std::vector<OrderedJson>;

void append(const PrependNormalizer& step, Steps& out) {
  out.push_back({{"type", "Prepend"}, {"prepend", step.text}});
}
void append(const ReplaceNormalizer& step, Steps& out) {
  out.push_back(replace_json(step.pattern, step.content));
}
void append(const UnicodeNormalizer& step, Steps& out) {
  out.push_back(typed(name_of(step.form)));
}
void append(const LowercaseNormalizer&, Steps& out) {
  out.push_back(typed("Lowercase"));
}
void append(const StripNormalizer& step, Steps& out) {
  out.push_back({{"type", "Strip"}, {"strip_left", step.left}, {"strip_right", step.right}});
}
void append(const StripAccentsNormalizer&, Steps& out) {
  out.push_back(typed("StripAccents"));
}
// tokenizer.json has no step for it; two replacements do the same.
void append(const SqueezeSpacesNormalizer&, Steps& out) {
  out.push_back(replace_json({Pattern::Kind::kRegex, "^ +| +$"}, ""));
  out.push_back(replace_json({Pattern::Kind::kRegex, " {2,}"}, " "));
}
void append(const CharsMapNormalizer& step, Steps& out) {
  out.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(step.bytes)}});
}
void append(const BertNormalizer& step, Steps& out) {
  out.push_back({{"type", "BertNormalizer"},
                 {"clean_text", step.clean_text},
                 {"handle_chinese_chars", step.handle_chinese_chars},
                 {"strip_accents", step.strip_accents},
                 {"lowercase", step.lowercase}});
}

void append(const NmtNormalizer&, Steps& out) {
  out.push_back(typed("Nmt"));
}
void append(const ByteLevelNormalizer&, Steps& out) {
  out.push_back(typed("ByteLevel"));
}

// ---- Pre-tokenisers ----

void append(const SplitPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "Split"},
                 {"pattern", pattern_json(step.pattern)},
                 {"behavior", name_of(step.behavior)},
                 {"invert", step.invert}});
}
void append(const ByteLevelPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "ByteLevel"},
                 {"add_prefix_space", step.add_prefix_space},
                 {"trim_offsets", true},
                 {"use_regex", step.use_regex}});
}
void append(const DigitsPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "Digits"}, {"individual_digits", step.individual_digits}});
}
void append(const PunctuationPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "Punctuation"}, {"behavior", name_of(step.behavior)}});
}
void append(const MetaspacePreTokenizer& step, Steps& out) {
  out.push_back({{"type", "Metaspace"},
                 {"replacement", step.replacement},
                 {"prepend_scheme", name_of(step.prepend_scheme)},
                 {"split", step.split}});
}
void append(const WhitespacePreTokenizer&, Steps& out) {
  out.push_back(typed("Whitespace"));
}
void append(const WhitespaceSplitPreTokenizer&, Steps& out) {
  out.push_back(typed("WhitespaceSplit"));
}
void append(const BertPreTokenizer&, Steps& out) {
  out.push_back(typed("BertPreTokenizer"));
}
void append(const CharDelimiterPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "CharDelimiterSplit"}, {"delimiter", step.delimiter}});
}
void append(const FixedLengthPreTokenizer& step, Steps& out) {
  out.push_back({{"type", "FixedLength"}, {"length", step.num_characters}});
}

void append(const UnicodeScriptsPreTokenizer&, Steps& out) {
  out.push_back(typed("UnicodeScripts"));
}

// ---- Decoders ----

void append(const ByteLevelDecoder&, Steps& out) {
  out.push_back({{"type", "ByteLevel"},
                 {"add_prefix_space", true},
                 {"trim_offsets", true},
                 {"use_regex", true}});
}
void append(const ByteFallbackDecoder&, Steps& out) {
  out.push_back(typed("ByteFallback"));
}
void append(const FuseDecoder&, Steps& out) {
  out.push_back(typed("Fuse"));
}
void append(const ReplaceDecoder& step, Steps& out) {
  out.push_back(replace_json(step.pattern, step.content));
}
void append(const StripDecoder& step, Steps& out) {
  out.push_back(
      {{"type", "Strip"}, {"content", step.content}, {"start", step.start}, {"stop", step.stop}});
}
void append(const MetaspaceDecoder& step, Steps& out) {
  out.push_back({{"type", "Metaspace"},
                 {"replacement", step.replacement},
                 {"prepend_scheme", name_of(step.prepend_scheme)},
                 {"split", true}});
}
void append(const WordPieceDecoder& step, Steps& out) {
  out.push_back({{"type", "WordPiece"}, {"prefix", step.prefix}, {"cleanup", step.cleanup}});
}
void append(const BpeDecoder& step, Steps& out) {
  out.push_back({{"type", "BPEDecoder"}, {"suffix", step.suffix}});
}
void append(const CtcDecoder& step, Steps& out) {
  out.push_back({{"type", "CTC"},
                 {"pad_token", step.pad},
                 {"word_delimiter_token", step.word_delimiter},
                 {"cleanup", step.cleanup}});
}
void append(const SpaceJoinDecoder&, Steps&) {}  // What the absence of a decoder means.

template <class Step>
OrderedJson steps_json(const std::vector<Step>& steps, const char* sequence_key) {
  Steps list;
  for (const Step& step : steps) {
    std::visit([&list](const auto& kind) { append(kind, list); }, step);
  }
  if (list.empty()) return nullptr;
  if (list.size() == 1) return list.front();
  return {{"type", "Sequence"}, {sequence_key, list}};
}

}  // namespace

OrderedJson normalizers_json(const std::vector<NormalizerStep>& steps) {
  return steps_json(steps, "normalizers");
}

OrderedJson pre_tokenizers_json(const std::vector<PreTokenizerStep>& steps) {
  return steps_json(steps, "pretokenizers");
}

OrderedJson decoders_json(const std::vector<DecoderStep>& steps) {
  return steps_json(steps, "decoders");
}

}  // namespace millrace
