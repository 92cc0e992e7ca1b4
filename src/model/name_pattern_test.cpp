// Patterns of module names: what Python's re says, and what is refused.
#include "model/name_pattern.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

struct Row {
  const char* pattern;
  const char* text;
  bool is_match;  // as re.fullmatch says
};

TEST(NamePattern, MatchesLikePython) {
  const Row rows[] = {
      {"", "", true},
      {"", "a", false},
      {"q_proj", "q_proj", true},
      {"q_proj", "q_projx", false},
      {"a.c", "abc", true},
      {"a\\.c", "abc", false},
      {"a\\.c", "a.c", true},
      {".*q_proj", "model.layers.0.q_proj", true},
      {".*\\.layers\\.[01]\\.(self_attn\\.(?:q|k)_proj|mlp\\.down_proj)",
       "model.layers.1.self_attn.k_proj", true},
      {".*\\.layers\\.[01]\\.(self_attn\\.(?:q|k)_proj|mlp\\.down_proj)",
       "model.layers.2.self_attn.k_proj", false},
      {"(a|ab)(c|bcd)(d*)", "abcd", true},
      {"a*?b+?c??", "aabb", true},
      {"(a*)*", "aaaa", true},
      {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
      {"(|a)b", "b", true},
      {"^ab$", "ab", true},
      {"a^b", "ab", false},
      {"a$b", "ab", false},
      {"[^a-c]x", "dx", true},
      {"[^a-c]x", "bx", false},
      {"[]a]+", "]a", true},
      {"[a-]", "-", true},
      {"[\\d_]+", "12_3", true},
      {"\\d\\D\\w\\W\\s\\S", "1a_- x", true},
      {"layers\\.\\d+", "layers.31", true},
  };
  for (const Row& row : rows) {
    const Result<NamePattern> pattern = NamePattern::parse(row.pattern);
    ASSERT_TRUE(pattern.ok()) << row.pattern << ": " << pattern.error().message;
    EXPECT_EQ(pattern.value().matches(row.text), row.is_match) << row.pattern << " " << row.text;
  }
}

TEST(NamePattern, MatchesEndsAfterADot) {
  const NamePattern plain = MUST(NamePattern::parse("q_proj|k_proj"));  // valid
  EXPECT_TRUE(plain.matches_end("q_proj"));
  EXPECT_TRUE(plain.matches_end("model.layers.0.k_proj"));
  EXPECT_FALSE(plain.matches_end("model.xq_proj"));
  EXPECT_FALSE(plain.matches_end("model.q_proj.x"));
  const NamePattern whole = MUST(NamePattern::parse("^model.q"));  // valid
  EXPECT_TRUE(whole.matches_end("model.q"));
  EXPECT_FALSE(whole.matches_end("a.model.q"));
}

TEST(NamePattern, RefusesWhatItCannotReadByName) {
  const std::pair<const char*, const char*> rows[] = {
      {"a{2}", "pattern 'a{2}' uses counted repetition, which is not supported"},
      {"(?=a)", "pattern '(?=a)' uses a group that begins with (?, which is not supported"},
      {"(a)\\1", "pattern '(a)\\1' uses \\1, which is not supported"},
      {"(a", "pattern '(a' has a ( without its )"},
      {"a)", "pattern 'a)' has a ) without its ("},
      {"[a", "pattern '[a' has a [ without its ]"},
      {"[", "pattern '[' has a [ without its ]"},
      {"[b-a]", "pattern '[b-a]' has a range that ends before it begins"},
      {"*a", "pattern '*a' repeats nothing"},
      {"a**", "pattern 'a**' repeats a repetition"},
      {"a\\", "pattern 'a\\' ends in a backslash"},
  };
  for (const auto& [pattern, message] : rows) {
    const Result<NamePattern> parsed = NamePattern::parse(pattern);
    ASSERT_FALSE(parsed.ok()) << pattern;
    EXPECT_EQ(parsed.error().message, message);
  }
  EXPECT_EQ(NamePattern::parse(std::string(5000, 'a')).error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(NamePattern::parse(std::string(100, '(') + std::string(100, ')')).ok());
}

}  // namespace
}  // namespace millrace
