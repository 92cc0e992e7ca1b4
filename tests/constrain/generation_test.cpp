// A thousand generations over fifty schemas with real vocabularies: each parses and validates.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/file.h"
#include "constrain/constrain_support.h"
#include "constrain/json_validator.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "support/shared_data.h"
#include "text/utf8.h"

namespace millrace {
namespace {

Tokenizer load(const std::string& path) {
  if (!path.ends_with(".json")) {
    return MUST(Tokenizer::create(MUST(load_tokenizer_spec(shared_data(path)))));  // published
  }
  const Json json = MUST(read_json_file(shared_data(path)));               // published
  return MUST(Tokenizer::create(MUST(parse_tokenizer_json(json, path))));  // published
}

void generate_with(const std::string& path, std::size_t num_each) {
  MILLRACE_NEEDS_SHARED_DATA(path);
  const SystemClock clock;
  const Tokenizer tokenizer = load(path);
  const auto vocabulary = TokenVocabulary::create(tokenizer, tokenizer.num_tokens());
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  GrammarCompiler compiler(vocabulary.value(), clock);
  RandomWriter writer(*vocabulary.value(), 11);
  // Required fields, nesting, enumerations, bounded arrays, patterns, formats, unions, recursion.
  const std::string file = MUST(read_file(MILLRACE_SCHEMAS, 1 << 20));         // beside this
  const OrderedJson schemas = MUST(parse_ordered_json(file, "schemas.json"));  // ours
  std::size_t num_valid = 0;
  std::size_t num_tokens = 0;
  double compile_seconds = 0;
  for (const OrderedJson& schema : schemas) {
    const std::string text = schema.dump();
    const TimePoint begin = clock.now();
    const auto constraint = compiler.compile(ConstraintSpec::json_schema(text));
    compile_seconds += seconds(clock.now() - begin);
    ASSERT_TRUE(constraint.ok()) << text << "\n" << constraint.error().message;
    for (std::size_t i = 0; i < num_each; ++i) {
      const Walk walk = writer.write(*constraint.value(), 250);
      num_tokens += walk.num_tokens;
      ASSERT_TRUE(walk.has_ended) << text << "\n" << walk.text;
      const auto value = parse_ordered_json(walk.text, "answer");
      ASSERT_TRUE(value.ok()) << text << "\n" << walk.text << "\n" << value.error().message;
      ASSERT_TRUE(is_valid_json(schema, value.value())) << text << "\n" << walk.text;
      ++num_valid;
    }
  }
  std::printf(
      "%s: %zu schemas, %zu generations of %zu tokens, all of them valid; compiled in %.1f ms "
      "each\n",
      path.c_str(), schemas.size(), num_valid, num_tokens,
      1e3 * compile_seconds / static_cast<double>(schemas.size()));
  EXPECT_EQ(num_valid, num_each * schemas.size());
}

// Token by token: the mask, which takes many at once, against reading each by itself.
TEST(GenerationTest, MasksAreWhatReadingEachTokenSays) {
  const std::string path = "tokenizers/llama2-hf";
  MILLRACE_NEEDS_SHARED_DATA(path);
  const SystemClock clock;
  const Tokenizer tokenizer = load(path);
  const auto vocabulary = MUST(TokenVocabulary::create(tokenizer, tokenizer.num_tokens()));
  GrammarCompiler compiler(vocabulary, clock);
  const std::string file = MUST(read_file(MILLRACE_SCHEMAS, 1 << 20));  // beside this
  std::vector<ConstraintSpec> specs = {ConstraintSpec::regex("[^x]{3,9}x.{0,40}"),
                                       ConstraintSpec::regex("(?:.{2}|[^]{3,})y"),
                                       ConstraintSpec::regex("[a-z ]*[^\"\\\\]{1,5}")};
  for (const OrderedJson& schema : MUST(parse_ordered_json(file, "schemas.json"))) {
    specs.push_back(ConstraintSpec::json_schema(schema.dump()));
  }
  Random random(23);
  std::size_t num_masks = 0;
  std::vector<std::uint32_t> mask(vocabulary->mask_words());
  for (const ConstraintSpec& spec : specs) {
    const auto state = first_state(*MUST(compiler.compile(spec)));  // as in the tests above
    for (int step = 0; step < 24; ++step) {
      std::fill(mask.begin(), mask.end(), ~0u);
      state->mask(mask);
      std::vector<TokenId> allowed;
      const bool is_checked = random.chance(0.12);
      for (TokenId token = 0; token < vocabulary->num_tokens(); ++token) {
        const bool is_allowed = (mask[token / 32] >> (token % 32) & 1u) != 0;
        if (is_allowed && !vocabulary->bytes(token).empty()) allowed.push_back(token);
        if (!is_checked) continue;
        ASSERT_EQ(is_allowed, state->allows(token)) << spec.text << " " << token;
      }
      num_masks += is_checked ? 1 : 0;
      if (allowed.empty()) break;
      state->advance(allowed[random.below(allowed.size())]);
    }
  }
  std::printf("masks held against reading all %zu tokens: %zu\n", vocabulary->num_tokens(),
              num_masks);
}

TEST(GenerationTest, Gpt2) {
  generate_with("tokenizers/gpt2/gpt2_tokenizer.json", 8);
}
TEST(GenerationTest, Llama2) {
  generate_with("tokenizers/llama2-hf", 8);
}
TEST(GenerationTest, Qwen2) {
  generate_with("tokenizers/qwen2", 4);
}
TEST(GenerationTest, Llama3) {
  generate_with("tokenizers/llama3", 4);
}

}  // namespace
}  // namespace millrace
