// Times mask() and advance() over random texts of some schemas, first with an empty cache of masks
// and then with what the first texts left in it, and prints a line of JSON for each schema.
//
//   constrain_bench FOLDER_OR_TOKENIZER_JSON [TEXTS]
#include <time.h>

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

ConstraintSpec schema(const char* text) {
  return ConstraintSpec::json_schema(text);
}

// A kind of schema each: what is typical, and what once was slow.
std::vector<Case> cases() {
  std::vector<Case> found = {
      {"any object", ConstraintSpec::json_object()},
      {"flat record", schema(R"({"type":"object","properties":{"name":{"type":"string"},
           "age":{"type":"integer"},"email":{"type":"string","format":"email"},"tags":{"type":
           "array","items":{"type":"string"},"maxItems":5}},"required":["name","age","email",
           "tags"],"additionalProperties":false})")},
      {"optional properties", schema(R"({"type":"object","properties":{"id":{"type":"integer"},
           "title":{"type":"string"},"price":{"type":"number"},"in_stock":{"type":"boolean"},
           "colour":{"enum":["red","green","blue","black"]},"notes":{"type":["string","null"]}},
           "required":["id","price"],"additionalProperties":false})")},
      {"bounded strings", schema(R"({"type":"object","properties":{"title":{"type":"string",
           "maxLength":80},"body":{"type":"string","maxLength":2000}},"required":["title","body"],
           "additionalProperties":false})")},
      {"bounded arrays", schema(R"({"type":"object","properties":{"rows":{"type":"array",
           "minItems":3,"maxItems":200,"items":{"type":"array","minItems":2,"maxItems":2,"items":
           {"type":"number","minimum":-90,"maximum":90}}},"words":{"type":"array","maxItems":40,
           "items":{"type":"string","minLength":1,"maxLength":20}}},"required":["rows","words"],
           "additionalProperties":false})")},
      {"union of records", schema(R"({"type":"array","minItems":3,"maxItems":20,"items":{"oneOf":[
           {"type":"object","properties":{"kind":{"const":"text"},"value":{"type":"string"}},
           "required":["kind","value"],"additionalProperties":false},
           {"type":"object","properties":{"kind":{"const":"number"},"value":{"type":"number"}},
           "required":["kind","value"],"additionalProperties":false}]}})")},
      {"recursive tree", schema(R"({"$defs":{"node":{"type":"object","properties":{"name":{"type":
           "string"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":
           ["name","children"],"additionalProperties":false}},"$ref":"#/$defs/node"})")},
      {"patterns and formats", schema(R"({"type":"object","properties":{"code":{"type":"string",
           "pattern":"^[A-Z]{3}-[0-9]{4}$"},"when":{"type":"string","format":"date-time"},"slug":
           {"type":"string","pattern":"^[a-z0-9]+(-[a-z0-9]+)*$","maxLength":60},"free":{"type":
           "string","pattern":"a.*b"}},"required":["code","when","slug","free"],
           "additionalProperties":false})")},
      {"open object", schema(R"({"type":"object","properties":{"id":{"type":"string"}},"required":
           ["id"],"additionalProperties":{"type":["string","number","boolean"]}})")},
      {"pattern", ConstraintSpec::regex("([A-Z][a-z]{2,9} ){2,12}[0-9]{3}-[0-9]{4}")},
      {"any text", ConstraintSpec::regex("[^]*")},
  };
  std::string many = R"({"enum":[)";
  for (int i = 0; i < 1000; ++i) many += "\"value " + std::to_string(i * 7919) + "\",";
  found.push_back({"enum of 1,001", ConstraintSpec::json_schema(many + "0]}")});
  return found;
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

// Processor time of this thread, so that other programs do not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// One text; adds the microseconds of each token's mask and advance.
void write_text(const LogitConstraint& constraint, const TokenVocabulary& vocabulary,
                Random& random, std::vector<double>& masks, std::vector<double>& advances) {
  const std::unique_ptr<LogitConstraint> state = constraint.fork();
  std::vector<std::uint32_t> mask(vocabulary.mask_words());
  for (std::size_t i = 0; i < kTokensMax; ++i) {
    std::fill(mask.begin(), mask.end(), ~std::uint32_t{0});
    const double begin = cpu_seconds();
    state->mask(mask);
    masks.push_back(1e6 * (cpu_seconds() - begin));
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < vocabulary.num_tokens(); ++token) {
      const bool is_allowed = (mask[token / 32] >> (token % 32) & 1u) != 0;
      if (is_allowed && !vocabulary.bytes(token).empty()) allowed.push_back(token);
    }
    if (allowed.empty()) return;
    const TokenId token = allowed[random.below(allowed.size())];
    const double before = cpu_seconds();
    state->advance(token);
    advances.push_back(1e6 * (cpu_seconds() - before));
  }
}

Status measure(const std::string& path, std::size_t num_texts) {
  const SystemClock clock;
  const Tokenizer tokenizer = TRY(load(path));
  const double begin = cpu_seconds();
  const auto vocabulary = TRY(TokenVocabulary::create(tokenizer, tokenizer.num_tokens()));
  const double build_seconds = cpu_seconds() - begin;
  GrammarCompiler compiler(vocabulary, clock);
  for (const Case& one : cases()) {
    const std::uint64_t bytes_before = compiler.counters().cached_bytes;
    const double start = cpu_seconds();
    const auto constraint = TRY(compiler.compile(one.spec));
    const double compile_seconds = cpu_seconds() - start;
    Random random(5);
    std::vector<double> cold, warm, advances;
    for (std::size_t i = 0; i < num_texts; ++i) {
      write_text(*constraint, *vocabulary, random, i < num_texts / 2 ? cold : warm, advances);
    }
    const OrderedJson line = {{"bench", "constrain"},
                              {"case", one.name},
                              {"vocabulary", vocabulary->num_tokens()},
                              {"trie_nodes", vocabulary->trie().nodes().size()},
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
                              {"masks", warm.size()},
                              {"tables_bytes", compiler.counters().cached_bytes - bytes_before},
                              {"vocabulary_bytes", vocabulary->memory_bytes()}};
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
