// Reference of the routing of experts, of the sums of their outputs, and of products per head.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/ref/ref.h"

namespace millrace::ref {
namespace {

using Order = std::vector<std::size_t>;

// Indices by falling value, ties in order.
Order ranked(const std::vector<double>& values) {
  Order order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  return order;
}

std::vector<double> scores_of(std::span<const float> logits, ExpertScores kind) {
  std::vector<double> scores;
  if (kind == ExpertScores::kSigmoid) {
    for (const float logit : logits) scores.push_back(1 / (1 + std::exp(-double{logit})));
    return scores;
  }
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) scores.push_back(std::exp(double{logit} - highest));
  for (const double score : scores) total += score;
  for (double& score : scores) score /= total;
  return scores;
}

// What experts are chosen by; minus infinity for those of groups that lose.
std::vector<double> keys_of(const std::vector<double>& scores, const RoutingOptions& options) {
  std::vector<double> keys = scores;
  for (std::size_t e = 0; e < keys.size() && options.choice_bias != nullptr; ++e) {
    keys[e] += double{options.choice_bias[e]};
  }
  const std::size_t size = keys.size() / options.num_groups;
  std::vector<double> groups;
  for (std::size_t g = 0; g < options.num_groups; ++g) {
    std::vector<double> group(keys.begin() + static_cast<std::ptrdiff_t>(g * size),
                              keys.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(group.begin(), group.end(), std::greater<>());
    groups.push_back(options.group_rank == GroupRank::kSumOfTwo ? group[0] + group[1] : group[0]);
  }
  Order order = ranked(groups);
  for (std::size_t i = options.num_groups_selected; i < options.num_groups; ++i) {
    for (std::size_t e = 0; e < size; ++e) keys[order[i] * size + e] = -HUGE_VAL;
  }
  return keys;
}

// The chosen experts of one token, best first, and their weights.
Order choose(std::span<const float> logits, const RoutingOptions& options,
             std::span<float> weights) {
  const std::vector<double> scores = scores_of(logits, options.scores);
  Order order = ranked(keys_of(scores, options));
  order.resize(options.num_selected);
  double total = 0;
  for (const std::size_t e : order) total += scores[e];
  if (options.weights == ExpertWeights::kScores) total = 1;
  for (std::size_t j = 0; j < order.size(); ++j) {
    weights[j] = static_cast<float>(double{options.weight_scale} * scores[order[j]] / total);
  }
  return order;
}

}  // namespace

void route_experts(ConstTensorView logits, const RoutingOptions& options,
                   const ExpertRouting& routing) {
  const std::size_t num_experts = logits.shape[1];
  const std::size_t num_tokens = logits.num_rows();
  const std::size_t num_selected = options.num_selected;
  std::vector<Order> tokens_of(num_experts);
  std::vector<Order> choices(num_tokens);
  for (std::size_t t = 0; t < num_tokens; ++t) {
    choices[t] = choose(std::span(logits.row<float>(t), num_experts), options,
                        routing.token_weight.subspan(t * num_selected, num_selected));
    for (const std::size_t e : choices[t]) tokens_of[e].push_back(t);
  }
  std::uint32_t row = 0;
  for (std::size_t e = 0; e < num_experts; ++e) {
    routing.expert_begin[e] = row;
    for (const std::size_t t : tokens_of[e]) {
      const auto choice = std::find(choices[t].begin(), choices[t].end(), e);
      const auto j = static_cast<std::size_t>(choice - choices[t].begin());
      routing.token_row[t * num_selected + j] = row;
      routing.row_token[row++] = static_cast<std::uint32_t>(t);
    }
  }
  routing.expert_begin[num_experts] = row;
}

void combine_experts(ConstTensorView x, const ExpertRouting& routing, Accumulate accumulate,
                     TensorView y) {
  if (y.num_rows() == 0) return;
  const std::size_t num_selected = x.num_rows() / y.num_rows();
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    for (std::size_t e = 0; e < y.shape[1]; ++e) {
      double total = accumulate == Accumulate::kAdd ? double{y.row<float>(t)[e]} : 0.0;
      for (std::size_t j = t * num_selected; j < (t + 1) * num_selected; ++j) {
        total += double{routing.token_weight[j]} * double{x.row<float>(routing.token_row[j])[e]};
      }
      y.row<float>(t)[e] = static_cast<float>(total);
    }
  }
}

namespace {

float* head_of(const HeadPart& part, std::size_t t, std::size_t h) {
  return part.heads.row<float>(t) + h * part.heads.shape[2] + part.first;
}

}  // namespace

void copy_heads(const HeadPart& from, const HeadPart& to) {
  for (std::size_t t = 0; t < from.heads.num_rows(); ++t) {
    for (std::size_t h = 0; h < from.heads.shape[1]; ++h) {
      std::copy_n(head_of(from, t, h), from.count, head_of(to, t, h));
    }
  }
}

void quantize_heads(const HeadPart& x, const QuantizedRows& q) {
  const std::size_t num_tokens = x.heads.num_rows();
  for (std::size_t row = 0; row < q.num_rows; ++row) {
    QuantizedRows one = q;
    one.values += row * q.num_cols;
    one.scales += row * (q.num_cols / kWeightGroup);
    one.sums += row * (q.num_cols / kSumGroup);
    one.num_rows = 1;
    const float* values = head_of(x, row % num_tokens, row / num_tokens);
    quantize_rows(view_of(values, {1, x.count}), one);
  }
}

void head_matmul(const HeadPart& x, const QuantizedRows* quantized,
                 std::span<const PackedMatrix> weights, const HeadPart& y) {
  const std::size_t num_tokens = x.heads.num_rows();
  for (std::size_t i = 0; i < num_tokens * weights.size(); ++i) {
    const std::size_t h = i / num_tokens;
    QuantizedRows one;
    if (quantized != nullptr) {
      one = *quantized;
      one.values += i * x.count;
      one.scales += i * (x.count / kWeightGroup);
      one.sums += i * (x.count / kSumGroup);
      one.num_rows = 1;
    }
    const float* values = head_of(x, i % num_tokens, h);
    matmul({.x = view_of(values, {1, x.count}), .quantized = &one}, weights[h], {},
           view_of(head_of(y, i % num_tokens, h), {1, y.count}));
  }
}

}  // namespace millrace::ref
