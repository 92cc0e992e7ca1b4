// Sweeps over a row of logits, written so that a compiler can put them in vectors.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/token_id.h"

namespace millrace {

struct LogitPeak {
  float value = 0;
  TokenId token = 0;  // the lowest id that has the value
};
// The largest of `logits`; nothing when one is NaN or +inf, or when all are -inf.
std::optional<LogitPeak> find_peak(std::span<const float> logits);

// weights[t] = exp((scores[t] - max) * factor), 0 where that is below 2^-125. Scores are at most
// `max`, which is finite; factor > 0. Relative error below 2^-21 for exponents above -20, growing
// with the exponent's size by its rounding, |exponent| * 2^-24.
void exp_weights(std::span<const float> scores, float max, float factor, std::span<float> weights);

// log(sum_t exp(logits[t])), with the largest of them given.
double log_sum_exp(std::span<const float> logits, float max);

}  // namespace millrace
