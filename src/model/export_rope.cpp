// Rope scaling as config.json has it.
#include "model/export_rope.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "model/export_checks.h"

namespace millrace {
namespace {

// Whether the parameters of `candidate` divide frequencies as the file's divisors do. The divisors
// were rounded to float once, after a computation in float or double: a few units of 2^-24.
bool gives_divisors(const RopeSpec& candidate, const std::vector<double>& divisors) {
  constexpr double kRelativeMax = 8.0 * 0x1.0p-24;
  RopeSpec plain = candidate;
  plain.scaling = RopeScaling::kNone;
  const std::vector<double> unscaled = inverse_frequencies(plain);
  const std::vector<double> scaled = inverse_frequencies(candidate);
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    // The ramp amplifies rounding of the frequency by at most the factor itself.
    const double tolerance = kRelativeMax * candidate.factor * divisors[i];
    if (std::fabs(unscaled[i] / scaled[i] - divisors[i]) > tolerance) return false;
  }
  return true;
}

// The factor is the divisor of the slowest frequency; the original context is a power of two in
// every published model; low and high are 1 and 4 in all of them.
std::optional<RopeSpec> find_llama3(const RopeSpec& rope) {
  RopeSpec candidate = rope;
  candidate.frequency_divisors.clear();
  candidate.scaling = RopeScaling::kLlama3;
  candidate.low_frequency_factor = 1.0;
  candidate.high_frequency_factor = 4.0;
  candidate.factor =
      *std::max_element(rope.frequency_divisors.begin(), rope.frequency_divisors.end());
  for (double original = 16.0; original <= static_cast<double>(kContextMax); original *= 2.0) {
    candidate.original_context = original;
    if (gives_divisors(candidate, rope.frequency_divisors)) return candidate;
  }
  return std::nullopt;
}

OrderedJson llama3_json(const RopeSpec& rope) {
  OrderedJson scaling;
  scaling["rope_type"] = "llama3";
  scaling["factor"] = json_number(rope.factor);
  scaling["low_freq_factor"] = json_number(rope.low_frequency_factor);
  scaling["high_freq_factor"] = json_number(rope.high_frequency_factor);
  scaling["original_max_position_embeddings"] = static_cast<std::uint64_t>(rope.original_context);
  return scaling;
}

OrderedJson yarn_json(const RopeSpec& rope) {
  OrderedJson scaling;
  scaling["rope_type"] = "yarn";
  scaling["factor"] = json_number(rope.factor);
  scaling["original_max_position_embeddings"] = static_cast<std::uint64_t>(rope.original_context);
  const double temperature = rope.factor > 1.0 ? 0.1 * std::log(rope.factor) + 1.0 : 1.0;
  if (rope.attention_factor != temperature) {
    scaling["attention_factor"] = json_number(rope.attention_factor);
  }
  constexpr double kBetaFast = 32.0;
  constexpr double kBetaSlow = 1.0;
  if (rope.beta_fast != kBetaFast) scaling["beta_fast"] = json_number(rope.beta_fast);
  if (rope.beta_slow != kBetaSlow) scaling["beta_slow"] = json_number(rope.beta_slow);
  return scaling;
}

Result<OrderedJson> scaling_json(const RopeSpec& rope) {
  switch (rope.scaling) {
    case RopeScaling::kNone:
      return OrderedJson(nullptr);
    case RopeScaling::kLinear: {
      OrderedJson scaling;
      scaling["rope_type"] = "linear";
      scaling["factor"] = json_number(rope.factor);
      return scaling;
    }
    case RopeScaling::kLlama3:
      return llama3_json(rope);
    case RopeScaling::kYarn:
      return yarn_json(rope);
    case RopeScaling::kDynamic:
    case RopeScaling::kLongrope:
      return cannot_hold("config.json", "rope scaling by the length of the context");
  }
  CHECK(false);
}

}  // namespace

OrderedJson json_number(double number) {
  const auto narrow = static_cast<float>(number);
  if (static_cast<double>(narrow) != number) return number;
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), narrow).ptr;
  double shortest = number;
  std::from_chars(text.data(), end, shortest);
  return shortest;
}

Status add_rope_config(const RopeSpec& rope, OrderedJson& config) {
  config["rope_theta"] = json_number(rope.base);
  if (rope.frequency_divisors.empty()) {
    config["rope_scaling"] = TRY(scaling_json(rope));
    return Ok{};
  }
  const std::optional<RopeSpec> llama3 =
      rope.scaling == RopeScaling::kNone ? find_llama3(rope) : std::nullopt;
  if (!llama3) {
    return cannot_hold("config.json",
                       "the frequency factors of rope_freqs.weight: they are those "
                       "of no llama3 scaling");
  }
  config["rope_scaling"] = llama3_json(*llama3);
  return Ok{};
}

}  // namespace millrace
