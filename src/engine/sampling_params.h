// The knobs of drawing one token, with the names that OpenAI's and the open servers' APIs use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"

namespace millrace {

struct LogitBias {
  TokenId token = 0;
  float bias = 0;
};

// How many alternatives a client may ask for per token; OpenAI's limit.
inline constexpr std::size_t kTopLogprobsMax = 20;

// Applied in this order to the model's logits x (sampler.h has the formulas): min_tokens and
// logit_bias, repetition, frequency and presence penalty, temperature, min_p, top_k, top_p.
struct SamplingParams {
  float temperature = 1.0f;  // 0 to 100; 0 takes the likeliest, lowest id on ties
  std::optional<std::uint32_t> top_k = std::nullopt;  // at least 1
  float top_p = 1.0f;                                 // above 0, at most 1; 1 keeps all
  float min_p = 0.0f;                                 // 0 to 1; 0 keeps all
  float repetition_penalty = 1.0f;                    // above 0, at most 100; 1 is off
  float presence_penalty = 0.0f;                      // -100 to 100; 0 is off
  float frequency_penalty = 0.0f;                     // -100 to 100; 0 is off
  std::vector<LogitBias> logit_bias = {};             // at most kLogitBiasesMax, each -100 to 100
  // Equal seeds give equal texts; drawn by the engine when absent.
  std::optional<std::uint64_t> seed = std::nullopt;
  // 0 to kTopLogprobsMax; absent: no log-probabilities at all.
  std::optional<std::uint32_t> top_logprobs = std::nullopt;
};

inline constexpr std::size_t kLogitBiasesMax = 4096;

// kInvalidArgument naming the field, what was found and what is allowed.
Status check_sampling(const SamplingParams& params, std::size_t vocabulary);

}  // namespace millrace
