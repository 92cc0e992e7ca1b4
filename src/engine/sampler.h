// Logits to one token: processing, drawing, log-probabilities.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "engine/request.h"
#include "engine/step.h"

namespace millrace {

// The prompt and what was generated; the last token may lie apart from the others.
class TokenHistory {
 public:
  TokenHistory() = default;
  TokenHistory(std::span<const TokenId> tokens) : tokens_(tokens) {}     // NOLINT: is one
  TokenHistory(const std::vector<TokenId>& tokens) : tokens_(tokens) {}  // NOLINT: is one

  // One more behind the others.
  void set_last(TokenId token) { last_ = token; }

  std::size_t size() const { return tokens_.size() + (last_ ? 1 : 0); }
  TokenId operator[](std::size_t at) const { return at < tokens_.size() ? tokens_[at] : *last_; }

 private:
  std::span<const TokenId> tokens_;
  std::optional<TokenId> last_;
};

// One thread at a time: a step has one sampler per rank. Holds scratch for one row; sample() never
// allocates and depends on nothing but its arguments, so a token is the same in any batch.
//
// From the model's logits x[V] to a token, in this order:
//
//   1. log-probabilities   log softmax(x), before anything is changed, as OpenAI and vLLM report
//   2. min_tokens          x[s] = -inf for every stop token while fewer have been generated
//   3. logit_bias          x[t] += bias
//   4. repetition_penalty  x[t] = x[t] > 0 ? x[t] / r : x[t] * r   for t in prompt or generated
//                          (Keskar et al. 2019, arXiv:1909.05858, section 4.1, with the sign rule
//                          that Hugging Face added)
//   5. frequency, presence x[t] -= frequency * count(t) + presence * [count(t) > 0], over generated
//                          tokens only (OpenAI's definition as vLLM reads it)
//   6. temperature         0: the largest x, lowest id on ties, and nothing below applies;
//                          else p[t] ∝ exp((x[t] - max x) / temperature)
//   7. min_p               drops p[t] < min_p * max p (Nguyen et al. 2024, arXiv:2407.01082)
//   8. top_k               keeps the k largest, lower ids first on ties
//   9. top_p               keeps the shortest run of largest p that reaches top_p of what 7 and 8
//                          left (Holtzman et al. 2019, arXiv:1904.09751)
//  10. draw                inverse of the cumulated p at uniform01(seed, position): by id when 8
//  and 9
//                          are off, by falling p when not
class Sampler {
 public:
  explicit Sampler(std::size_t vocabulary);

  // `logits` [V]; `tokens` the prompt and what was generated, whose number is the position that is
  // drawn. The request has passed checked_request and has a seed. Alternatives go to `top`, which
  // has room for kTopLogprobsMax.
  // A constraint, where there is one, leaves the tokens that it allows; where those are stop tokens
  // alone, min_tokens and logit_bias do not keep the end back.
  SampledToken sample(std::span<const float> logits, const Request& request,
                      const TokenHistory& tokens, std::span<TokenLogprob> top,
                      const LogitConstraint* constraint = nullptr);

  // Bytes of scratch that a sampler for such a vocabulary holds.
  static std::uint64_t scratch_bytes(std::size_t vocabulary);

 private:
  struct Candidate {
    float weight = 0;
    TokenId token = 0;
  };

  void process(const Request& request, const TokenHistory& tokens);
  void apply_constraint(const LogitConstraint& constraint);
  void allow_end(std::span<const float> logits, const Request& request);
  void penalize(const Request& request, const TokenHistory& tokens);
  TokenId draw(std::span<const float> scores, float max, const SamplingParams& params,
               std::size_t position);
  TokenId draw_by_id(double u) const;
  TokenId draw_by_weight(const SamplingParams& params, double u);
  double collect_candidates(const SamplingParams& params);
  double keep_top_p(double mass);

  std::vector<float> scores_;           // [V] processed logits
  std::vector<float> weights_;          // [V] exp((score - max) / temperature)
  std::vector<std::uint32_t> seen_;     // [V] zero between calls
  std::vector<std::uint32_t> allowed_;  // a bit per token
  std::vector<Candidate> candidates_;   // up to V
};

// The log-probability of a token by a row of logits [V] as they are, how many tokens are at least
// as likely, it included (lower ids first on ties), and the likeliest ones. NaN for a row with a
// NaN.
struct TokenScore {
  float logprob = 0;
  std::uint32_t rank = 1;
};
TokenScore score_token(std::span<const float> logits, TokenId token, std::span<TokenLogprob> top);

}  // namespace millrace
