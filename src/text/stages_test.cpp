// The stages of a tokenizer one by one: patterns, normalisers, cuts, added tokens.
#include <gtest/gtest.h>

#include "base/random.h"
#include "text/added_tokens.h"
#include "text/chars_map.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/regex_syntax.h"
#include "text/utf8.h"
#include "text/word_scanner.h"

namespace millrace {
namespace {

using Words = std::vector<std::string>;

Words cut(const std::vector<PreTokenizerStep>& steps, const std::string& text,
          SectionPlace place = SectionPlace::kFirst) {
  const PreTokenizer pre_tokenizer = MUST(PreTokenizer::create(steps));  // well-formed steps
  RegexScratch scratch;
  WordCut words;
  MUST(pre_tokenizer.cut(text, place, scratch, words));  // a short text
  Words out;
  for (const ByteRange word : words.words) {
    out.emplace_back(words.text.substr(word.begin, word.end - word.begin));
  }
  return out;
}

PreTokenizerStep split(const std::string& pattern, SplitBehavior behavior, bool invert = false) {
  return SplitPreTokenizer{{Pattern::Kind::kRegex, pattern}, behavior, invert};
}

TEST(PreTokenizer, EveryBehaviourOfADelimiter) {
  const std::string text = "-a--b-";
  EXPECT_EQ(cut({split("-", SplitBehavior::kRemoved)}, text), (Words{"a", "b"}));
  EXPECT_EQ(cut({split("-", SplitBehavior::kIsolated)}, text),
            (Words{"-", "a", "-", "-", "b", "-"}));
  EXPECT_EQ(cut({split("-", SplitBehavior::kContiguous)}, text), (Words{"-", "a", "--", "b", "-"}));
  EXPECT_EQ(cut({split("-", SplitBehavior::kMergedWithPrevious)}, text),
            (Words{"-", "a-", "-", "b-"}));
  EXPECT_EQ(cut({split("-", SplitBehavior::kMergedWithNext)}, text), (Words{"-a", "-", "-b", "-"}));
  EXPECT_EQ(cut({split("[ab]", SplitBehavior::kRemoved, true)}, text), (Words{"a", "b"}));
}

TEST(PreTokenizer, EmptyMatchesOnlyCut) {
  EXPECT_EQ(cut({split(R"((?=(\d{3})+(?!\d)))", SplitBehavior::kIsolated)}, "1234567"),
            (Words{"1", "234", "567"}));
}

TEST(PreTokenizer, StepsAfterByteLevelSeeBytesAsCharacters) {
  // U+00B2 is C2 B2, and B2 stands for itself in the byte-level alphabet: a digit there.
  const std::vector<PreTokenizerStep> steps = {ByteLevelPreTokenizer{.use_regex = false},
                                               DigitsPreTokenizer{}};
  EXPECT_EQ(cut(steps, "x\xC2\xB2y"), (Words{"x\xC2", "\xB2", "y"}));
}

TEST(PreTokenizer, MetaspaceMarksTheStartByItsScheme) {
  const std::string marker = "\xE2\x96\x81";
  const auto marked = [&](PrependScheme scheme, SectionPlace place) {
    return cut({MetaspacePreTokenizer{.prepend_scheme = scheme}}, "a b", place);
  };
  const Words with = {marker + "a", marker + "b"};
  const Words without = {"a", marker + "b"};
  EXPECT_EQ(marked(PrependScheme::kAlways, SectionPlace::kLater), with);
  EXPECT_EQ(marked(PrependScheme::kFirst, SectionPlace::kFirst), with);
  EXPECT_EQ(marked(PrependScheme::kFirst, SectionPlace::kLater), without);
  EXPECT_EQ(marked(PrependScheme::kNever, SectionPlace::kFirst), without);
}

TEST(PreTokenizer, FixedLengthCountsCharacters) {
  EXPECT_EQ(cut({FixedLengthPreTokenizer{2}},
                "a\xC3\xA9"
                "b\xE4\xB8\xAD"
                "c"),
            (Words{"a\xC3\xA9", "b\xE4\xB8\xAD", "c"}));
}

// Whether a pattern takes all of a text.
bool matches(const std::string& pattern, const std::string& text) {
  const Words words = cut({split(pattern, SplitBehavior::kRemoved, true)}, text);
  return words.size() == 1 && words[0] == text;
}

TEST(RegexSyntax, RewritesWhatPcre2ReadsDifferently) {
  EXPECT_TRUE(matches(R"(\h+)", "09afAF"));
  EXPECT_FALSE(matches(R"(\h+)", "\t"));
  EXPECT_TRUE(matches(R"(\s)", "\xC2\x85"));
  EXPECT_FALSE(matches(R"(\s)", "\xE1\xA0\x8E"));  // U+180E
  EXPECT_TRUE(matches(R"([\S]+)", "\xE1\xA0\x8E"));
  EXPECT_TRUE(matches(R"(\w)", "\xCC\x81"));  // A combining mark.
  EXPECT_TRUE(matches(R"(a{,2})", "aa"));
  EXPECT_FALSE(matches(R"(a{,2})", "a{,2}"));
  EXPECT_TRUE(matches(R"([\u0061\u0062]\u0063)", "bc"));
  EXPECT_TRUE(matches(R"([a-z&&[^b]]+)", "acz"));
  EXPECT_FALSE(matches(R"([a-z&&[^b]]+)", "b"));
  EXPECT_TRUE(matches(R"([^a-z&&[^b]]+)", "b"));
  EXPECT_TRUE(matches(R"([^x[yz]]+)", "abc"));
  EXPECT_FALSE(matches(R"([^x[yz]]+)", "z"));
  EXPECT_TRUE(matches(R"([]a]+)", "]a"));
}

// Random texts of what the patterns tell apart, cut by hand and by PCRE2.
TEST(WordScanner, CutsLikeTheRegularExpression) {
  constexpr std::string_view kEnd = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string start = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
  const std::string patterns[] = {
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
      start + std::string(kEnd), start + "{1,3}" + std::string(kEnd),
      start + "+" + std::string(kEnd)};
  const Words parts = {"a",
                       "Z",
                       "s",
                       "'",
                       "'s",
                       "'LL",
                       "'Re",
                       " ",
                       "  ",
                       "\n",
                       "\r\n",
                       "\t",
                       "\xC2\xA0",
                       "1",
                       "22",
                       "\xC2\xB2",
                       ".",
                       "!?",
                       "-",
                       "\xC5\xBF",
                       "\xCC\x81",
                       "_",
                       "\xE4\xB8\xAD",
                       "\xE3\x80\x80",
                       "\xF0\x9F\x98\x80",
                       "\xF0\x9D\x94\x98",
                       "\xE2\x80\xA8",
                       "\xC2\x85",
                       "'ve",
                       "l"};
  Random random(21);
  RegexScratch scratch;
  for (const std::string& pattern : patterns) {
    const std::optional<WordScanner> scanner = WordScanner::for_pattern(pattern);
    ASSERT_TRUE(scanner.has_value()) << pattern;
    const Regex regex = MUST(Regex::compile(pattern));  // a pattern from above
    for (int round = 0; round < 3000; ++round) {
      std::string text;
      for (std::size_t n = 1 + random.below(12); n > 0; --n) {
        if (random.below(8) == 0) {
          append_utf8(static_cast<char32_t>(0x20 + random.below(0x2000)), text);
        } else {
          text += parts[random.below(parts.size())];
        }
      }
      for (std::size_t begin = 0; begin < text.size();) {
        const auto match = MUST(regex.find(text, begin, scratch));  // within every limit
        ASSERT_TRUE(match.has_value()) << text;
        ASSERT_EQ(match->begin, begin) << text;
        ASSERT_EQ(scanner->word_end(text, begin), match->end) << pattern << ": " << text;
        begin = match->end;
      }
    }
  }
  EXPECT_FALSE(WordScanner::for_pattern(start + "{1,4}" + std::string(kEnd)).has_value());
}

TEST(RegexSyntax, ReadsQuantifiersOptionsAndNamesAsRubyDoes) {
  EXPECT_TRUE(matches(R"(\p{N}{1,3}+)", "1234567"));  // A quantifier of a quantifier,
  EXPECT_FALSE(matches(R"(\p{N}++4)", "1234"));       // and a possessive one.
  EXPECT_TRUE(matches(R"((?:a{2}?b)+)", "baab"));     // {2}? is optional.
  EXPECT_TRUE(matches(R"(a{1,2}?a)", "aa"));
  EXPECT_TRUE(matches(R"(a+?+)", "aaa"));
  EXPECT_TRUE(matches("a(?i)b|c", "aB"));
  EXPECT_TRUE(matches("a(?i)b|c", "aC"));  // (?i) takes the alternatives along.
  EXPECT_FALSE(matches("a(?i)b|c", "c"));
  EXPECT_TRUE(matches("(?m:.)(?#comment)x", "\nx"));
  EXPECT_FALSE(matches(".x", "\nx"));
  EXPECT_TRUE(matches(R"(\bab\b.*\B)", "ab "));
  EXPECT_FALSE(matches(R"(a\bb)", "ab"));
  EXPECT_FALSE(matches("e\\b\xCC\x81", "e\xCC\x81"));  // A mark belongs to its word.
  EXPECT_TRUE(matches(R"([[:punct:]]+)", "!$+"));
  EXPECT_FALSE(matches(R"(\p{Punct}+)", "$"));
  EXPECT_TRUE(matches(R"([[:^alpha:]]\p{Upper_case Letter}\p{^L})", "1A1"));
  EXPECT_TRUE(matches(R"(\p{Han}+)", "\xE4\xB8\xAD"));
  EXPECT_FALSE(matches(R"(\p{Han}+)", "\xE3\x80\x81"));  // Han by extension only.
  EXPECT_TRUE(matches(R"(\p{Emoji}+)", "\xF0\x9F\x98\x80"));
  EXPECT_TRUE(matches(R"(\v\Q\O)", "\x0BQ\n"));
  EXPECT_TRUE(matches(R"([\W^]+)", "^-"));
}

TEST(RegexSyntax, RefusesByNameWhatItCannotRewrite) {
  EXPECT_FALSE(to_pcre2_syntax("(?~a)").ok());
  EXPECT_FALSE(to_pcre2_syntax("(*LIMIT_MATCH=1)a").ok());
  EXPECT_FALSE(to_pcre2_syntax("(?s)a").ok());
  EXPECT_FALSE(to_pcre2_syntax(R"(a\y)").ok());
  EXPECT_FALSE(Regex::compile("(a").ok());
  EXPECT_FALSE(Regex::compile("a)").ok());
  EXPECT_FALSE(to_pcre2_syntax(R"(\p{L)").ok());
  EXPECT_FALSE(to_pcre2_syntax("[a").ok());
  EXPECT_FALSE(to_pcre2_syntax("a\\").ok());
  EXPECT_FALSE(to_pcre2_syntax("[a&&]").ok());
  EXPECT_FALSE(to_pcre2_syntax(R"(\u12)").ok());
  EXPECT_FALSE(to_pcre2_syntax(std::string(100, '[')).ok());
  EXPECT_FALSE(to_pcre2_syntax(std::string((1 << 16) + 1, 'a')).ok());
}

std::string normalize(const std::vector<NormalizerStep>& steps, const std::string& text) {
  const Normalizer normalizer = MUST(Normalizer::create(steps));  // well-formed steps
  RegexScratch scratch;
  return MUST(normalizer.apply(text, scratch));  // a short text
}

TEST(Normalizer, SqueezesAndPrepends) {
  EXPECT_EQ(normalize({SqueezeSpacesNormalizer{}, PrependNormalizer{"_"}}, "  a  b "), "_a b");
  EXPECT_EQ(normalize({PrependNormalizer{"_"}}, ""), "");
}

TEST(Normalizer, SortsLongRunsOfMarksInTime) {
  // A cedilla (class 202) belongs before an acute accent (230); half a million of each,
  // alternating, would take a quadratic sort minutes.
  constexpr std::size_t kNumPairs = 500'000;
  std::string text = "a";
  for (std::size_t i = 0; i < kNumPairs; ++i) text += "\xCC\x81\xCC\xA7";
  const std::string sorted = normalize({UnicodeNormalizer{UnicodeForm::kNfd}}, text);
  EXPECT_EQ(sorted.substr(0, 3), "a\xCC\xA7");
  EXPECT_EQ(sorted.substr(sorted.size() - 2), "\xCC\x81");
  EXPECT_EQ(sorted.size(), text.size());
}

TEST(Normalizer, RefusesBombs) {
  ReplaceNormalizer bomb;
  bomb.pattern.text = "a";
  bomb.content = std::string(1 << 20, 'a');
  EXPECT_FALSE(Normalizer::create({bomb}).ok());
  bomb.content = std::string(200, 'a');
  const Normalizer normalizer = MUST(Normalizer::create({bomb, bomb, bomb}));  // each is in bounds
  RegexScratch scratch;
  EXPECT_FALSE(normalizer.apply("aaaa", scratch).ok());
}

TEST(CharsMap, ChecksItsIndices) {
  EXPECT_FALSE(CharsMap::create("").ok());
  EXPECT_FALSE(CharsMap::create(std::string("\xFF\xFF\xFF\xFF", 4)).ok());
  EXPECT_FALSE(CharsMap::create(std::string("\x03\0\0\0abc", 7)).ok());
  // A root whose offset points far outside.
  const CharsMap map =
      MUST(CharsMap::create(std::string("\x04\0\0\0\xFF\xFF\xFF\xFF", 8)));  // whole
  EXPECT_EQ(map.apply("abc"), "abc");
}

TEST(AddedTokens, TakeTheLeftmostLongestAndTheirSpaces) {
  AddedTokenFinder finder;
  const auto add = [&finder](AddedToken token) {
    MUST(finder.add(token, token.content));  // a short content
  };
  add({.id = 1, .content = "<a>", .special = true});
  add({.id = 2, .content = "<a><b>"});
  add({.id = 3, .content = "<l>", .lstrip = true});
  add({.id = 4, .content = "<r>", .rstrip = true});
  add({.id = 5, .content = "<w>", .single_word = true});
  const auto sections = [&finder](std::string_view text, ParseSpecial parse) {
    std::vector<TextSection> found;
    finder.cut(text, parse, found);
    std::string out;
    for (const TextSection& section : found) {
      out += section.token ? "{" + std::to_string(*section.token) + "}" : std::string(section.text);
    }
    return out;
  };
  EXPECT_EQ(sections("x<a><b>y<a>", ParseSpecial::kYes), "x{2}y{1}");
  EXPECT_EQ(sections("x<a>y", ParseSpecial::kNo), "x<a>y");
  EXPECT_EQ(sections("x \n<l> y", ParseSpecial::kNo), "x{3} y");
  EXPECT_EQ(sections("x <r> \xC2\xA0y", ParseSpecial::kNo), "x {4}y");
  EXPECT_EQ(sections("x<w> <w> <w>y", ParseSpecial::kNo), "x<w> {5} <w>y");

  std::vector<TextSection> found;
  finder.cut("<a>|<a>|<a><b>", ParseSpecial::kYes, found, "|");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].token, 1u);
  EXPECT_EQ(found[1].text, "|<a>|");  // Marked; the longer token behind it is not special.
  EXPECT_EQ(found[2].token, 2u);
  EXPECT_TRUE(finder.begins_special("<a><b>"));
  EXPECT_FALSE(finder.begins_special("<l>"));
  EXPECT_FALSE(finder.begins_special("x<a>"));
}

}  // namespace
}  // namespace millrace
