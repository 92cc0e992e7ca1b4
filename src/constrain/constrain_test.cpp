// Masks against brute force on small vocabularies, taking back, forking, limits, hostile specs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <regex>
#include <set>

#include "base/random.h"
#include "constrain/grammar_compiler.h"
#include "constrain/grammar_constraint.h"
#include "constrain/tool_call_spec.h"

namespace millrace {
namespace {

constexpr TokenId kStop = 0;
const SystemClock kClock;

// Token 0 ends a text; the others are these texts.
std::shared_ptr<const TokenVocabulary> vocabulary_of(
    const std::vector<std::string>& texts, const std::vector<std::string>& specials = {}) {
  std::vector<VocabularyToken> tokens = {{.bytes = "</s>", .is_special = true}};
  for (const std::string& text : texts) tokens.push_back({.bytes = text, .is_special = false});
  for (const std::string& text : specials) tokens.push_back({.bytes = text, .is_special = true});
  const std::vector<TokenId> stops = {kStop};
  return MUST(TokenVocabulary::create(tokens, stops, tokens.size() + 3));  // a plain vocabulary
}

std::vector<std::string> all_bytes() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  return texts;
}

std::vector<std::string> letters(const std::string& alphabet) {
  std::vector<std::string> texts;
  for (const char c : alphabet) texts.emplace_back(1, c);
  return texts;
}

GrammarCompilerOptions small_options() {
  GrammarCompilerOptions options;
  options.mask_cache_bytes = 1 << 20;
  return options;
}

std::unique_ptr<GrammarConstraint> start(const LogitConstraint& constraint) {
  std::unique_ptr<LogitConstraint> copy = constraint.fork();
  return std::unique_ptr<GrammarConstraint>(dynamic_cast<GrammarConstraint*>(copy.release()));
}

std::vector<bool> mask_of(const LogitConstraint& constraint, const TokenVocabulary& vocabulary) {
  std::vector<std::uint32_t> words(vocabulary.mask_words(), ~std::uint32_t{0});
  constraint.mask(words);
  std::vector<bool> bits(vocabulary.num_logits());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = (words[i / 32] >> (i % 32) & 1u) != 0;
  return bits;
}

bool accepts(const LogitConstraint& constraint, const std::string& text) {
  const std::unique_ptr<GrammarConstraint> state = start(constraint);
  for (const char c : text) {
    const TokenId token = static_cast<TokenId>(static_cast<std::uint8_t>(c)) + 1;
    if (!state->allows(token)) return false;
    state->advance(token);
  }
  return state->can_end();
}

// Walks through every sequence of tokens, and holds each mask against the language: a token may
// come when some text of it goes on like that, the end when the text is one.
class BruteForce {
 public:
  BruteForce(const TokenVocabulary& vocabulary, std::set<std::string> language)
      : vocabulary_(vocabulary), language_(std::move(language)) {}

  void check(const GrammarConstraint& state, const std::string& text) {
    if (!seen_.insert(text).second) return;
    const std::vector<bool> mask = mask_of(state, vocabulary_);
    for (TokenId token = 0; token < mask.size(); ++token) {
      const bool is_right = token == kStop ? language_.contains(text) : goes_on(text, token);
      ASSERT_EQ(mask[token], is_right) << "after '" << text << "' token " << token;
      if (!mask[token] || token == kStop) continue;
      const std::unique_ptr<GrammarConstraint> next = start(state);
      next->advance(token);
      check(*next, text + std::string(vocabulary_.bytes(token)));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  std::size_t num_masks() const { return seen_.size(); }

 private:
  bool goes_on(const std::string& text, TokenId token) const {
    if (token >= vocabulary_.num_tokens() || vocabulary_.bytes(token).empty()) return false;
    const std::string longer = text + std::string(vocabulary_.bytes(token));
    const auto found = language_.lower_bound(longer);
    return found != language_.end() && found->starts_with(longer);
  }

  const TokenVocabulary& vocabulary_;
  std::set<std::string> language_;
  std::set<std::string> seen_;
};

std::set<std::string> texts_where(const std::string& alphabet, std::size_t length_max,
                                  const std::function<bool(const std::string&)>& holds) {
  std::set<std::string> found;
  std::vector<std::string> level = {""};
  for (std::size_t length = 0; length <= length_max; ++length) {
    std::vector<std::string> next;
    for (const std::string& text : level) {
      if (holds(text)) found.insert(text);
      for (const char c : alphabet) next.push_back(text + c);
    }
    level = std::move(next);
  }
  return found;
}

TEST(MaskTest, PatternsAllowExactlyWhatBruteForceAllows) {
  const std::string alphabet = "abc";
  std::vector<std::string> texts = letters(alphabet);
  for (const char* more : {"ab", "abc", "ca", "bb", "aaa", "cab", "b", "bca"})
    texts.emplace_back(more);
  const auto vocabulary = vocabulary_of(texts);
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  std::size_t num_masks = 0;
  for (const std::string pattern :
       {"abc", "a{0,3}b?", "(ab|a)(bc|c){1,2}", "(a|b|c){2,4}", "(a?b?c?){2}", "a(b|ca){0,2}a",
        "(aa|a){1,3}", "[^a]{1,3}a?", "(ab?){0,3}c", "(|a|b(|c)){2}"}) {
    const auto constraint = compiler.compile(ConstraintSpec::regex(pattern));
    ASSERT_TRUE(constraint.ok()) << pattern << ": " << constraint.error().message;
    const std::regex oracle(pattern);
    BruteForce brute(*vocabulary, texts_where(alphabet, 7, [&](const std::string& text) {
      return std::regex_match(text, oracle);
    }));
    brute.check(*start(*constraint.value()), "");
    num_masks += brute.num_masks();
    ASSERT_FALSE(HasFatalFailure()) << pattern;
  }
  std::printf("masks held against brute force: %zu of patterns\n", num_masks);
}

TEST(MaskTest, GrammarsAllowExactlyWhatBruteForceAllows) {
  const std::string alphabet = "a()";
  std::vector<std::string> texts = letters(alphabet);
  for (const char* more : {"((", "))", "()", "(a", "a)", ")(", "))(", "aa"})
    texts.emplace_back(more);
  const auto vocabulary = vocabulary_of(texts);
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"root ::= p{0,2} \n p ::= \"(\" q{0,1} \")\" # comment\nq ::= \"(\" \"a\"? \")\"",
       "(\\((\\(a?\\)){0,1}\\)){0,2}"},
      {"root ::= (x | \"a\") y? |\n  \"((\"\nx ::= y y | y\ny ::= [(] \"a\"",
       "((\\(a){1,2}|a)(\\(a)?|\\(\\("},
      {"root ::= . [^(a] \"a\"?", "[a()]\\)a?"}};
  for (const auto& [text, pattern] : cases) {
    const auto grammar = compiler.compile(ConstraintSpec::grammar(text));
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const std::regex oracle(pattern);
    BruteForce brute(*vocabulary, texts_where(alphabet, 10, [&](const std::string& candidate) {
      return std::regex_match(candidate, oracle);
    }));
    brute.check(*start(*grammar.value()), "");
    ASSERT_FALSE(HasFatalFailure()) << text;
  }
}

TEST(MaskTest, RecursionAllowsExactlyWhatBruteForceAllows) {
  // a^n b^n by a rule that calls itself; brute force knows texts of up to 12 characters, so only
  // states of at most 6 characters are held against it.
  const auto vocabulary = vocabulary_of({"a", "b", "aa", "ab", "bb", "aab", "abb", "bbb"});
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint =
      compiler.compile(ConstraintSpec::grammar("root ::= \"a\" root \"b\" | \"ab\" | \"\""));
  ASSERT_TRUE(constraint.ok()) << constraint.error().message;
  std::set<std::string> language;
  for (std::size_t n = 0; n <= 12; ++n) language.insert(std::string(n, 'a') + std::string(n, 'b'));
  Random random(1);
  for (int walk = 0; walk < 200; ++walk) {
    const std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
    std::string text;
    while (text.size() <= 8) {
      const std::vector<bool> mask = mask_of(*state, *vocabulary);
      std::vector<TokenId> allowed;
      for (TokenId token = 1; token < vocabulary->num_tokens(); ++token) {
        const std::string longer = text + std::string(vocabulary->bytes(token));
        const auto found = std::find_if(language.begin(), language.end(),
                                        [&](const auto& one) { return one.starts_with(longer); });
        ASSERT_EQ(mask[token], found != language.end()) << text << " + " << token;
        if (mask[token]) allowed.push_back(token);
      }
      ASSERT_EQ(mask[kStop], language.contains(text)) << text;
      if (allowed.empty()) break;
      const TokenId token = allowed[random.below(allowed.size())];
      state->advance(token);
      text += vocabulary->bytes(token);
    }
  }
}

TEST(MaskTest, LongRepetitionsAreCounted) {
  // Far more than is written out, with a body that may be empty and one of two lengths.
  const auto vocabulary = vocabulary_of({"a", "b", "aa", "aaa", "ab"});
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint =
      compiler.compile(ConstraintSpec::grammar("root ::= (\"a\"?){3,2000} \"b\"{2,1500}"));
  ASSERT_TRUE(constraint.ok()) << constraint.error().message;
  const std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
  for (int i = 0; i < 1999; ++i) state->advance(1);
  EXPECT_TRUE(state->allows(1));
  EXPECT_TRUE(state->allows(5));
  EXPECT_FALSE(state->allows(3));
  state->advance(1);
  EXPECT_FALSE(state->allows(1));
  state->advance(2);
  EXPECT_FALSE(state->can_end());
  for (int i = 1; i < 1500; ++i) state->advance(2);
  EXPECT_TRUE(state->can_end());
  EXPECT_FALSE(state->allows(2));
}

TEST(MaskTest, StopTokensComeExactlyWhereAnAnswerEnds) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint = compiler.compile(ConstraintSpec::choice({"yes", "yesterday"}));
  ASSERT_TRUE(constraint.ok());
  const std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
  for (const char c : std::string("yes")) {
    EXPECT_FALSE(mask_of(*state, *vocabulary)[kStop]);
    state->advance(static_cast<TokenId>(c) + 1);
  }
  std::vector<bool> mask = mask_of(*state, *vocabulary);
  EXPECT_TRUE(mask[kStop]);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 2);
  for (const char c : std::string("terday")) state->advance(static_cast<TokenId>(c) + 1);
  for (int i = 0; i < 3; ++i) {  // It has ended, and stays so.
    mask = mask_of(*state, *vocabulary);
    EXPECT_TRUE(mask[kStop]);
    EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 1);
    state->advance(kStop);
  }
  state->rollback(4);
  EXPECT_TRUE(state->allows(static_cast<TokenId>('y') + 1));
}

TEST(MaskTest, NothingIsReachableThatTheVocabularyCannotFinish) {
  // 'c' is no token: what needs it is cut off, and a grammar that always needs it refused.
  const auto vocabulary = vocabulary_of({"a", "b", "ab"});
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint = compiler.compile(ConstraintSpec::regex("ac|ab|b(c|c+)|a{2}b"));
  ASSERT_TRUE(constraint.ok());
  BruteForce brute(*vocabulary, {"ab", "aab"});
  brute.check(*start(*constraint.value()), "");
  const auto refused = compiler.compile(ConstraintSpec::regex("a*c"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST(MaskTest, SpecialTokensComeOnlyWhereTheyAreNamed) {
  const auto vocabulary = vocabulary_of(all_bytes(), {"<call>", "<pad>"});
  const TokenId call = 257;
  const TokenId pad = 258;
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto text = compiler.compile(ConstraintSpec::regex("[^]{0,20}"));
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_FALSE(start(*text.value())->allows(call));
  const auto named = compiler.compile(
      ConstraintSpec::sequence({ConstraintSpec::token("<call>"), ConstraintSpec::literal("x")}));
  ASSERT_TRUE(named.ok());
  const std::unique_ptr<GrammarConstraint> state = start(*named.value());
  const std::vector<bool> mask = mask_of(*state, *vocabulary);
  EXPECT_TRUE(mask[call]);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 1);
  state->advance(call);
  EXPECT_FALSE(state->allows(pad));
  EXPECT_TRUE(state->allows('x' + 1));
}

// Whatever is drawn, a text ends within its tokens where a text of so few tokens is there at all.
TEST(LimitTest, EveryTextEndsInTime) {
  std::vector<std::string> texts = all_bytes();
  for (const char* more :
       {"name", "\":", "{\"", "\",\"", "[[", "]}", "aaaa", "\\u00", "{\"name\":"}) {
    texts.emplace_back(more);
  }
  const auto vocabulary = vocabulary_of(texts);
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const std::vector<ConstraintSpec> specs = {
      ConstraintSpec::json_object(),
      ConstraintSpec::regex("a{0,3000}b{2}"),
      ConstraintSpec::grammar("root ::= \"(\" root \")\" | \"x\"{3,9} root?"),
      ConstraintSpec::json_schema(R"({"type":"object","properties":{"name":{"type":"string"},
          "list":{"type":"array","items":{"$ref":"#"},"minItems":1}},"required":["name"]})"),
      ConstraintSpec::json_schema(R"({"type":"array","minItems":2000,"items":{"type":"null"}})"),
      ConstraintSpec::free_text({{.text = "<c>", .parts = {ConstraintSpec::json_object()}}})};
  Random random(9);
  for (const ConstraintSpec& spec : specs) {
    const auto constraint = compiler.compile(spec);
    ASSERT_TRUE(constraint.ok()) << constraint.error().message;
    const std::size_t least = spec.text.find("2000") != std::string::npos ? 12'000 : 40;
    for (const std::size_t limit : {least, least + 1, least + 60}) {
      const std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
      state->limit_tokens(limit);
      std::size_t num_tokens = 0;
      for (;; ++num_tokens) {
        ASSERT_LT(num_tokens, limit) << spec.text;
        const std::vector<bool> mask = mask_of(*state, *vocabulary);
        std::vector<TokenId> allowed;
        for (TokenId token = 0; token < mask.size(); ++token) {
          if (mask[token]) allowed.push_back(token);
        }
        ASSERT_FALSE(allowed.empty());
        const TokenId token = allowed[random.below(allowed.size())];
        if (token == kStop) break;
        state->advance(token);
        if (random.chance(0.1)) {
          state->rollback(1);
          state->advance(token);
        }
      }
      EXPECT_TRUE(state->can_end());
    }
  }
}

// Where no answer is that short, the shortest is written; and one that may be cut off is.
TEST(LimitTest, WhatCannotBeFinishedGoesTheShortestWay) {
  const auto vocabulary = vocabulary_of({"a", "b", "c", "ab", "abc"});
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  ConstraintSpec spec = ConstraintSpec::regex("(abc){3}c*");
  const std::unique_ptr<GrammarConstraint> state = start(*MUST(compiler.compile(spec)));
  state->limit_tokens(2);
  std::vector<bool> mask = mask_of(*state, *vocabulary);
  EXPECT_TRUE(mask[5]);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 1);
  spec.at_limit = AtTokenLimit::kCut;
  const std::unique_ptr<GrammarConstraint> cut = start(*MUST(compiler.compile(spec)));
  cut->limit_tokens(2);
  mask = mask_of(*cut, *vocabulary);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), true), 3);
}

// Each state after random steps forward and back has the mask of one that went straight there.
TEST(StateTest, RollbackAndForkLeaveWhatWouldHaveBeen) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint = compiler.compile(ConstraintSpec::json_object());
  ASSERT_TRUE(constraint.ok()) << constraint.error().message;
  Random random(3);
  std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
  std::vector<TokenId> tokens;
  std::size_t num_back = 0;
  for (int step = 0; step < 4000; ++step) {
    if (random.chance(0.1) && !tokens.empty()) {
      const std::size_t most = std::min(tokens.size(), GrammarConstraint::kRollbackTokensMax);
      // After a fork nothing older is taken back.
      const std::size_t count = std::min<std::size_t>(random.between(1, 8), most);
      state->rollback(count);
      tokens.resize(tokens.size() - count);
      num_back += count;
    }
    const std::vector<bool> mask = mask_of(*state, *vocabulary);
    std::vector<TokenId> allowed;
    for (TokenId token = 1; token < mask.size(); ++token) {
      if (mask[token]) allowed.push_back(token);
    }
    if (step % 16 == 0) {
      const std::unique_ptr<GrammarConstraint> fresh = start(*constraint.value());
      for (const TokenId token : tokens) fresh->advance(token);
      ASSERT_EQ(mask, mask_of(*fresh, *vocabulary)) << step;
      ASSERT_EQ(state->can_end(), fresh->can_end());
    }
    if (step % 64 == 63) {
      std::unique_ptr<LogitConstraint> copy = state->fork();
      ASSERT_EQ(mask, mask_of(*copy, *vocabulary));
    }
    if (allowed.empty()) {
      state = start(*constraint.value());
      tokens.clear();
      continue;
    }
    tokens.push_back(allowed[random.below(allowed.size())]);
    state->advance(tokens.back());
  }
  EXPECT_GT(num_back, 100u);
}

// Old states are forgotten again and again; what is left says what a fresh walk says.
TEST(StateTest, ALongTextForgetsWhatCannotBeTakenBack) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto constraint = compiler.compile(ConstraintSpec::json_object());
  ASSERT_TRUE(constraint.ok());
  std::string text = "{\"k\":[";
  for (int i = 0; i < 400; ++i) text += "{\"a\":[1,\"xy\"]},";
  text += "0]}";
  const std::unique_ptr<GrammarConstraint> state = start(*constraint.value());
  const auto token_of = [](char c) {
    return static_cast<TokenId>(static_cast<std::uint8_t>(c)) + 1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    ASSERT_TRUE(mask_of(*state, *vocabulary)[token_of(text[i])]) << i;
    state->advance(token_of(text[i]));
    if (i % 50 != 49) continue;
    const std::vector<bool> before = mask_of(*state, *vocabulary);
    const std::size_t num_back = std::min<std::size_t>(i, GrammarConstraint::kRollbackTokensMax);
    state->rollback(num_back);
    for (std::size_t j = i + 1 - num_back; j <= i; ++j) state->advance(token_of(text[j]));
    ASSERT_EQ(mask_of(*state, *vocabulary), before) << i;
  }
  EXPECT_TRUE(state->can_end());
}

TEST(CompilerTest, EqualSpecsAreCompiledOnce) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompilerOptions options = small_options();
  options.num_cached_max = 2;
  GrammarCompiler compiler(vocabulary, kClock, options);
  const auto first = compiler.compile(ConstraintSpec::regex("a"));
  const auto again = compiler.compile(ConstraintSpec::regex("a"));
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first.value(), again.value());
  for (const char* pattern : {"b", "c", "d"})
    ASSERT_TRUE(compiler.compile(ConstraintSpec::regex(pattern)).ok());
  EXPECT_EQ(compiler.counters().num_cached, 2u);
  EXPECT_EQ(compiler.counters().num_hits, 1u);
  EXPECT_EQ(compiler.counters().num_compiled, 4u);
}

TEST(CompilerTest, MessagesNameThePlace) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const auto message = [&](const ConstraintSpec& spec) {
    const auto result = compiler.compile(spec);
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_EQ(message(ConstraintSpec::regex("a(?=b)")),
            "pattern: look-around is not supported at byte 3");
  EXPECT_EQ(message(ConstraintSpec::grammar("root ::= x")), "grammar: rule 'x' is not defined");
  EXPECT_EQ(message(ConstraintSpec::grammar("root ::= root \"a\" | \"b\"")),
            "rule 'root' begins with itself (left recursion), which cannot be enforced");
  EXPECT_EQ(message(ConstraintSpec::json_schema(
                R"({"properties":{"a":{"contains":{}}},"type":"object"})")),
            "schema at #/properties/a: keyword 'contains' is not supported");
  EXPECT_EQ(message(ConstraintSpec::json_schema(R"({"$ref":"#"})")),
            "schema at #: refers to itself for the same value");
  EXPECT_EQ(message(ConstraintSpec::json_schema(R"({"type":"array","uniqueItems":true})")),
            "schema at #: uniqueItems cannot be enforced");
}

TEST(CompilerTest, ToolCallsAreWrittenAsTheirFormatsHaveThem) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const std::vector<ToolFunction> tools = {
      {.name = "add",
       .parameters = R"({"type":"object","properties":{"x":{"type":"integer"}},)"
                     R"("required":["x"],"additionalProperties":false})"},
      {.name = "now", .parameters = ""}};
  const auto check = [&](const ToolCallOptions& options, const std::string& text, bool is_right) {
    const auto spec = tool_call_spec(tools, options);
    ASSERT_TRUE(spec.ok());
    const auto constraint = compiler.compile(spec.value());
    ASSERT_TRUE(constraint.ok()) << constraint.error().message;
    EXPECT_EQ(accepts(*constraint.value(), text), is_right) << text;
  };
  const std::string call =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 5}}\n</tool_call>";
  check({}, "I will add. " + call + "\n" + call + " Done.", true);
  check({}, "<tool_call>\n{\"name\": \"sub\"", false);
  check({}, "no call < at all", true);
  check({}, call.substr(0, call.size() - 1), false);
  check({.need = ToolCallNeed::kMustCall}, call, true);
  check({.need = ToolCallNeed::kMustCall}, "text " + call, false);
  check({.need = ToolCallNeed::kMustCall, .num_calls_max = 1}, call + "\n" + call, false);
  check({.format = ToolCallFormat::kLlama3}, "{\"name\": \"now\", \"parameters\": {}}", true);
  check({.format = ToolCallFormat::kLlama3}, "{\"name\": \"add\", \"parameters\": {}}", false);
  check({.format = ToolCallFormat::kMistral, .need = ToolCallNeed::kMustCall},
        "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"x\": 1}}, {\"name\": \"now\", "
        "\"arguments\": {}}]",
        true);
}

// The same calls where marks, names and arguments are no JSON.
TEST(CompilerTest, ToolCallsInOtherNotations) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  const std::vector<ToolFunction> tools = {
      {.name = "add",
       .parameters = R"({"type":"object","properties":{"x":{"type":"integer"},"note":{"type":)"
                     R"("string"},"in":{"type":"object"},"ok":{"enum":[true,null,"a"]}},)"
                     R"("required":["x"],"additionalProperties":false})"},
      {.name = "now", .parameters = ""}};
  const auto check = [&](ToolCallFormat format, const std::string& text, bool is_right) {
    const auto spec = tool_call_spec(tools, {.format = format, .need = ToolCallNeed::kMustCall});
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    const auto constraint = compiler.compile(spec.value());
    ASSERT_TRUE(constraint.ok()) << constraint.error().message;
    EXPECT_EQ(accepts(*constraint.value(), text), is_right) << text;
  };
  using Format = ToolCallFormat;
  check(Format::kPythonic, "[add(x=5, note=\"it's\", in={\"k\": [1, None]}, ok=True), now()]",
        true);
  check(Format::kPythonic, "[add(x=5, ok=None)]", true);
  check(Format::kPythonic, "[add(x=5, ok=\"a\")]", true);
  check(Format::kPythonic, "[now(any=\"thing\")]", true);
  check(Format::kPythonic, "[add(x=5, ok=true)]", false);
  check(Format::kPythonic, "[add(note=\"a\")]", false);
  check(Format::kPythonic, "[add(x=5, note=\"\\/\")]", false);
  check(Format::kPythonic, "[add(\"x\": 5)]", false);
  check(Format::kPythonic, "[sub(x=5)]", false);
  check(Format::kLfm, "<|tool_call_start|>[add(x=-1)]<|tool_call_end|>", true);
  check(Format::kGemma, "<|tool_call>call:add{note:<|\"|>it's \"a\"\n<|\"|>,x:5}<tool_call|>",
        true);
  check(Format::kGemma, "<|tool_call>call:add{in:{k:[1,null,<|\"|>t<|\"|>]},x:5}<tool_call|>",
        true);
  check(Format::kGemma, "<|tool_call>call:add{x:5,note:<|\"|>a<|\"|>}<tool_call|>", false);
  check(Format::kGemma, "<|tool_call>call:now{}<tool_call|><|tool_call>call:now{}<tool_call|>",
        true);
  check(Format::kDsml,
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"add\">\n<｜DSML｜parameter name=\"x\" "
        "string=\"false\">3</｜DSML｜parameter>\n<｜DSML｜parameter name=\"note\" "
        "string=\"true\">it's"
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        true);
  check(Format::kDsml,
        "<｜DSML｜tool_calls>\n<｜DSML｜invoke "
        "name=\"add\">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        false);
  check(Format::kMiniCpm, "<function name=\"add\"><param name=\"x\">3</param></function>", true);
  check(
      Format::kSolar,
      "<|tool_calls|><|tool_call:begin|>a1b2c3d4e5<|tool_call:name|>add<|tool_call:args|>{\"x\": 1}"
      "<|tool_call:end|><|calls|>",
      true);
  check(Format::kCommand,
        "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"add\", \"parameters\": "
        "{\"x\": 1}},\n    {\"tool_call_id\": \"1\", \"tool_name\": \"now\", \"parameters\": {}}\n]"
        "<|END_ACTION|>",
        true);
  check(Format::kApertus, "<|tools_prefix|>[{\"add\": {\"x\": 1}}, {\"now\": {}}]<|tools_suffix|>",
        true);
  check(Format::kGigaChat, "<|function_call|>{\"name\": \"now\", \"arguments\": {}}", true);
  check(Format::kGigaChat, "function call<|role_sep|>\n{\"name\": \"now\", \"arguments\": {}}",
        true);

  // The quote is a token where the vocabulary has it; then texts may hold what it looks like.
  const auto quoted = vocabulary_of(all_bytes(), {"<|\"|>"});
  GrammarCompiler with_quote(quoted, kClock, small_options());
  const auto gemma = with_quote.compile(
      MUST(tool_call_spec(tools, {.format = Format::kGemma, .need = ToolCallNeed::kMustCall})));
  ASSERT_TRUE(gemma.ok());
  const std::unique_ptr<GrammarConstraint> state = start(*gemma.value());
  const auto write = [&](const std::string& text) {
    for (const char c : text) {
      const auto token = static_cast<TokenId>(static_cast<std::uint8_t>(c)) + 1;
      ASSERT_TRUE(state->allows(token)) << c;
      state->advance(token);
    }
  };
  write("<|tool_call>call:add{note:");
  EXPECT_FALSE(state->allows('<' + 1));
  ASSERT_TRUE(state->allows(257));
  state->advance(257);
  write("a <|\"|> b");
  state->advance(257);
  write(",x:5}<tool_call|>");
  EXPECT_TRUE(state->can_end());

  // What has no place there is refused by name.
  const auto refusal = [&](Format format, const std::string& parameters) {
    const auto spec = tool_call_spec({{.name = "f", .parameters = parameters}},
                                     {.format = format, .need = ToolCallNeed::kMustCall});
    if (!spec.ok()) return spec.error().message;
    const auto constraint = compiler.compile(spec.value());
    return constraint.ok() ? std::string() : constraint.error().message;
  };
  EXPECT_NE(refusal(Format::kLfm, R"({"properties":{"a b":{}}})").find("'a b'"), std::string::npos);
  // Inside of a value the arguments' own schema is one of a value.
  const auto nested = compiler.compile(MUST(tool_call_spec(
      {{.name = "f", .parameters = R"({"properties":{"a":{"$ref":"#"}},"type":"object"})"}},
      {.format = Format::kPythonic, .need = ToolCallNeed::kMustCall})));
  ASSERT_TRUE(nested.ok());
  EXPECT_TRUE(accepts(*nested.value(), "[f(a={\"a\": {\"b\": 1}})]"));
  EXPECT_FALSE(accepts(*nested.value(), "[f(a=(a=1))]"));
}

// Each of these has to be refused, or compiled and walked, within the limits.
TEST(BombTest, HostileSpecsStopWithinTheLimits) {
  const auto vocabulary = vocabulary_of(all_bytes());
  GrammarCompiler compiler(vocabulary, kClock, small_options());
  std::string deep_ref = R"({"$defs":{)";
  for (int i = 0; i < 5000; ++i) {
    deep_ref +=
        "\"d" + std::to_string(i) + R"(":{"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"},";
  }
  deep_ref += R"("d5000":{"type":"null"}},"$ref":"#/$defs/d0"})";
  std::string wide_enum = R"({"enum":[)";
  for (int i = 0; i < 100'000; ++i) wide_enum += "\"v" + std::to_string(i * 7919) + "\",";
  wide_enum += "0]}";
  std::string branches = R"({"allOf":[)";
  for (int i = 0; i < 20; ++i) {
    branches += R"({"anyOf":[{"minLength":)" + std::to_string(i) + R"(},{"maxLength":)" +
                std::to_string(100 - i) + "}]},";
  }
  branches += "true]}";
  std::string chain;
  for (int i = 0; i < 20'000; ++i) {
    chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "? \"x\"?\n";
  }
  const std::vector<std::pair<std::string, ConstraintSpec>> bombs = {
      {"nested quantifiers", ConstraintSpec::regex("((((a{1,99}){1,99}){1,99}){1,99}){1,99}")},
      {"exponential pattern", ConstraintSpec::regex("(a|b)*a(a|b){30}")},
      {"pattern in a schema", ConstraintSpec::json_schema(R"({"pattern":"(x+x+)+y{1000}{1000}"})")},
      {"huge minItems", ConstraintSpec::json_schema(R"({"minItems":4000000000})")},
      {"huge maxLength", ConstraintSpec::json_schema(R"({"maxLength":4000000000})")},
      {"maxLength with pattern",
       ConstraintSpec::json_schema(R"({"pattern":"a","maxLength":400000000})")},
      {"long chain of $ref", ConstraintSpec::json_schema(deep_ref)},
      {"enum of 100,000", ConstraintSpec::json_schema(wide_enum)},
      {"2^20 branches", ConstraintSpec::json_schema(branches)},
      {"recursive items",
       ConstraintSpec::json_schema(R"({"items":{"$ref":"#"},"type":"array","minItems":1})")},
      {"chain of rules", ConstraintSpec::grammar("root ::= r0\n" + chain + "r20000 ::= \"y\"")},
      {"ambiguous counts",
       ConstraintSpec::grammar("root ::= ((\"a\" | \"aa\"){0,5000} \"a\"?){0,5000}")},
      {"2^n ways", ConstraintSpec::grammar(
                       "root ::= a a\na ::= b b | b\nb ::= c c | c\nc ::= d d | d\nd ::= e e | e\n"
                       "e ::= f f | f\nf ::= g g | g\ng ::= (\"x\" | \"xx\"){0,3000} root?")},
      {"deep groups", ConstraintSpec::regex(std::string(10'000, '(') + std::string(10'000, ')'))},
      {"deep JSON", ConstraintSpec::json_schema(std::string(100'000, '['))},
      {"multipleOf", ConstraintSpec::json_schema(R"({"multipleOf":123456789123})")},
  };
  for (const auto& [name, spec] : bombs) {
    const TimePoint begin = kClock.now();
    const auto result = compiler.compile(spec);
    const double compiled = seconds(kClock.now() - begin);
    EXPECT_LT(compiled, 20.0) << name;
    double slowest = 0;
    if (result.ok()) {
      const std::unique_ptr<GrammarConstraint> state = start(*result.value());
      for (int i = 0; i < 200; ++i) {
        const TimePoint before = kClock.now();
        const std::vector<bool> mask = mask_of(*state, *vocabulary);
        slowest = std::max(slowest, seconds(kClock.now() - before));
        const auto allowed = std::find(mask.begin(), mask.end(), true);
        ASSERT_NE(allowed, mask.end()) << name << " " << i;
        const auto last = std::find(mask.rbegin(), mask.rend(), true);
        state->advance(static_cast<TokenId>(mask.rend() - last - 1));
      }
      EXPECT_LT(slowest, 20.0) << name;
    }
    std::printf("%-24s %7.1f ms, slowest mask %6.2f ms: %s\n", name.c_str(), compiled * 1e3,
                slowest * 1e3,
                result.ok() ? "compiled" : result.error().message.substr(0, 90).c_str());
  }
}

}  // namespace
}  // namespace millrace
