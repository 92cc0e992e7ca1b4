// Sampler: exact order of processing, distributions against enumeration, and rows that are broken.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "engine/logit_math.h"

namespace millrace {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t vocabulary, std::uint64_t seed, double spread = 3.0) {
  Random random(seed);
  std::vector<float> logits(vocabulary);
  for (float& logit : logits) logit = static_cast<float>(spread * random.normal());
  return logits;
}

// The plain definition in double: the probabilities from which a token is drawn, zero for those
// that are dropped. Sorts everything and shares no code with the sampler.
std::vector<double> enumerate(const std::vector<float>& logits, const Request& request,
                              const std::vector<TokenId>& tokens) {
  const SamplingParams& params = request.sampling;
  std::vector<double> x(logits.begin(), logits.end());
  const std::size_t num_prompt = request.prompt.size();
  if (tokens.size() - num_prompt < request.min_tokens) {
    for (const TokenId stop : request.stop_ids) x[stop] = -kInfinity;
  }
  for (const LogitBias& bias : params.logit_bias) x[bias.token] += double{bias.bias};
  for (std::size_t t = 0; t < x.size(); ++t) {
    const auto begin = tokens.begin();
    const auto is_t = [t](TokenId token) { return token == t; };
    const auto generated = begin + static_cast<std::ptrdiff_t>(num_prompt);
    if (std::any_of(begin, tokens.end(), is_t)) {
      x[t] = x[t] > 0 ? x[t] / double{params.repetition_penalty}
                      : x[t] * double{params.repetition_penalty};
    }
    const auto count = std::count_if(generated, tokens.end(), is_t);
    x[t] -= double{params.frequency_penalty} * static_cast<double>(count);
    if (count > 0) x[t] -= double{params.presence_penalty};
  }
  const double max = *std::max_element(x.begin(), x.end());
  std::vector<double> p(x.size());
  for (std::size_t t = 0; t < x.size(); ++t)
    p[t] = std::exp((x[t] - max) / double{params.temperature});
  for (double& value : p) {
    if (value < double{params.min_p}) value = 0;  // The largest is 1.
  }
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p[a] > p[b]; });
  if (params.top_k) {
    for (std::size_t i = *params.top_k; i < order.size(); ++i) p[order[i]] = 0;
  }
  if (params.top_p < 1.0f) {
    const double mass = std::accumulate(p.begin(), p.end(), 0.0);
    double sum = 0;
    for (const std::size_t t : order) {
      if (sum >= double{params.top_p} * mass) p[t] = 0;
      sum += p[t];
    }
  }
  const double mass = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& value : p) value /= mass;
  return p;
}

struct Row {
  Request request;
  std::vector<TokenId> tokens;
};

Row make_row(const SamplingParams& params, std::vector<TokenId> prompt = {0},
             const std::vector<TokenId>& generated = {}) {
  Row row;
  row.request.sampling = params;
  if (!row.request.sampling.seed) row.request.sampling.seed = 1;
  row.request.prompt = prompt;
  row.request.max_tokens = 1000;
  row.tokens = std::move(prompt);
  row.tokens.insert(row.tokens.end(), generated.begin(), generated.end());
  return row;
}

SampledToken sample_once(const std::vector<float>& logits, const Row& row) {
  Sampler sampler(logits.size());
  std::array<TokenLogprob, kTopLogprobsMax> top;
  return sampler.sample(logits, row.request, row.tokens, top);
}

// Draws with many seeds and compares counts with expectations by Pearson's statistic. Cells with
// fewer than five expected draws are pooled. The bound is that of a chance of about 1e-6 (Wilson &
// Hilferty 1931: chi^2 ≈ n (1 - 2/9n + z sqrt(2/9n))^3 with z = 4.75).
void expect_distribution(const std::vector<float>& logits, Row row, std::size_t num_draws) {
  const std::vector<double> p = enumerate(logits, row.request, row.tokens);
  Sampler sampler(logits.size());
  std::vector<std::size_t> counts(logits.size(), 0);
  std::array<TokenLogprob, kTopLogprobsMax> top;
  for (std::size_t i = 0; i < num_draws; ++i) {
    row.request.sampling.seed = i;
    const SampledToken token = sampler.sample(logits, row.request, row.tokens, top);
    ASSERT_EQ(token.outcome, SampleOutcome::kToken);
    ASSERT_GT(p[token.token], 0.0) << "token " << token.token << " should have been dropped";
    ++counts[token.token];
  }
  double statistic = 0;
  double pooled_expected = 0;
  double pooled_count = 0;
  double num_cells = 0;
  const auto add_cell = [&](double expected, double count) {
    statistic += (count - expected) * (count - expected) / expected;
    num_cells += 1;
  };
  for (std::size_t t = 0; t < p.size(); ++t) {
    const double expected = p[t] * static_cast<double>(num_draws);
    if (expected >= 5) {
      add_cell(expected, static_cast<double>(counts[t]));
    } else {
      pooled_expected += expected;
      pooled_count += static_cast<double>(counts[t]);
    }
  }
  if (pooled_expected >= 5) add_cell(pooled_expected, pooled_count);
  if (num_cells < 2) return;  // One outcome: the check of dropped tokens has said it all.
  const double freedom = num_cells - 1;
  const double c = 2.0 / (9.0 * freedom);
  const double bound = freedom * std::pow(1.0 - c + 4.75 * std::sqrt(c), 3.0);
  EXPECT_LT(statistic, bound) << num_cells << " cells";
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdOnTies) {
  const Row row = make_row({.temperature = 0});
  EXPECT_EQ(sample_once({1, 3, 2, 3}, row).token, 1u);
  EXPECT_EQ(sample_once({-1, -1, -1}, row).token, 0u);
  EXPECT_EQ(sample_once({-kInfinity, -5}, row).token, 1u);
  std::vector<float> many(1000, 0.5f);
  many[777] = many[999] = 0.75f;
  EXPECT_EQ(sample_once(many, row).token, 777u);
}

TEST(Sampler, BrokenLogitsAreAnOutcomeAndNoCrash) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float temperature : {0.0f, 1.0f}) {
    for (const std::size_t at : {0u, 15u, 16u, 99u}) {
      for (const float bad : {nan, -nan, kInfinity}) {
        std::vector<float> logits(100, 1.0f);
        logits[at] = bad;
        EXPECT_EQ(sample_once(logits, make_row({.temperature = temperature, .top_k = 5})).outcome,
                  SampleOutcome::kBadLogits);
      }
    }
    const std::vector<float> none(40, -kInfinity);
    EXPECT_EQ(sample_once(none, make_row({.temperature = temperature})).outcome,
              SampleOutcome::kBadLogits);
  }
}

TEST(Sampler, NoCandidateLeftIsAnOutcome) {
  Row row = make_row({.temperature = 1});
  row.request.min_tokens = 1;
  row.request.stop_ids = {0, 1, 2};
  EXPECT_EQ(sample_once({1, 2, 3}, row).outcome, SampleOutcome::kNoCandidate);
  row.request.stop_ids = {0, 2};
  EXPECT_EQ(sample_once({1, 2, 3}, row).token, 1u);
  row.tokens.push_back(1);  // one was generated, so stops are allowed again
  row.request.sampling.temperature = 0;
  EXPECT_EQ(sample_once({1, 2, 3}, row).token, 2u);
}

TEST(Sampler, PenaltiesMatchValuesByHand) {
  // Prompt {0, 1}, generated {1, 2, 2}; repetition 2, frequency 0.5, presence 0.25:
  //   0: 4 / 2 = 2                           in the prompt only
  //   1: 4 / 2 - 0.5 * 1 - 0.25 = 1.25
  //   2: -1 * 2 - 0.5 * 2 - 0.25 = -3.25
  //   3: 1.5                                 untouched
  Row row = make_row({.temperature = 0,
                      .repetition_penalty = 2,
                      .presence_penalty = 0.25f,
                      .frequency_penalty = 0.5f},
                     {0, 1}, {1, 2, 2});
  const std::vector<float> logits = {4, 4, -1, 1.5f};
  const auto wins_at = [&](TokenId token, float bias) {
    row.request.sampling.logit_bias = {{token, bias}};
    return sample_once(logits, row).token == token;
  };
  EXPECT_EQ(sample_once(logits, row).token, 0u);
  // Token 1 needs 2.75 + x before halving to pass 2: (4 + b) / 2 - 0.75 > 2  <=>  b > 1.5.
  EXPECT_TRUE(wins_at(1, 1.51f));
  EXPECT_FALSE(wins_at(1, 1.49f));
  // Token 2: (b - 1) / 2 - 1.25 > 2  <=>  b > 7.5, and the sign rule follows the biased value.
  EXPECT_TRUE(wins_at(2, 7.51f));
  EXPECT_FALSE(wins_at(2, 7.49f));
  EXPECT_TRUE(wins_at(3, 0.51f));
  EXPECT_FALSE(wins_at(3, 0.49f));
  // Nothing is left behind for the next row.
  EXPECT_EQ(sample_once({0, 0, 0, 1}, make_row({.temperature = 0})).token, 3u);
}

TEST(Sampler, ScratchIsCleanBetweenRows) {
  const std::vector<float> logits = random_logits(50, 3);
  Sampler used(50);
  std::array<TokenLogprob, kTopLogprobsMax> top;
  const Row penalised =
      make_row({.repetition_penalty = 1.5f, .frequency_penalty = 1}, {1, 2, 3}, {4, 4, 4});
  for (int i = 0; i < 20; ++i) {
    used.sample(logits, penalised.request, penalised.tokens, top);
    Row row = make_row({.repetition_penalty = 1.1f, .presence_penalty = 0.2f}, {7}, {8});
    row.request.sampling.seed = static_cast<std::uint64_t>(i);
    Sampler fresh(50);
    EXPECT_EQ(used.sample(logits, row.request, row.tokens, top).token,
              fresh.sample(logits, row.request, row.tokens, top).token);
  }
}

struct DrawCase {
  const char* name;
  SamplingParams params;
};

class Distribution : public ::testing::TestWithParam<DrawCase> {};

TEST_P(Distribution, EqualsTheEnumeratedOne) {
  for (const std::size_t vocabulary : {1u, 2u, 17u, 700u}) {
    SamplingParams params = GetParam().params;
    if (params.logit_bias.size() > 0 && vocabulary == 1) continue;
    const std::vector<float> logits = random_logits(vocabulary, 11 + vocabulary);
    const auto last = static_cast<TokenId>(vocabulary - 1);
    expect_distribution(logits, make_row(params, {0, last}, {last, last / 2, last}), 20'000);
  }
}

INSTANTIATE_TEST_SUITE_P(
    EveryKnob, Distribution,
    ::testing::Values(
        DrawCase{"Plain", {}}, DrawCase{"Cold", {.temperature = 0.3f}},
        DrawCase{"Hot", {.temperature = 3.0f}}, DrawCase{"TopK", {.top_k = 5}},
        DrawCase{"TopKOfOne", {.top_k = 1}}, DrawCase{"TopKBeyondAll", {.top_k = 5000}},
        DrawCase{"TopP", {.top_p = 0.7f}}, DrawCase{"TopPTiny", {.top_p = 0.001f}},
        DrawCase{"TopPNearOne", {.top_p = 0.9999f}}, DrawCase{"MinP", {.min_p = 0.1f}},
        DrawCase{"MinPOne", {.min_p = 1.0f}},
        DrawCase{"All", {.temperature = 1.7f, .top_k = 40, .top_p = 0.9f, .min_p = 0.02f}},
        DrawCase{"Penalties",
                 {.repetition_penalty = 1.3f, .presence_penalty = 0.4f, .frequency_penalty = 0.7f}},
        DrawCase{"Bias", {.top_p = 0.8f, .logit_bias = {{0, 2.5f}, {1, -100.0f}}}}),
    [](const auto& draw) { return std::string(draw.param.name); });

TEST(Sampler, TiesAtTheCutKeepLowerIds) {
  const std::vector<float> logits = {1, 2, 2, 2, 2, 0};
  expect_distribution(logits, make_row({.top_k = 2}), 2000);  // 1 and 2 only
  expect_distribution(logits, make_row({.top_p = 0.4f}), 2000);
}

// The kept sets of random rows are those of the plain definition, also for large flat rows where
// the cut lies deep.
TEST(Sampler, KeepsExactlyTheDefinedSet) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const std::size_t vocabulary = random.between(1, 3000);
    SamplingParams params{.temperature = static_cast<float>(0.1 + 3 * random.uniform())};
    if (random.chance(0.5)) params.top_k = static_cast<std::uint32_t>(random.between(1, 1500));
    if (random.chance(0.7)) params.top_p = static_cast<float>(0.01 + 0.98 * random.uniform());
    if (random.chance(0.3)) params.min_p = static_cast<float>(0.2 * random.uniform());
    Row row = make_row(params);
    const std::vector<float> logits = random_logits(vocabulary, seed, 4 * random.uniform());
    const std::vector<double> p = enumerate(logits, row.request, row.tokens);
    Sampler sampler(vocabulary);
    std::array<TokenLogprob, kTopLogprobsMax> top;
    for (std::uint64_t draw = 0; draw < 300; ++draw) {
      row.request.sampling.seed = draw;
      const TokenId token = sampler.sample(logits, row.request, row.tokens, top).token;
      // A token at the very edge may fall on either side by float rounding: it then has all but no
      // share of the mass above it.
      if (p[token] == 0.0) {
        std::vector<double> nearly = enumerate(logits, row.request, row.tokens);
        Request wider = row.request;
        wider.sampling.top_p = std::min(1.0f, params.top_p * 1.00001f);
        wider.sampling.min_p = params.min_p * 0.99999f;
        nearly = enumerate(logits, wider, row.tokens);
        EXPECT_GT(nearly[token], 0.0) << "seed " << seed;
      }
    }
  }
}

TEST(Sampler, DrawDependsOnSeedAndPositionAlone) {
  const std::vector<float> logits = random_logits(100, 5);
  Row row = make_row({.seed = 42});
  const TokenId first = sample_once(logits, row).token;
  EXPECT_EQ(sample_once(logits, row).token, first);
  row.request.id = RequestId{99};
  EXPECT_EQ(sample_once(logits, row).token, first);
  int num_different = 0;
  for (int i = 0; i < 20; ++i) {
    row.tokens.push_back(0);
    num_different += sample_once(logits, row).token != first ? 1 : 0;
  }
  EXPECT_GT(num_different, 10);
}

TEST(Sampler, LogprobsAreOfTheModelBeforeProcessing) {
  const std::vector<float> logits = random_logits(300, 8);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  Row row = make_row({.temperature = 0.2f,
                      .top_k = 3,
                      .repetition_penalty = 2,
                      .logit_bias = {{17, 50.0f}},
                      .top_logprobs = 5},
                     {1, 2});
  Sampler sampler(logits.size());
  std::array<TokenLogprob, kTopLogprobsMax> top;
  const SampledToken token = sampler.sample(logits, row.request, row.tokens, top);
  EXPECT_EQ(token.token, 17u);
  // exp is right to 2^-21 relative, the float result to 2^-24 of its size.
  const double tolerance = 0x1p-20 + 16 * 0x1p-23;
  EXPECT_NEAR(token.logprob, double{logits[17]} - std::log(sum), tolerance);
  ASSERT_EQ(token.num_top, 5u);
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](TokenId a, TokenId b) { return logits[a] > logits[b]; });
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(top[i].token, order[i]);
    EXPECT_NEAR(top[i].logprob, double{logits[order[i]]} - std::log(sum), tolerance);
  }
}

TEST(Sampler, TopLogprobsOfTiesAreTheLowestIds) {
  const std::vector<float> logits = {1, 5, 5, 2, 5};
  Row row = make_row({.temperature = 0, .top_logprobs = 2});
  Sampler sampler(logits.size());
  std::array<TokenLogprob, kTopLogprobsMax> top;
  sampler.sample(logits, row.request, row.tokens, top);
  EXPECT_EQ(top[0].token, 1u);
  EXPECT_EQ(top[1].token, 2u);
}

TEST(Sampler, ExtremeTemperaturesAreTheirLimits) {
  const std::vector<float> logits = {1, 2, 3, 2.9999f};
  for (const float temperature : {1e-45f, 1e-30f, 1e-6f}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      EXPECT_EQ(sample_once(logits, make_row({.temperature = temperature, .seed = seed})).token,
                2u);
    }
  }
  expect_distribution({1, -3, 2}, make_row({.temperature = 100}), 3000);
}

TEST(LogitMath, ExpIsAccurateOverItsRange) {
  // Polynomial and its roundings: below 2^-21 relative near 0; further down, x * factor and the
  // reduction are rounded at |x| * 2^-24 each.
  std::vector<float> x;
  for (int i = 0; i <= 9000; ++i) x.push_back(-0.01f * static_cast<float>(i));
  x.push_back(-kInfinity);
  std::vector<float> y(x.size());
  exp_weights(x, 0.0f, 1.0f, y);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y.back(), 0.0f);
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    if (x[i] < -86.6f) {
      EXPECT_EQ(y[i], 0.0f);
      continue;
    }
    const double want = std::exp(double{x[i]});
    EXPECT_NEAR(y[i] / want, 1.0, 0x1p-21 + std::fabs(double{x[i]}) * 0x1p-24) << x[i];
  }
}

TEST(CheckSampling, NamesFieldFoundAndExpected) {
  const auto message = [](const SamplingParams& params) {
    const Status status = check_sampling(params, 10);
    return status.ok() ? std::string() : status.error().message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.temperature = -1}), "temperature is -1, expected 0 to 100");
  EXPECT_EQ(message({.temperature = nan}), "temperature is nan, expected 0 to 100");
  EXPECT_EQ(message({.top_k = 0}), "top_k is 0, expected at least 1");
  EXPECT_EQ(message({.top_p = 0}), "top_p is 0, expected above 0 and at most 1");
  EXPECT_EQ(message({.min_p = 1.5f}), "min_p is 1.5, expected 0 to 1");
  EXPECT_EQ(message({.repetition_penalty = 0}),
            "repetition_penalty is 0, expected above 0 and at most 100");
  EXPECT_EQ(message({.presence_penalty = kInfinity}),
            "presence_penalty is inf, expected -100 to 100");
  EXPECT_EQ(message({.frequency_penalty = 101}), "frequency_penalty is 101, expected -100 to 100");
  EXPECT_EQ(message({.logit_bias = {{10, 1}}}), "logit_bias names token 10, the vocabulary has 10");
  EXPECT_EQ(message({.logit_bias = {{1, 101}}}), "logit_bias is 101, expected -100 to 100");
  EXPECT_EQ(message({.top_logprobs = 11}), "top_logprobs is 11, expected 0 to 10");
  EXPECT_EQ(check_sampling({.top_logprobs = 21}, 1000).error().message,
            "top_logprobs is 21, expected 0 to 20");
  SamplingParams many;
  many.logit_bias.resize(kLogitBiasesMax + 1);
  EXPECT_EQ(check_sampling(many, 10).error().code, ErrorCode::kTooLarge);
}

// Allows one token and the end, or the end alone.
class OneToken final : public LogitConstraint {
 public:
  explicit OneToken(std::uint32_t allowed) : allowed_(allowed) {}
  void mask(std::span<std::uint32_t> allowed) const override { allowed[0] = allowed_; }
  void advance(TokenId) override {}
  void rollback(std::size_t) override {}
  std::unique_ptr<LogitConstraint> fork() const override {
    return std::make_unique<OneToken>(*this);
  }

 private:
  std::uint32_t allowed_;
};

TEST(SamplerTest, AConstraintDecidesLastAndMayEndBeforeMinTokens) {
  const std::vector<float> logits = {5.0f, 4.0f, 3.0f, 2.0f};
  Request request;
  request.prompt = {1};
  request.stop_ids = {0};
  request.min_tokens = 8;
  request.sampling.temperature = 0;
  request.sampling.seed = 1;
  request.sampling.logit_bias = {{.token = 1, .bias = 100.0f}};
  const std::vector<TokenId> tokens = {1};
  Sampler sampler(logits.size());
  const auto draw = [&](std::uint32_t allowed) {
    const OneToken constraint(allowed);
    return sampler.sample(logits, request, tokens, {}, &constraint);
  };
  EXPECT_EQ(draw(0b0100).token, 2u);  // no bias brings back what is forbidden
  EXPECT_EQ(draw(0b1001).token, 3u);  // too early to end
  EXPECT_EQ(draw(0b0001).token, 0u);  // it can only end
  EXPECT_EQ(draw(0b0001).outcome, SampleOutcome::kToken);
  request.sampling.temperature = 1;
  for (int i = 0; i < 20; ++i) {
    request.sampling.seed = static_cast<std::uint64_t>(i);
    EXPECT_EQ(draw(0b0100).token, 2u);
    EXPECT_EQ(draw(0b0001).token, 0u);
  }
}

}  // namespace
}  // namespace millrace
