// Mixture of experts: which rows go to which expert, and how their outputs come together again.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/kernels.h"
#include "kernels/op_checks.h"
#include "kernels/ops.h"

namespace millrace {
namespace {

void check_routing(const ExpertRouting& routing, std::size_t num_tokens, std::size_t num_selected) {
  CHECK(routing.row_token.size() == num_tokens * num_selected);
  CHECK(routing.token_row.size() == num_tokens * num_selected);
  CHECK(routing.token_weight.size() == num_tokens * num_selected);
}

// The largest logits in falling order, ties to the lower index; NaN counts as lowest.
void select_experts(const float* logits, std::size_t num_experts, std::span<std::uint32_t> chosen) {
  const auto is_better = [logits](std::size_t a, std::size_t b) {
    if (std::isnan(logits[a]) || std::isnan(logits[b])) {
      return std::isnan(logits[a]) == std::isnan(logits[b]) ? a < b : std::isnan(logits[b]);
    }
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::size_t num_chosen = 0;
  for (std::size_t e = 0; e < num_experts; ++e) {
    std::size_t place = num_chosen;
    while (place > 0 && is_better(e, chosen[place - 1])) --place;
    if (place == chosen.size()) continue;
    num_chosen = std::min(num_chosen + 1, chosen.size());
    for (std::size_t i = num_chosen - 1; i > place; --i) chosen[i] = chosen[i - 1];
    chosen[place] = static_cast<std::uint32_t>(e);
  }
}

// In double, so that every row of kernels agrees on them.
void weigh_experts(const float* logits, std::size_t num_experts, ExpertWeights weights,
                   std::span<const std::uint32_t> chosen, std::span<float> token_weight) {
  const double highest = logits[chosen[0]];
  double total = 0;
  if (weights == ExpertWeights::kSoftmaxOverAll) {
    for (std::size_t e = 0; e < num_experts; ++e) total += std::exp(double{logits[e]} - highest);
  } else {
    for (const std::uint32_t e : chosen) total += std::exp(double{logits[e]} - highest);
  }
  for (std::size_t j = 0; j < chosen.size(); ++j) {
    token_weight[j] = static_cast<float>(std::exp(double{logits[chosen[j]]} - highest) / total);
  }
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

void route_experts(KernelContext& context, ConstTensorView logits, std::size_t num_selected,
                   ExpertWeights weights, const ExpertRouting& routing) {
  check_f32(logits, 2);
  const std::size_t num_experts = logits.shape[1];
  CHECK(num_selected > 0);
  CHECK(num_selected <= num_experts);
  CHECK(routing.expert_begin.size() == num_experts + 1);
  check_routing(routing, logits.num_rows(), num_selected);
  const WorkRange range = context.share(logits.num_rows(), 1);
  for (std::size_t t = range.begin; t < range.end; ++t) {
    const auto chosen = routing.token_row.subspan(t * num_selected, num_selected);
    select_experts(logits.row<float>(t), num_experts, chosen);
    weigh_experts(logits.row<float>(t), num_experts, weights, chosen,
                  routing.token_weight.subspan(t * num_selected, num_selected));
  }
  context.barrier();
  if (context.rank() == 0) group_rows(routing, num_selected);
  context.barrier();
}

void combine_experts(KernelContext& context, ConstTensorView x, const ExpertRouting& routing,
                     Accumulate accumulate, TensorView y) {
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
