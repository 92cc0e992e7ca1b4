// Vocabularies for tests of grammars, and reading and writing texts against a constraint.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "constrain/grammar_compiler.h"
#include "constrain/grammar_constraint.h"

namespace millrace {

// Token 0 ends a text, token b + 1 is the byte b.
inline std::shared_ptr<const TokenVocabulary> byte_vocabulary() {
  std::vector<VocabularyToken> tokens = {{.bytes = "</s>", .is_special = true}};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  }
  const std::vector<TokenId> stops = {0};
  return MUST(TokenVocabulary::create(tokens, stops, tokens.size()));  // all bytes and an end
}

inline std::unique_ptr<GrammarConstraint> first_state(const LogitConstraint& constraint) {
  std::unique_ptr<LogitConstraint> copy = constraint.fork();
  return std::unique_ptr<GrammarConstraint>(dynamic_cast<GrammarConstraint*>(copy.release()));
}

// How many bytes of a text fit, by the byte vocabulary; all of them and the end: size + 1.
inline std::size_t num_accepted(const LogitConstraint& constraint, const std::string& text) {
  const std::unique_ptr<GrammarConstraint> state = first_state(constraint);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const TokenId token = static_cast<TokenId>(static_cast<std::uint8_t>(text[i])) + 1;
    if (!state->allows(token)) return i;
    state->advance(token);
  }
  return text.size() + (state->can_end() ? 1 : 0);
}

struct Walk {
  std::string text;
  std::size_t num_tokens = 0;
  bool has_ended = false;
};

// Draws allowed tokens until the end comes. Each walk has weights of its own for the tokens; as it
// goes on, the end and the bytes that close what is open weigh more, so that it comes to one.
inline Walk random_walk(const LogitConstraint& constraint, const TokenVocabulary& vocabulary,
                        std::size_t tokens_max, Random& random) {
  const std::unique_ptr<GrammarConstraint> state = first_state(constraint);
  const std::uint64_t seed = random.next();
  std::vector<std::uint32_t> mask(vocabulary.mask_words());
  Walk walk;
  for (; walk.num_tokens < tokens_max; ++walk.num_tokens) {
    std::fill(mask.begin(), mask.end(), ~std::uint32_t{0});
    state->mask(mask);
    if (state->can_end() && random.chance(walk.num_tokens > 20 ? 0.5 : 0.15)) {
      walk.has_ended = true;
      return walk;
    }
    std::optional<TokenId> best;
    double best_score = -1e9;
    const double pressure = std::min(static_cast<double>(walk.num_tokens) / 30.0, 4.0);
    for (TokenId token = 0; token < vocabulary.num_tokens(); ++token) {
      const std::string_view bytes = vocabulary.bytes(token);
      if ((mask[token / 32] >> (token % 32) & 1u) == 0 || bytes.empty()) continue;
      double score = uniform01({.seed = seed, .request = walk.num_tokens, .position = token});
      const char last = bytes.back();
      if (last == '}' || last == ']') score += pressure;
      if (last == '"') score += pressure / 2;
      if (last == '{' || last == '[' || last == ',') score -= pressure;
      if (score > best_score) {
        best_score = score;
        best = token;
      }
    }
    if (!best) {
      walk.has_ended = state->can_end();
      return walk;
    }
    state->advance(*best);
    walk.text += vocabulary.bytes(*best);
  }
  return walk;
}

}  // namespace millrace
