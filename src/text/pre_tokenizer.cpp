// Each step finds delimiters in every word so far; what becomes of them is the same code for all.
#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"
#include "text/unicode_scripts.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// GPT-2's published pattern (Radford et al. 2019), which ByteLevel applies unless told not to.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Words and runs of symbols; Rust's \w, which Whitespace uses, is wider than Oniguruma's.
constexpr std::string_view kWhitespacePattern =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)"
    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\s]+)";

ByteRange make_range(std::size_t begin, std::size_t end) {
  return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
}

// Puts spans of the alphabet's text, whose characters are bytes, into those bytes' offsets.
void to_byte_offsets(std::string_view alphabet_text, std::vector<WordCut::Span>& spans) {
  std::size_t at = 0;
  std::uint32_t num_characters = 0;
  const auto characters_before = [&](std::uint32_t offset) {
    for (; at < offset; ++at) {
      num_characters += (static_cast<std::uint8_t>(alphabet_text[at]) & 0xC0) != 0x80;
    }
    return num_characters;
  };
  for (WordCut::Span& span : spans) {
    span.range.begin = characters_before(span.range.begin);
    span.range.end = characters_before(span.range.end);
  }
}

// Appends to `words` what the behaviour makes of the spans of one word that begins at `base`.
void merge_spans(SplitBehavior behavior, std::uint32_t base,
                 const std::vector<WordCut::Span>& spans, std::vector<ByteRange>& words) {
  const std::size_t num_before = words.size();
  bool previous_is_delimiter = false;
  // A following delimiter is merged by walking backwards, so that both merges read alike.
  const bool backwards = behavior == SplitBehavior::kMergedWithNext;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const WordCut::Span& span = spans[backwards ? spans.size() - 1 - i : i];
    const ByteRange range = {base + span.range.begin, base + span.range.end};
    bool join = false;
    if (behavior == SplitBehavior::kContiguous) join = span.is_delimiter == previous_is_delimiter;
    if (behavior == SplitBehavior::kMergedWithPrevious || backwards) {
      join = span.is_delimiter && !previous_is_delimiter;
    }
    previous_is_delimiter = span.is_delimiter;
    if (behavior == SplitBehavior::kRemoved && span.is_delimiter) continue;
    if (join && words.size() > num_before) {
      words.back().begin = std::min(words.back().begin, range.begin);
      words.back().end = std::max(words.back().end, range.end);
    } else {
      words.push_back(range);
    }
  }
  const auto first = words.begin() + static_cast<std::ptrdiff_t>(num_before);
  if (backwards) std::reverse(first, words.end());
  words.erase(std::remove_if(first, words.end(), [](ByteRange r) { return r.begin == r.end; }),
              words.end());
}

}  // namespace

// What the steps of one cut share.
struct PreTokenizer::Context {
  RegexScratch& scratch;
  WordCut& cut;
  SectionPlace place;
  bool in_bytes = false;  // Words are bytes; patterns see them in the byte-level alphabet.

  // Covers [0, num_bytes) with spans, given the delimiters in order.
  void add_delimiter(std::size_t begin, std::size_t end) {
    const std::size_t covered = cut.spans.empty() ? 0 : cut.spans.back().range.end;
    if (covered < begin) cut.spans.push_back({make_range(covered, begin), false});
    cut.spans.push_back({make_range(begin, end), true});
  }
  void finish_spans(std::size_t num_bytes) {
    const std::size_t covered = cut.spans.empty() ? 0 : cut.spans.back().range.end;
    if (covered < num_bytes) cut.spans.push_back({make_range(covered, num_bytes), false});
  }
};

Status PreTokenizer::find_spans(const RegexSplit& step, std::string_view word, Context& context) {
  std::size_t covered = 0;
  std::size_t search = 0;
  while (search < word.size()) {
    const std::optional<MatchRange> match = TRY(step.regex.find(word, search, context.scratch));
    if (!match || match->begin < covered) break;
    context.add_delimiter(match->begin, match->end);
    covered = search = match->end;
    if (match->begin != match->end || search == word.size()) continue;
    search += decode_utf8(word.substr(search)).num_bytes;  // Step over an empty match.
  }
  context.finish_spans(word.size());
  return Ok{};
}

Status PreTokenizer::find_spans(const LiteralSplit& step, std::string_view word, Context& context) {
  std::size_t search = 0;
  for (;;) {
    const std::size_t found = word.find(step.pattern, search);
    if (found == std::string_view::npos) break;
    search = found + step.pattern.size();
    context.add_delimiter(found, search);
  }
  context.finish_spans(word.size());
  return Ok{};
}

bool PreTokenizer::is_member(CharacterClass members, char32_t code_point) {
  switch (members) {
    case CharacterClass::kNumeric:
      return is_numeric(code_point);
    case CharacterClass::kPunctuation:
      return is_punctuation(code_point);
    case CharacterClass::kWhitespace:
      return is_whitespace(code_point);
  }
  check_failed("every class has a row", __FILE__, __LINE__);
}

Status PreTokenizer::find_spans(const ClassSplit& step, std::string_view word, Context& context) {
  std::size_t at = 0;
  while (at < word.size()) {
    const Utf8Character character = decode_utf8(word.substr(at));
    const std::size_t end = at + character.num_bytes;
    if (is_member(step.members, character.code_point)) context.add_delimiter(at, end);
    at = end;
  }
  context.finish_spans(word.size());
  return Ok{};
}

Status PreTokenizer::find_spans(const FixedLengthPreTokenizer& step, std::string_view word,
                                Context& context) {
  std::size_t begin = 0;
  std::size_t at = 0;
  std::uint32_t num_characters = 0;
  while (at < word.size()) {
    at += decode_utf8(word.substr(at)).num_bytes;
    if (++num_characters == step.num_characters || at == word.size()) {
      context.add_delimiter(begin, at);
      begin = at;
      num_characters = 0;
    }
  }
  return Ok{};
}

// What lies before the first character of any script is dropped, as the reference library does it.
Status PreTokenizer::find_spans(const UnicodeScriptsPreTokenizer&, std::string_view word,
                                Context& context) {
  std::size_t begin = 0;
  std::uint16_t last_script = 0;
  for (std::size_t at = 0; at < word.size();) {
    const Utf8Character character = decode_utf8(word.substr(at));
    const std::uint16_t script = script_number(character.code_point);
    if (script != 0 && script != last_script) {
      context.cut.spans.push_back({make_range(begin, at), last_script != 0});
      begin = at;
      last_script = script;
    }
    at += character.num_bytes;
  }
  context.cut.spans.push_back({make_range(begin, word.size()), last_script != 0});
  for (WordCut::Span& span : context.cut.spans) span.is_delimiter = !span.is_delimiter;
  return Ok{};
}

// Every word is cut into matches with nothing between them.
void PreTokenizer::scan_words(const WordScanner& scanner, WordCut& cut) {
  cut.words_next.clear();
  for (const ByteRange word : cut.words) {
    const std::string_view text = cut.text.substr(word.begin, word.end - word.begin);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = scanner.word_end(text, begin);
      cut.words_next.push_back(make_range(word.begin + begin, word.begin + end));
      begin = end;
    }
  }
  cut.words.swap(cut.words_next);
}

template <class Split>
Status PreTokenizer::split_words(const Split& step, SplitBehavior behavior, Context& context) {
  WordCut& cut = context.cut;
  if constexpr (requires { step.scanner; }) {
    if (step.scanner && !context.in_bytes) {
      scan_words(*step.scanner, cut);
      return Ok{};
    }
  }
  cut.words_next.clear();
  for (const ByteRange word : cut.words) {
    std::string_view subject = cut.text.substr(word.begin, word.end - word.begin);
    cut.spans.clear();
    if (context.in_bytes) {
      cut.alphabet_text = bytes_to_alphabet(subject);
      subject = cut.alphabet_text;
    }
    TRY(find_spans(step, subject, context));
    if constexpr (requires { step.invert; }) {
      if (step.invert) {
        for (WordCut::Span& span : cut.spans) span.is_delimiter = !span.is_delimiter;
      }
    }
    if (context.in_bytes) to_byte_offsets(subject, cut.spans);
    merge_spans(behavior, word.begin, cut.spans, cut.words_next);
  }
  cut.words.swap(cut.words_next);
  return Ok{};
}

namespace {

// Rewrites every word with `rewrite(word, index, out)`, which appends the new word to `out`.
template <class Rewrite>
Status rewrite_words(WordCut& cut, std::size_t text_bytes_max, Rewrite rewrite) {
  std::string out;
  out.reserve(cut.text.size() + cut.words.size());
  for (std::size_t i = 0; i < cut.words.size(); ++i) {
    ByteRange& word = cut.words[i];
    const std::size_t begin = out.size();
    rewrite(cut.text.substr(word.begin, word.end - word.begin), i, out);
    if (out.size() > text_bytes_max) {
      return Error{ErrorCode::kTooLarge,
                   "pre-tokenised text exceeds " + std::to_string(text_bytes_max) + " bytes"};
    }
    word = make_range(begin, out.size());
  }
  cut.rewritten = std::move(out);
  cut.text = cut.rewritten;
  return Ok{};
}

}  // namespace

Status PreTokenizer::cut(std::string_view text, SectionPlace place, RegexScratch& scratch,
                         WordCut& cut) const {
  if (text.size() > kTextBytesMax) {
    return Error{ErrorCode::kTooLarge, "text of " + std::to_string(text.size()) +
                                           " bytes exceeds " + std::to_string(kTextBytesMax)};
  }
  struct Run {
    Context& context;
    Status operator()(const RegexSplit& s) const { return split_words(s, s.behavior, context); }
    Status operator()(const LiteralSplit& s) const { return split_words(s, s.behavior, context); }
    Status operator()(const ClassSplit& s) const { return split_words(s, s.behavior, context); }
    Status operator()(const FixedLengthPreTokenizer& s) const {
      return split_words(s, SplitBehavior::kIsolated, context);
    }
    Status operator()(const UnicodeScriptsPreTokenizer& s) const {
      return split_words(s, SplitBehavior::kRemoved, context);
    }
    Status operator()(const PrefixSpace&) const {
      return rewrite_words(context.cut, kTextBytesMax,
                           [](std::string_view word, std::size_t, std::string& out) {
                             if (!word.starts_with(' ')) out.push_back(' ');
                             out.append(word);
                           });
    }
    Status operator()(const EnterBytes&) const {
      context.in_bytes = true;
      return Ok{};
    }
    Status operator()(const Mark& mark) const {
      const auto rewrite = [&](std::string_view word, std::size_t index, std::string& out) {
        const bool is_first = context.place == SectionPlace::kFirst && index == 0;
        const bool wanted = mark.scheme == PrependScheme::kAlways ||
                            (mark.scheme == PrependScheme::kFirst && is_first);
        const bool has_mark = word.starts_with(' ') || word.starts_with(mark.replacement);
        if (wanted && !has_mark) out.append(mark.replacement);
        for (const char c : word) {
          if (c == ' ') {
            out.append(mark.replacement);
          } else {
            out.push_back(c);
          }
        }
      };
      return rewrite_words(context.cut, kTextBytesMax, rewrite);
    }
  };
  cut.text = text;
  cut.words.clear();
  if (text.empty()) return Ok{};
  cut.words.push_back(make_range(0, text.size()));
  Context context{scratch, cut, place};
  for (const Step& step : steps_) TRY(std::visit(Run{context}, step));
  return Ok{};
}

// Turns one step of a spec into the steps that carry it out.
struct PreTokenizer::Compile {
  std::vector<Step>& out;
  bool& byte_level;

  Status refuse_after_bytes(const char* name) const {
    if (!byte_level) return Ok{};
    return Error{ErrorCode::kUnsupported,
                 std::string("pre-tokenizer ") + name + " after ByteLevel is not supported"};
  }

  Status operator()(const SplitPreTokenizer& step) const {
    if (step.pattern.kind == Pattern::Kind::kRegex) {
      Regex regex = TRY(Regex::compile(step.pattern.text));
      // Isolated matches, or all but the gaps removed: the same where there are no gaps.
      const bool keeps_matches = step.invert ? step.behavior == SplitBehavior::kRemoved
                                             : step.behavior == SplitBehavior::kIsolated;
      out.push_back(
          RegexSplit{std::move(regex), step.behavior, step.invert,
                     keeps_matches ? WordScanner::for_pattern(step.pattern.text) : std::nullopt});
    } else if (!step.pattern.text.empty()) {
      out.push_back(LiteralSplit{step.pattern.text, step.behavior, step.invert});
    }
    return Ok{};
  }
  Status operator()(const ByteLevelPreTokenizer& step) const {
    TRY(refuse_after_bytes("ByteLevel"));
    if (step.add_prefix_space) out.push_back(PrefixSpace{});
    if (step.use_regex) {
      Regex regex = TRY(Regex::compile(kGpt2Pattern));
      out.push_back(RegexSplit{std::move(regex), SplitBehavior::kIsolated, /*invert=*/false,
                               WordScanner::for_pattern(kGpt2Pattern)});
    }
    out.push_back(EnterBytes{});
    byte_level = true;
    return Ok{};
  }
  Status operator()(const DigitsPreTokenizer& step) const {
    TRY(require_unicode_tables("pre-tokenizer Digits"));
    out.push_back(ClassSplit{CharacterClass::kNumeric, step.individual_digits
                                                           ? SplitBehavior::kIsolated
                                                           : SplitBehavior::kContiguous});
    return Ok{};
  }
  Status operator()(const PunctuationPreTokenizer& step) const {
    TRY(require_unicode_tables("pre-tokenizer Punctuation"));
    out.push_back(ClassSplit{CharacterClass::kPunctuation, step.behavior});
    return Ok{};
  }
  Status operator()(const MetaspacePreTokenizer& step) const {
    TRY(refuse_after_bytes("Metaspace"));
    if (step.replacement.empty()) {
      return Error{ErrorCode::kCorruptData, "pre-tokenizer Metaspace has an empty replacement"};
    }
    out.push_back(Mark{step.replacement, step.prepend_scheme});
    if (step.split) out.push_back(LiteralSplit{step.replacement, SplitBehavior::kMergedWithNext});
    return Ok{};
  }
  Status operator()(const WhitespacePreTokenizer&) const {
    out.push_back(RegexSplit{TRY(Regex::compile(kWhitespacePattern)), SplitBehavior::kRemoved,
                             /*invert=*/true});
    return Ok{};
  }
  Status operator()(const WhitespaceSplitPreTokenizer&) const {
    out.push_back(ClassSplit{CharacterClass::kWhitespace, SplitBehavior::kRemoved});
    return Ok{};
  }
  Status operator()(const BertPreTokenizer&) const {
    TRY(require_unicode_tables("pre-tokenizer BertPreTokenizer"));
    out.push_back(ClassSplit{CharacterClass::kWhitespace, SplitBehavior::kRemoved});
    out.push_back(ClassSplit{CharacterClass::kPunctuation, SplitBehavior::kIsolated});
    return Ok{};
  }
  Status operator()(const CharDelimiterPreTokenizer& step) const {
    if (step.delimiter.empty()) {
      return Error{ErrorCode::kCorruptData, "pre-tokenizer CharDelimiterSplit has no delimiter"};
    }
    out.push_back(LiteralSplit{step.delimiter, SplitBehavior::kRemoved});
    return Ok{};
  }
  Status operator()(const FixedLengthPreTokenizer& step) const {
    if (step.num_characters == 0) {
      return Error{ErrorCode::kCorruptData, "pre-tokenizer FixedLength has length 0"};
    }
    out.push_back(step);
    return Ok{};
  }
  Status operator()(const UnicodeScriptsPreTokenizer& step) const {
    out.push_back(step);
    return Ok{};
  }
};

Result<PreTokenizer> PreTokenizer::create(const std::vector<PreTokenizerStep>& steps) {
  PreTokenizer pre_tokenizer;
  for (const PreTokenizerStep& step : steps) {
    TRY(std::visit(Compile{pre_tokenizer.steps_, pre_tokenizer.byte_level_}, step));
  }
  return pre_tokenizer;
}

}  // namespace millrace
