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

// Draws allowed tokens until the end comes, which the constraint knows to be near. The end and the
// tokens that close what is open weigh more as a text goes on.
class RandomWriter {
 public:
  RandomWriter(const TokenVocabulary& vocabulary, std::uint64_t seed)
      : vocabulary_(vocabulary), random_(seed), mask_(vocabulary.mask_words()) {
    for (TokenId token = 0; token < vocabulary.num_tokens(); ++token) {
      const std::string_view bytes = vocabulary.bytes(token);
      if (!bytes.empty() && bytes.size() <= 2 && closes(bytes)) closers_.push_back(token);
    }
  }

  Walk write(const LogitConstraint& constraint, std::size_t tokens_max) {
    const std::unique_ptr<GrammarConstraint> state = first_state(constraint);
    state->limit_tokens(tokens_max);
    Walk walk;
    for (; walk.num_tokens < tokens_max; ++walk.num_tokens) {
      std::fill(mask_.begin(), mask_.end(), ~std::uint32_t{0});
      state->mask(mask_);
      if (state->can_end() && random_.chance(walk.num_tokens > 20 ? 0.5 : 0.15)) break;
      const std::optional<TokenId> token = draw(walk.num_tokens);
      if (!token) break;
      state->advance(*token);
      walk.text += vocabulary_.bytes(*token);
    }
    walk.has_ended = state->can_end() && walk.num_tokens < tokens_max;
    return walk;
  }

 private:
  static bool closes(std::string_view bytes) {
    return bytes.back() == '"' || bytes.back() == '}' || bytes.back() == ']';
  }
  bool is_allowed(TokenId token) const { return (mask_[token / 32] >> (token % 32) & 1u) != 0; }

  // The best of some that are allowed.
  std::optional<TokenId> draw(std::size_t num_tokens) {
    constexpr std::size_t kNumDrawn = 8;
    allowed_.clear();
    for (TokenId token = 0; token < vocabulary_.num_tokens(); ++token) {
      if (mask_[token / 32] == 0) {
        token |= 31;
      } else if (is_allowed(token) && !vocabulary_.bytes(token).empty()) {
        allowed_.push_back(token);
      }
    }
    if (allowed_.empty()) return std::nullopt;
    std::optional<TokenId> best;
    double best_score = 0;
    const double pressure = std::min(static_cast<double>(num_tokens) / 30.0, 4.0);
    const auto consider = [&](TokenId token) {
      const char last = vocabulary_.bytes(token).back();
      double score = random_.uniform();
      if (last == '}' || last == ']') score += pressure;
      if (last == '"') score += pressure / 2;
      if (last == '{' || last == '[' || last == ',') score -= pressure;
      if (best && score <= best_score) return;
      best = token;
      best_score = score;
    };
    for (std::size_t i = 0; i < kNumDrawn; ++i) {
      consider(allowed_[random_.below(allowed_.size())]);
    }
    if (!random_.chance(std::min(pressure, 0.8))) return best;
    for (const TokenId token : closers_) {
      if (is_allowed(token)) consider(token);
    }
    return best;
  }

  const TokenVocabulary& vocabulary_;
  Random random_;
  std::vector<std::uint32_t> mask_;
  std::vector<TokenId> closers_;
  std::vector<TokenId> allowed_;
};

}  // namespace millrace
