// The compiled form of TokenizerSpec::pre_tokenizers: text cut into the words that the model sees.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/regex.h"
#include "text/tokenizer_spec.h"
#include "text/word_scanner.h"

namespace millrace {

struct ByteRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

// What one call of PreTokenizer::cut reads and writes; reused between calls to keep its memory.
struct WordCut {
  std::string_view text;         // Where `words` point: the text given, or `rewritten`.
  std::vector<ByteRange> words;  // In order, disjoint, none empty.

  std::string rewritten;
  std::vector<ByteRange> words_next;
  struct Span {
    ByteRange range;
    bool is_delimiter = false;
  };
  std::vector<Span> spans;
  std::string alphabet_text;
};

// Whether a section of text is the first thing encoded; Metaspace's scheme "first" asks.
enum class SectionPlace : std::uint8_t { kFirst, kLater };

// Immutable; any thread, each with its own cut and scratch.
class PreTokenizer {
 public:
  static constexpr std::size_t kTextBytesMax = std::size_t{1} << 31;

  // Empty: the whole text is one word.
  PreTokenizer() = default;
  static Result<PreTokenizer> create(const std::vector<PreTokenizerStep>& steps);

  // Words are raw bytes and the vocabulary is written in the byte-level alphabet.
  bool is_byte_level() const { return byte_level_; }

  // `text` is valid UTF-8 and outlives the use of `cut`.
  Status cut(std::string_view text, SectionPlace place, RegexScratch& scratch, WordCut& cut) const;

 private:
  enum class CharacterClass : std::uint8_t { kNumeric, kPunctuation, kWhitespace };

  struct RegexSplit {
    Regex regex;
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
    std::optional<WordScanner> scanner = std::nullopt;  // Does what the regex does, faster.
  };
  struct LiteralSplit {
    std::string pattern;
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
  };
  struct ClassSplit {
    CharacterClass members = CharacterClass::kNumeric;
    SplitBehavior behavior = SplitBehavior::kIsolated;
  };
  struct PrefixSpace {};
  struct EnterBytes {};
  struct Mark {
    std::string replacement;
    PrependScheme scheme = PrependScheme::kNever;
  };
  using Step = std::variant<RegexSplit, LiteralSplit, ClassSplit, PrefixSpace, EnterBytes, Mark,
                            FixedLengthPreTokenizer, UnicodeScriptsPreTokenizer>;
  struct Compile;
  struct Context;

  static bool is_member(CharacterClass members, char32_t code_point);
  static Status find_spans(const RegexSplit& step, std::string_view word, Context& context);
  static Status find_spans(const LiteralSplit& step, std::string_view word, Context& context);
  static Status find_spans(const ClassSplit& step, std::string_view word, Context& context);
  static Status find_spans(const FixedLengthPreTokenizer& step, std::string_view word,
                           Context& context);
  static Status find_spans(const UnicodeScriptsPreTokenizer& step, std::string_view word,
                           Context& context);
  static void scan_words(const WordScanner& scanner, WordCut& cut);
  template <class Split>
  static Status split_words(const Split& step, SplitBehavior behavior, Context& context);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace millrace
