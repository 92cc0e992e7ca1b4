// Processing and drawing without a full sort and without allocation.
#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/checked.h"
#include "base/random.h"
#include "engine/logit_math.h"

namespace millrace {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::uint32_t kSeenBit = 1u << 31;  // above any count of tokens
constexpr std::size_t kDrawBlock = 512;
constexpr std::size_t kMaskBits = 32;

bool changes_logits(const Request& request, std::size_t num_generated) {
  const SamplingParams& params = request.sampling;
  return num_generated < request.min_tokens || !params.logit_bias.empty() ||
         params.repetition_penalty != 1.0f || params.frequency_penalty != 0.0f ||
         params.presence_penalty != 0.0f;
}

// The `count` largest, likeliest first, lower ids first on ties.
void find_top(std::span<const float> logits, double log_sum, std::span<TokenLogprob> top) {
  std::size_t num_found = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (num_found == top.size() && logits[i] <= top.back().logprob) continue;
    std::size_t at = num_found < top.size() ? num_found++ : top.size() - 1;
    while (at > 0 && top[at - 1].logprob < logits[i]) {
      top[at] = top[at - 1];
      --at;
    }
    top[at] = {static_cast<TokenId>(i), logits[i]};
  }
  for (TokenLogprob& entry : top) {
    entry.logprob = static_cast<float>(double{entry.logprob} - log_sum);
  }
}

struct HeavierFirst {
  template <class Candidate>
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  }
};

}  // namespace

Sampler::Sampler(std::size_t vocabulary)
    : scores_(vocabulary),
      weights_(vocabulary),
      seen_(vocabulary, 0),
      allowed_(ceil_div(vocabulary, kMaskBits)) {
  CHECK(vocabulary > 0);
  candidates_.reserve(vocabulary);
}

std::uint64_t Sampler::scratch_bytes(std::size_t vocabulary) {
  return std::uint64_t{vocabulary} *
             (2 * sizeof(float) + sizeof(std::uint32_t) + sizeof(Candidate)) +
         ceil_div(vocabulary, kMaskBits) * sizeof(std::uint32_t);
}

SampledToken Sampler::sample(std::span<const float> logits, const Request& request,
                             const TokenHistory& tokens, std::span<TokenLogprob> top,
                             const LogitConstraint* constraint) {
  CHECK(logits.size() == scores_.size());
  CHECK(tokens.size() >= request.prompt.size());
  const SamplingParams& params = request.sampling;
  const std::optional<LogitPeak> raw_peak = find_peak(logits);
  if (!raw_peak) return {.outcome = SampleOutcome::kBadLogits};

  LogitPeak peak = *raw_peak;
  const bool is_changed =
      constraint != nullptr || changes_logits(request, tokens.size() - request.prompt.size());
  std::span<const float> scores = logits;
  if (is_changed) {
    std::copy(logits.begin(), logits.end(), scores_.begin());
    process(request, tokens);
    if (constraint != nullptr) apply_constraint(*constraint);
    std::optional<LogitPeak> processed = find_peak(scores_);
    if (!processed && constraint != nullptr) {
      allow_end(logits, request);
      processed = find_peak(scores_);
    }
    if (!processed) return {.outcome = SampleOutcome::kNoCandidate};
    peak = *processed;
    scores = scores_;
  }

  SampledToken sampled{.outcome = SampleOutcome::kToken, .token = peak.token};
  if (params.temperature > 0) sampled.token = draw(scores, peak.value, params, tokens.size());
  if (params.top_logprobs) {
    CHECK(*params.top_logprobs <= top.size());
    const double log_sum = log_sum_exp(logits, raw_peak->value);
    sampled.logprob = static_cast<float>(double{logits[sampled.token]} - log_sum);
    sampled.num_top = *params.top_logprobs;
    if (sampled.num_top > 0) find_top(logits, log_sum, top.first(sampled.num_top));
  }
  return sampled;
}

// Last, so that no bias brings back what the grammar forbids.
void Sampler::apply_constraint(const LogitConstraint& constraint) {
  std::fill(allowed_.begin(), allowed_.end(), ~std::uint32_t{0});
  constraint.mask(allowed_);
  for (std::size_t i = 0; i < scores_.size(); ++i) {
    const bool is_allowed = (allowed_[i / kMaskBits] >> (i % kMaskBits) & 1u) != 0;
    if (!is_allowed) scores_[i] = kMinusInfinity;
  }
}

// An answer that can only end does, however few tokens min_tokens finds in it.
void Sampler::allow_end(std::span<const float> logits, const Request& request) {
  for (const TokenId stop : request.stop_ids) {
    const bool is_allowed = (allowed_[stop / kMaskBits] >> (stop % kMaskBits) & 1u) != 0;
    if (is_allowed) scores_[stop] = logits[stop];
  }
}

void Sampler::process(const Request& request, const TokenHistory& tokens) {
  if (tokens.size() - request.prompt.size() < request.min_tokens) {
    for (const TokenId stop : request.stop_ids) scores_[stop] = kMinusInfinity;
  }
  for (const LogitBias& bias : request.sampling.logit_bias) scores_[bias.token] += bias.bias;
  penalize(request, tokens);
}

// Each distinct token is changed once; seen_ holds its count among the generated ones meanwhile.
void Sampler::penalize(const Request& request, const TokenHistory& tokens) {
  const SamplingParams& params = request.sampling;
  const bool counts = params.frequency_penalty != 0.0f || params.presence_penalty != 0.0f;
  if (!counts && params.repetition_penalty == 1.0f) return;
  for (std::size_t i = request.prompt.size(); i < tokens.size(); ++i) ++seen_[tokens[i]];
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenId token = tokens[i];
    const std::uint32_t count = seen_[token];
    if ((count & kSeenBit) != 0) continue;
    seen_[token] = count | kSeenBit;
    float& score = scores_[token];
    score = score > 0 ? score / params.repetition_penalty : score * params.repetition_penalty;
    if (count == 0) continue;
    score -= params.frequency_penalty * static_cast<float>(count) + params.presence_penalty;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) seen_[tokens[i]] = 0;
}

TokenId Sampler::draw(std::span<const float> scores, float max, const SamplingParams& params,
                      std::size_t position) {
  CHECK(params.seed.has_value());
  // A temperature so small that its inverse overflows draws the largest like temperature 0.
  const float factor = std::min(1.0f / params.temperature, std::numeric_limits<float>::max());
  exp_weights(scores, max, factor, weights_);
  if (params.min_p > 0) {
    for (float& weight : weights_) weight = weight < params.min_p ? 0.0f : weight;
  }
  const double u = uniform01({.seed = *params.seed, .request = 0, .position = position});
  const bool sorts = params.top_p < 1.0f || (params.top_k && *params.top_k < weights_.size());
  return sorts ? draw_by_weight(params, u) : draw_by_id(u);
}

TokenId Sampler::draw_by_id(double u) const {
  const auto block_sum = [&](std::size_t begin) {
    double sum = 0;
    const std::size_t end = std::min(begin + kDrawBlock, weights_.size());
    for (std::size_t i = begin; i < end; ++i) sum += double{weights_[i]};
    return sum;
  };
  double mass = 0;
  for (std::size_t begin = 0; begin < weights_.size(); begin += kDrawBlock) {
    mass += block_sum(begin);
  }
  // The same sums in the same order, so the walk arrives where the mass says.
  double rest = u * mass;
  std::size_t last_block = 0;
  for (std::size_t begin = 0; begin < weights_.size(); begin += kDrawBlock) {
    const double sum = block_sum(begin);
    if (sum > 0) last_block = begin;
    if (rest < sum) break;
    rest -= sum;
  }
  std::size_t last = last_block;
  const std::size_t end = std::min(last_block + kDrawBlock, weights_.size());
  for (std::size_t i = last_block; i < end; ++i) {
    if (weights_[i] <= 0) continue;
    last = i;
    if (rest < double{weights_[i]}) break;
    rest -= double{weights_[i]};
  }
  return static_cast<TokenId>(last);
}

TokenId Sampler::draw_by_weight(const SamplingParams& params, double u) {
  const double mass = collect_candidates(params);
  const double kept_mass = params.top_p < 1.0f ? keep_top_p(double{params.top_p} * mass) : mass;
  CHECK(!candidates_.empty());
  double rest = u * kept_mass;
  for (const Candidate& candidate : candidates_) {
    if (rest < double{candidate.weight}) return candidate.token;
    rest -= double{candidate.weight};
  }
  return candidates_.back().token;  // Rounding ate the last of the mass.
}

// Fills candidates_ with all that top_k and top_p can keep and not many more, and gives the mass
// that top_p is a share of. A histogram of the weights' binary exponents finds the octave in which
// the cut lies, so that only what is above it is ever compared; at 151,936 tokens that leaves
// hundreds. With top_k the candidates are exactly the k largest, in order.
double Sampler::collect_candidates(const SamplingParams& params) {
  constexpr std::size_t kExponents = 128;  // weights are at most 1, whose exponent field is 127
  constexpr std::uint32_t kMantissaBits = 23;
  std::array<std::uint32_t, kExponents> counts{};
  std::array<double, kExponents> masses{};
  for (const float weight : weights_) {
    const std::uint32_t exponent = std::bit_cast<std::uint32_t>(weight) >> kMantissaBits;
    ++counts[exponent];
    masses[exponent] += double{weight};
  }
  const double mass = std::accumulate(masses.begin(), masses.end(), 0.0);
  std::size_t cut = kExponents - 1;
  std::size_t num_above = counts[cut];
  double mass_above = masses[cut];
  const auto is_enough = [&] {
    return params.top_k ? num_above >= *params.top_k : mass_above >= double{params.top_p} * mass;
  };
  while (cut > 1 && !is_enough()) {
    --cut;
    num_above += counts[cut];
    mass_above += masses[cut];
  }

  candidates_.clear();
  const float least = std::bit_cast<float>(static_cast<std::uint32_t>(cut) << kMantissaBits);
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] >= least) candidates_.push_back({weights_[i], static_cast<TokenId>(i)});
  }
  if (!params.top_k) return mass;
  const std::size_t num_kept = std::min<std::size_t>(*params.top_k, candidates_.size());
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(num_kept);
  if (num_kept < candidates_.size()) {
    std::nth_element(candidates_.begin(), end, candidates_.end(), HeavierFirst{});
  }
  std::sort(candidates_.begin(), end, HeavierFirst{});
  candidates_.resize(num_kept);
  double kept_mass = 0;
  for (const Candidate& candidate : candidates_) kept_mass += double{candidate.weight};
  return kept_mass;
}

// Cuts candidates_ to the shortest run of the heaviest that reaches `mass`, sorting no more
// than it looks at, and gives the mass of the run.
double Sampler::keep_top_p(double mass) {
  constexpr std::size_t kFirstRun = 64;
  constexpr std::size_t kGrowth = 4;
  double sum = 0;
  std::size_t num_sorted = 0;
  for (std::size_t wanted = kFirstRun; num_sorted < candidates_.size(); wanted *= kGrowth) {
    const std::size_t run_end = std::min(wanted, candidates_.size());
    const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(num_sorted);
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(run_end);
    if (run_end < candidates_.size()) {
      std::nth_element(begin, end, candidates_.end(), HeavierFirst{});
    }
    std::sort(begin, end, HeavierFirst{});
    for (; num_sorted < run_end; ++num_sorted) {
      sum += double{candidates_[num_sorted].weight};
      if (sum < mass) continue;
      candidates_.resize(num_sorted + 1);
      return sum;
    }
  }
  return sum;
}

TokenScore score_token(std::span<const float> logits, TokenId token, std::span<TokenLogprob> top) {
  CHECK(token < logits.size());
  const std::optional<LogitPeak> peak = find_peak(logits);
  if (!peak) {
    std::fill(top.begin(), top.end(), TokenLogprob{});
    return {.logprob = std::numeric_limits<float>::quiet_NaN()};
  }
  const double log_sum = log_sum_exp(logits, peak->value);
  const float own = logits[token];
  TokenScore score{.logprob = static_cast<float>(double{own} - log_sum)};
  for (std::size_t i = 0; i < logits.size(); ++i) {
    score.rank += logits[i] > own || (logits[i] == own && i < token) ? 1 : 0;
  }
  if (!top.empty()) find_top(logits, log_sum, top);
  return score;
}

}  // namespace millrace
