// What every fuzz target of constraints does with a spec: compile, walk, and hold the promises.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "constrain/grammar_compiler.h"
#include "constrain/grammar_constraint.h"

namespace millrace {

inline std::shared_ptr<const TokenVocabulary> fuzz_vocabulary() {
  std::vector<VocabularyToken> tokens = {{.bytes = "</s>", .is_special = true}};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  }
  for (const char* text : {"\":", "{\"", "\"}", "ab", "aa", "10", ", ", "\\u00", "true", "]}"}) {
    tokens.push_back({.bytes = text});
  }
  tokens.push_back({.bytes = "<call>", .is_special = true});
  const std::vector<TokenId> stops = {0};
  return MUST(TokenVocabulary::create(tokens, stops, tokens.size()));  // all bytes and an end
}

inline GrammarCompilerOptions fuzz_options() {
  GrammarCompilerOptions options;
  options.limits = {.spec_bytes_max = 1 << 14,
                    .num_expressions_max = 20'000,
                    .num_states_max = 5'000,
                    .pattern_states_max = 500,
                    .compile_time_max = std::chrono::milliseconds(500)};
  options.num_cached_max = 0;
  options.mask_cache_bytes = 1 << 16;
  return options;
}

// Steps along allowed tokens that the input chooses; a token may always come, what is taken back
// leaves the mask that was, and each allowed token can be advanced over.
inline void fuzz_constraint(const ConstraintSpec& spec, const std::uint8_t* choices,
                            std::size_t num_choices) {
  static const SystemClock clock;
  static GrammarCompiler compiler(fuzz_vocabulary(), clock, fuzz_options());
  const auto result = compiler.compile(spec);
  if (!result.ok()) {
    CHECK(!result.error().message.empty());
    return;
  }
  constexpr std::size_t kStepsMax = 48;
  const TokenVocabulary& vocabulary = compiler.vocabulary();
  const std::unique_ptr<LogitConstraint> state = result.value()->fork();
  // Some with few tokens to go, some with enough, some without a limit.
  if (num_choices % 3 != 0)
    state->limit_tokens(num_choices % 3 == 1 ? num_choices % 24 : kStepsMax);
  std::vector<std::uint32_t> mask(vocabulary.mask_words());
  std::vector<std::uint32_t> again(vocabulary.mask_words());
  for (std::size_t i = 0; i < std::min(num_choices, kStepsMax); ++i) {
    std::fill(mask.begin(), mask.end(), ~0u);
    state->mask(mask);
    std::vector<TokenId> allowed;
    for (TokenId token = 0; token < vocabulary.num_logits(); ++token) {
      if ((mask[token / 32] >> (token % 32) & 1u) != 0) allowed.push_back(token);
    }
    CHECK(!allowed.empty());
    state->advance(allowed[(choices[i] * 31u) % allowed.size()]);
    state->rollback(1);
    std::fill(again.begin(), again.end(), ~0u);
    state->mask(again);
    CHECK(mask == again);
    state->advance(allowed[choices[i] % allowed.size()]);
  }
}

}  // namespace millrace
