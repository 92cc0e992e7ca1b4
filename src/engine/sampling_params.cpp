// Limits of every sampling parameter.
#include "engine/sampling_params.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace millrace {
namespace {

constexpr float kTemperatureMax = 100.0f;
constexpr float kPenaltyMax = 100.0f;
constexpr float kBiasMax = 100.0f;

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

// Written so that a NaN fails.
Status check_range(const char* name, float value, float min, float max) {
  if (value >= min && value <= max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string(name) + " is " + number(value) +
                                                ", expected " + number(min) + " to " + number(max)};
}

Status check_above_zero(const char* name, float value, float max) {
  if (value > 0 && value <= max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, std::string(name) + " is " + number(value) +
                                                ", expected above 0 and at most " + number(max)};
}

Status check_biases(const std::vector<LogitBias>& biases, std::size_t vocabulary) {
  if (biases.size() > kLogitBiasesMax) {
    return Error{ErrorCode::kTooLarge, "logit_bias has " + std::to_string(biases.size()) +
                                           " entries, at most " + std::to_string(kLogitBiasesMax) +
                                           " are allowed"};
  }
  for (const LogitBias& bias : biases) {
    if (bias.token >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   "logit_bias names token " + std::to_string(bias.token) +
                       ", the vocabulary has " + std::to_string(vocabulary)};
    }
    TRY(check_range("logit_bias", bias.bias, -kBiasMax, kBiasMax));
  }
  return Ok{};
}

}  // namespace

Status check_sampling(const SamplingParams& params, std::size_t vocabulary) {
  TRY(check_range("temperature", params.temperature, 0, kTemperatureMax));
  TRY(check_above_zero("top_p", params.top_p, 1));
  TRY(check_range("min_p", params.min_p, 0, 1));
  TRY(check_above_zero("repetition_penalty", params.repetition_penalty, kPenaltyMax));
  TRY(check_range("presence_penalty", params.presence_penalty, -kPenaltyMax, kPenaltyMax));
  TRY(check_range("frequency_penalty", params.frequency_penalty, -kPenaltyMax, kPenaltyMax));
  if (params.top_k == 0u) {
    return Error{ErrorCode::kInvalidArgument, "top_k is 0, expected at least 1"};
  }
  const std::size_t top_max = std::min(kTopLogprobsMax, vocabulary);
  if (params.top_logprobs && *params.top_logprobs > top_max) {
    return Error{ErrorCode::kInvalidArgument, "top_logprobs is " +
                                                  std::to_string(*params.top_logprobs) +
                                                  ", expected 0 to " + std::to_string(top_max)};
  }
  return check_biases(params.logit_bias, vocabulary);
}

}  // namespace millrace
