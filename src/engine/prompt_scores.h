// How likely each token of a prompt was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/token_id.h"

namespace millrace {

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

// Of a request that asks for it: entry i is of token i + 1, given those before it. Shared by the
// sequence, into which steps write until the prompt has been computed, and the streams of all of
// its choices, whose clients read it once they have a token or an end: the streams' locks lie
// between.
struct PromptScores {
  PromptScores(std::size_t num_prompt, std::size_t num_alternatives)
      : num_top(num_alternatives),
        logprobs(num_prompt - 1),
        ranks(num_prompt - 1),
        top((num_prompt - 1) * num_alternatives) {}

  const std::size_t num_top;
  std::vector<float> logprobs;
  std::vector<std::uint32_t> ranks;  // 1: no token was likelier
  std::vector<TokenLogprob> top;     // num_top of each, likeliest first
};

}  // namespace millrace
