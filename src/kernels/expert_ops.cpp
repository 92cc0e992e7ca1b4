// Mixture of experts: which rows go to which expert, and how their outputs come together again.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/cpu/kernels.h"
#include "kernels/device_ops.h"
#include "kernels/op_checks.h"
#include "kernels/ops.h"

namespace millrace {
namespace {

void check_routing(const ExpertRouting& routing, std::size_t num_tokens, std::size_t num_selected) {
  CHECK(routing.row_token.size() == num_tokens * num_selected);
  CHECK(routing.token_row.size() == num_tokens * num_selected);
  CHECK(routing.token_weight.size() == num_tokens * num_selected);
}

// The largest keys in falling order, ties to the lower index; NaN counts as lowest.
void select_best(std::span<const double> keys, std::span<std::uint32_t> chosen) {
  const auto is_better = [keys](std::size_t a, std::size_t b) {
    if (std::isnan(keys[a]) || std::isnan(keys[b])) {
      return std::isnan(keys[a]) == std::isnan(keys[b]) ? a < b : std::isnan(keys[b]);
    }
    return keys[a] != keys[b] ? keys[a] > keys[b] : a < b;
  };
  std::size_t num_chosen = 0;
  for (std::size_t e = 0; e < keys.size(); ++e) {
    std::size_t place = num_chosen;
    while (place > 0 && is_better(e, chosen[place - 1])) --place;
    if (place == chosen.size()) continue;
    num_chosen = std::min(num_chosen + 1, chosen.size());
    for (std::size_t i = num_chosen - 1; i > place; --i) chosen[i] = chosen[i - 1];
    chosen[place] = static_cast<std::uint32_t>(e);
  }
}

double rank_of_group(std::span<const double> keys, GroupRank rank) {
  std::array<std::uint32_t, 2> best{};
  const std::size_t count = rank == GroupRank::kSumOfTwo ? 2 : 1;
  select_best(keys, std::span(best).first(count));
  return count == 2 ? keys[best[0]] + keys[best[1]] : keys[best[0]];
}

// One token's way from logits to chosen experts and weights, in double, so that every row of
// kernels agrees.
class TokenRouter {
 public:
  TokenRouter(const RoutingOptions& options, std::span<const float> logits)
      : options_(options), count_(logits.size()) {
    double highest = -HUGE_VAL;
    for (const float logit : logits) highest = double{logit} > highest ? double{logit} : highest;
    for (std::size_t e = 0; e < count_; ++e) {
      const double logit = logits[e];
      const bool softmax = options.scores == ExpertScores::kSoftmax;
      scores_[e] = softmax ? std::exp(logit - highest) : 1.0 / (1.0 + std::exp(-logit));
      // Without a bias logits and scores are in the same order; logits keep it where exp is 0.
      keys_[e] = softmax ? logit : scores_[e];
    }
    if (options.scores == ExpertScores::kSoftmax &&
        (options.choice_bias != nullptr || options.weights == ExpertWeights::kScores)) {
      for (std::size_t e = 0; e < count_; ++e) total_ += scores_[e];
    }
    if (options.choice_bias == nullptr) return;
    for (std::size_t e = 0; e < count_; ++e) {
      keys_[e] = scores_[e] / total_or_one() + double{options.choice_bias[e]};
    }
  }

  void choose(std::span<std::uint32_t> chosen) {
    if (options_.num_groups > 1) drop_groups();
    select_best(std::span(keys_).first(count_), chosen);
  }

  void weigh(std::span<const std::uint32_t> chosen, std::span<float> weights) const {
    double total = total_or_one();
    if (options_.weights == ExpertWeights::kNormalised) {
      // Sigmoids may all be zero: DeepSeek's code adds this.
      total = options_.scores == ExpertScores::kSigmoid ? 1e-20 : 0.0;
      for (const std::uint32_t e : chosen) total += scores_[e];
    }
    const double scale = options_.weight_scale;
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      weights[j] = static_cast<float>(scores_[chosen[j]] / total * scale);
    }
  }

 private:
  double total_or_one() const { return options_.scores == ExpertScores::kSoftmax ? total_ : 1.0; }

  // Puts the experts of all but the best groups last.
  void drop_groups() {
    const std::size_t size = count_ / options_.num_groups;
    std::array<double, kRoutedExpertsMax> ranks;
    for (std::size_t g = 0; g < options_.num_groups; ++g) {
      ranks[g] = rank_of_group(std::span(keys_).subspan(g * size, size), options_.group_rank);
    }
    std::array<std::uint32_t, kRoutedExpertsMax> best;
    const auto kept = std::span(best).first(options_.num_groups_selected);
    select_best(std::span(ranks).first(options_.num_groups), kept);
    for (std::size_t g = 0; g < options_.num_groups; ++g) {
      if (std::find(kept.begin(), kept.end(), g) != kept.end()) continue;
      std::fill_n(keys_.begin() + static_cast<std::ptrdiff_t>(g * size), size, -HUGE_VAL);
    }
  }

  const RoutingOptions& options_;
  std::size_t count_;
  double total_ = 0.0;  // of softmax scores
  std::array<double, kRoutedExpertsMax> scores_;
  std::array<double, kRoutedExpertsMax> keys_;
};

void check_options(const RoutingOptions& options, std::size_t num_experts) {
  CHECK(num_experts <= kRoutedExpertsMax);
  CHECK(options.num_selected > 0);
  CHECK(options.num_selected <= num_experts);
  CHECK(options.num_groups > 0);
  CHECK(num_experts % options.num_groups == 0);
  CHECK(options.num_groups_selected > 0);
  CHECK(options.num_groups_selected <= options.num_groups);
  const std::size_t group = num_experts / options.num_groups;
  CHECK(options.num_groups_selected * group >= options.num_selected);
  CHECK(options.group_rank != GroupRank::kSumOfTwo || group >= 2);
}

// Counting sort by expert, tokens in order. token_row comes in holding the chosen experts and goes
// out holding grouped rows.
void group_rows(const ExpertRouting& routing, std::size_t num_selected) {
  const std::span<std::uint32_t> begin = routing.expert_begin;
  std::fill(begin.begin(), begin.end(), 0);
  for (const std::uint32_t expert : routing.token_row) ++begin[expert + 1];
  for (std::size_t e = 1; e < begin.size(); ++e) begin[e] += begin[e - 1];
  // begin[e] moves up to the end of expert e while rows are given out …
  for (std::size_t i = 0; i < routing.token_row.size(); ++i) {
    const std::uint32_t row = begin[routing.token_row[i]]++;
    routing.row_token[row] = static_cast<std::uint32_t>(i / num_selected);
    routing.token_row[i] = row;
  }
  // … which is the beginning of e + 1.
  for (std::size_t e = begin.size() - 1; e > 0; --e) begin[e] = begin[e - 1];
  begin[0] = 0;
}

}  // namespace

void route_experts(KernelContext& context, ConstTensorView logits, const RoutingOptions& options,
                   const ExpertRouting& routing) {
  if (DeviceOps* device = context.device()) return device->route_experts(logits, options, routing);
  check_f32(logits, 2);
  const std::size_t num_experts = logits.shape[1];
  const std::size_t num_selected = options.num_selected;
  check_options(options, num_experts);
  CHECK(routing.expert_begin.size() == num_experts + 1);
  check_routing(routing, logits.num_rows(), num_selected);
  const WorkRange range = context.share(logits.num_rows(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    const auto chosen = routing.token_row.subspan(t * num_selected, num_selected);
    TokenRouter router(options, std::span(logits.row<float>(t), num_experts));
    router.choose(chosen);
    router.weigh(chosen, routing.token_weight.subspan(t * num_selected, num_selected));
  }
  context.barrier();
  if (context.rank() == 0) group_rows(routing, num_selected);
  context.barrier();
}

void combine_experts(KernelContext& context, ConstTensorView x, const ExpertRouting& routing,
                     Accumulate accumulate, TensorView y) {
  if (DeviceOps* device = context.device())
    return device->combine_experts(x, routing, accumulate, y);
  check_f32(x, 2);
  check_f32_like(y, {y.num_rows(), x.shape[1]});
  if (y.num_rows() == 0) return context.barrier();
  const std::size_t num_selected = x.num_rows() / y.num_rows();
  CHECK(num_selected * y.num_rows() == x.num_rows());
  check_routing(routing, y.num_rows(), num_selected);
  for_each_piece(
      context, y.num_rows(), y.shape[1], [&](std::size_t t, std::size_t column, std::size_t count) {
        float* out = y.row<float>(t) + column;
        if (accumulate == Accumulate::kStore) std::memset(out, 0, count * sizeof(float));
        for (std::size_t j = t * num_selected; j < (t + 1) * num_selected; ++j) {
          CHECK(routing.token_row[j] < x.num_rows());
          context.kernels().add_scaled(routing.token_weight[j],
                                       x.row<float>(routing.token_row[j]) + column, count, out);
        }
      });
  context.barrier();
}

}  // namespace millrace
