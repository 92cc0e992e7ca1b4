// One function per normaliser step, and the chain of them.
#include "text/normalizer.h"

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// No published normaliser makes a text more than a few times longer; a step that does is a bomb.
constexpr std::size_t kGrowthMax = 32;
constexpr std::size_t kSlackBytes = 4096;
// What a step may put in for one character or match; published ones use up to five bytes.
constexpr std::size_t kContentBytesMax = 256;

template <class Visit>
void for_each_character(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    visit(character.code_point, text.substr(0, character.num_bytes));
    text.remove_prefix(character.num_bytes);
  }
}

std::string replace_literal(std::string_view text, std::string_view pattern,
                            std::string_view content) {
  std::string out;
  out.reserve(text.size());
  std::size_t begin = 0;
  for (;;) {
    const std::size_t found = text.find(pattern, begin);
    if (found == std::string_view::npos) break;
    out.append(text.substr(begin, found - begin)).append(content);
    begin = found + pattern.size();
  }
  out.append(text.substr(begin));
  return out;
}

Result<std::string> replace_regex(std::string_view text, const Regex& regex,
                                  std::string_view content, RegexScratch& scratch) {
  std::string out;
  std::size_t begin = 0;
  std::size_t search = 0;
  while (search <= text.size()) {
    const std::optional<MatchRange> match = TRY(regex.find(text, search, scratch));
    if (!match || match->begin < begin) break;
    out.append(text.substr(begin, match->begin - begin)).append(content);
    begin = match->end;
    search = match->end;
    if (match->begin != match->end) continue;
    if (search == text.size()) break;
    search += decode_utf8(text.substr(search)).num_bytes;  // Step over an empty match.
  }
  out.append(text.substr(begin));
  return out;
}

std::string strip(std::string_view text, const StripNormalizer& step) {
  std::size_t begin = text.size();
  std::size_t end = 0;
  for_each_character(text, [&](char32_t code_point, std::string_view bytes) {
    if (is_whitespace(code_point)) return;
    const auto offset = static_cast<std::size_t>(bytes.data() - text.data());
    begin = std::min(begin, offset);
    end = offset + bytes.size();
  });
  if (!step.left) begin = 0;
  if (!step.right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

std::string without(bool (*is_unwanted)(char32_t), std::string_view text) {
  std::string out;
  for_each_character(text, [&](char32_t code_point, std::string_view bytes) {
    if (!is_unwanted(code_point)) out.append(bytes);
  });
  return out;
}

std::string to_lowercase(std::string_view text) {
  std::string out;
  for_each_character(text, [&out](char32_t c, std::string_view) { append_lowercase(c, out); });
  return out;
}

std::string squeeze_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out.push_back(c);
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// The CJK blocks that BERT's reference tokeniser puts spaces around.
bool is_han(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string normalize_bert(std::string_view text, const BertNormalizer& step) {
  std::string out;
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (step.clean_text && (c == 0 || c == kReplacementCharacter || is_control(c))) return;
    if (step.clean_text && is_whitespace(c)) {
      out.push_back(' ');
    } else if (step.handle_chinese_chars && is_han(c)) {
      out.append(" ").append(bytes).append(" ");
    } else {
      out.append(bytes);
    }
  });
  if (step.strip_accents)
    out = without(is_nonspacing_mark, to_unicode_form(out, UnicodeForm::kNfd));
  if (step.lowercase) out = to_lowercase(out);
  return out;
}

// The lists are those of SentencePiece's nmt_nfkc rules, which the reference library repeats.
std::string normalize_nmt(std::string_view text) {
  std::string out;
  for_each_character(text, [&out](char32_t c, std::string_view bytes) {
    const bool is_dropped = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                            c == 0x7F || c == 0x8F || c == 0x9F;
    const bool is_space = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                          (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                          c == 0x2581 || c == 0xFEFF || c == kReplacementCharacter;
    if (is_space) {
      out.push_back(' ');
    } else if (!is_dropped) {
      out.append(bytes);
    }
  });
  return out;
}

}  // namespace

Result<Normalizer::Step> Normalizer::compile(const NormalizerStep& step) {
  if (const auto* replace = std::get_if<ReplaceNormalizer>(&step)) {
    if (replace->content.size() > kContentBytesMax) {
      return Error{ErrorCode::kTooLarge, "normalizer Replace: content of " +
                                             std::to_string(replace->content.size()) +
                                             " bytes exceeds " + std::to_string(kContentBytesMax)};
    }
    if (replace->pattern.kind == Pattern::Kind::kRegex) {
      return Step(RegexReplace{TRY(Regex::compile(replace->pattern.text)), replace->content});
    }
    if (replace->pattern.text.empty()) {
      return Error{ErrorCode::kUnsupported, "normalizer Replace has an empty pattern"};
    }
    return Step(LiteralReplace{replace->pattern.text, replace->content});
  }
  if (const auto* map = std::get_if<CharsMapNormalizer>(&step)) {
    if (map->by_grapheme) TRY(require_unicode_tables("normalizer Precompiled"));
    const CharsMapMatch match =
        map->by_grapheme ? CharsMapMatch::kGrapheme : CharsMapMatch::kLongest;
    CharsMap compiled = TRY(CharsMap::create(map->bytes, match));
    for (const std::string& text : map->kept) TRY(compiled.keep(text));
    return Step(std::move(compiled));
  }
  return std::visit(
      [](const auto& plain) -> Result<Step> {
        using T = std::decay_t<decltype(plain)>;
        if constexpr (std::is_constructible_v<Step, T>) {
          if constexpr (std::is_same_v<T, UnicodeNormalizer> ||
                        std::is_same_v<T, LowercaseNormalizer> ||
                        std::is_same_v<T, StripAccentsNormalizer> ||
                        std::is_same_v<T, BertNormalizer>) {
            TRY(require_unicode_tables("a Unicode normalizer"));
          }
          return Step(plain);
        } else {
          check_failed("the two steps without a plain form were handled", __FILE__, __LINE__);
        }
      },
      step);
}

Result<Normalizer> Normalizer::create(const std::vector<NormalizerStep>& steps) {
  Normalizer normalizer;
  for (const NormalizerStep& step : steps) normalizer.steps_.push_back(TRY(compile(step)));
  return normalizer;
}

Result<std::string> Normalizer::apply(std::string_view text, RegexScratch& scratch) const {
  struct Apply {
    std::string_view in;
    RegexScratch& scratch;
    Result<std::string> operator()(const PrependNormalizer& step) const {
      return in.empty() ? std::string() : step.text + std::string(in);
    }
    Result<std::string> operator()(const LiteralReplace& step) const {
      return replace_literal(in, step.pattern, step.content);
    }
    Result<std::string> operator()(const RegexReplace& step) const {
      return replace_regex(in, step.regex, step.content, scratch);
    }
    Result<std::string> operator()(const UnicodeNormalizer& step) const {
      return to_unicode_form(in, step.form);
    }
    Result<std::string> operator()(const LowercaseNormalizer&) const { return to_lowercase(in); }
    Result<std::string> operator()(const StripNormalizer& step) const { return strip(in, step); }
    Result<std::string> operator()(const StripAccentsNormalizer&) const {
      return without(is_mark, in);
    }
    Result<std::string> operator()(const SqueezeSpacesNormalizer&) const {
      return squeeze_spaces(in);
    }
    Result<std::string> operator()(const CharsMap& step) const { return step.apply(in); }
    Result<std::string> operator()(const BertNormalizer& step) const {
      return normalize_bert(in, step);
    }
    Result<std::string> operator()(const NmtNormalizer&) const { return normalize_nmt(in); }
    Result<std::string> operator()(const ByteLevelNormalizer&) const {
      return bytes_to_alphabet(in);
    }
  };
  const std::size_t bytes_max = text.size() * kGrowthMax + kSlackBytes;
  std::string out(text);
  for (const Step& step : steps_) {
    out = TRY(std::visit(Apply{out, scratch}, step));
    if (out.size() > bytes_max) {
      return Error{ErrorCode::kTooLarge, "normalised text of " + std::to_string(out.size()) +
                                             " bytes exceeds " + std::to_string(bytes_max)};
    }
  }
  return out;
}

}  // namespace millrace
