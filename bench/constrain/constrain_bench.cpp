// Times mask() and advance() over random texts of some schemas, first with an empty cache of masks
// and then with what the first texts left in it, and prints a line of JSON for each schema.
//
//   constrain_bench FOLDER_OR_TOKENIZER_JSON [TEXTS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "constrain/grammar_compiler.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

constexpr std::size_t kTokensMax = 400;

struct Case {
  const char* name;
  ConstraintSpec spec;
};

std::vector<Case> cases() {
  return {
      {"any object", ConstraintSpec::json_object()},
      {"flat record",
       ConstraintSpec::json_schema(
           R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},
           "email":{"type":"string","format":"email"},"tags":{"type":"array","items":
           {"type":"string"},"maxItems":5}},"required":["name","age","email","tags"],
           "additionalProperties":false})")},
      {"bounded strings",
       ConstraintSpec::json_schema(
           R"({"type":"object","properties":{"title":{"type":"string","maxLength":80},
           "body":{"type":"string","maxLength":2000}},"required":["title","body"],
           "additionalProperties":false})")},
      {"union of records", ConstraintSpec::json_schema(
                               R"({"type":"array","minItems":3,"maxItems":20,"items":{"oneOf":[
           {"type":"object","properties":{"kind":{"const":"text"},"value":{"type":"string"}},
           "required":["kind","value"],"additionalProperties":false},
           {"type":"object","properties":{"kind":{"const":"number"},"value":{"type":"number"}},
           "required":["kind","value"],"additionalProperties":false}]}})")},
      {"pattern", ConstraintSpec::regex("([A-Z][a-z]{2,9} ){2,12}[0-9]{3}-[0-9]{4}")},
  };
}

Result<Tokenizer> load(const std::string& path) {
  if (is_directory(path)) return Tokenizer::create(TRY(load_tokenizer_spec(path)));
  return Tokenizer::create(TRY(parse_tokenizer_json(TRY(read_json_file(path)), path)));
}

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto index = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1));
  return values[index];
}

// One text; adds the microseconds of each token's mask and advance.
void write_text(const LogitConstraint& constraint, const TokenVocabulary& vocabulary,
                Random& random, std::vector<double>& masks, std::vector<double>& advances) {
  const SystemClock clock;
  const std::unique_ptr<LogitConstraint> state = constraint.fork();
  std::vector<std::uint32_t> mask(vocabulary.mask_words());
  for (std::size_t i = 0; i < kTokensMax; ++i) {
    std::fill(mask.begin(), mask.end(), ~std::uint32_t{0});
    const TimePoint begin = clock.now();
    state->mask(mask);
    masks.push_back(1e6 * seconds(clock.now() - begin));
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < vocabulary.num_tokens(); ++token) {
      const bool is_allowed = (mask[token / 32] >> (token % 32) & 1u) != 0;
      if (is_allowed && !vocabulary.bytes(token).empty()) allowed.push_back(token);
    }
    if (allowed.empty()) return;
    const TokenId token = allowed[random.below(allowed.size())];
    const TimePoint before = clock.now();
    state->advance(token);
    advances.push_back(1e6 * seconds(clock.now() - before));
  }
}

Status measure(const std::string& path, std::size_t num_texts) {
  const SystemClock clock;
  const Tokenizer tokenizer = TRY(load(path));
  const TimePoint begin = clock.now();
  const auto vocabulary = TRY(TokenVocabulary::create(tokenizer, tokenizer.num_tokens()));
  const double build_seconds = seconds(clock.now() - begin);
  GrammarCompiler compiler(vocabulary, clock);
  for (const Case& one : cases()) {
    const TimePoint start = clock.now();
    const auto constraint = TRY(compiler.compile(one.spec));
    const double compile_seconds = seconds(clock.now() - start);
    Random random(5);
    std::vector<double> cold, warm, advances;
    for (std::size_t i = 0; i < num_texts; ++i) {
      write_text(*constraint, *vocabulary, random, i < num_texts / 2 ? cold : warm, advances);
    }
    const OrderedJson line = {{"bench", "constrain"},
                              {"case", one.name},
                              {"vocabulary", vocabulary->num_tokens()},
                              {"trie_nodes", vocabulary->nodes().size()},
                              {"trie_build_ms", 1e3 * build_seconds},
                              {"compile_ms", 1e3 * compile_seconds},
                              {"first_texts_mask_us_p50", quantile(cold, 0.5)},
                              {"first_texts_mask_us_p99", quantile(cold, 0.99)},
                              {"first_texts_mask_us_max", quantile(cold, 1.0)},
                              {"mask_us_p50", quantile(warm, 0.5)},
                              {"mask_us_p99", quantile(warm, 0.99)},
                              {"mask_us_max", quantile(warm, 1.0)},
                              {"advance_us_p50", quantile(advances, 0.5)},
                              {"advance_us_p99", quantile(advances, 0.99)},
                              {"masks", warm.size()}};
    std::printf("%s\n", line.dump().c_str());
  }
  return Ok{};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "constrain_bench FOLDER_OR_TOKENIZER_JSON [TEXTS]\n");
    return 2;
  }
  const std::size_t num_texts = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 40;
  const millrace::Status status = millrace::measure(argv[1], num_texts);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}
