// Reference of the norms, the elementwise ops and the routing of experts.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/ref/ref.h"

namespace millrace::ref {

void rms_norm(ConstTensorView x, ConstTensorView weight, float eps, TensorView y) {
  const std::size_t num_cols = x.shape[1];
  for (std::size_t t = 0; t < x.num_rows(); ++t) {
    double squares = 0;
    for (std::size_t e = 0; e < num_cols; ++e) {
      squares += double{x.row<float>(t)[e]} * double{x.row<float>(t)[e]};
    }
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(num_cols) + double{eps});
    for (std::size_t e = 0; e < num_cols; ++e) {
      y.row<float>(t)[e] =
          static_cast<float>(double{x.row<float>(t)[e]} * factor * double{weight.row<float>(0)[e]});
    }
  }
}

double activation(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kGeluTanh: {
      const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return x / (1 + std::exp(-2 * u));  // 0.5 x (1 + tanh(u)), without its cancellation.
    }
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kRelu2:
      return std::max(x, 0.0) * std::max(x, 0.0);
  }
  return 0;
}

void gated_activation(Activation act, ConstTensorView gate, ConstTensorView up, TensorView y) {
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    for (std::size_t f = 0; f < y.shape[1]; ++f) {
      y.row<float>(t)[f] = static_cast<float>(activation(act, double{gate.row<float>(t)[f]}) *
                                              double{up.row<float>(t)[f]});
    }
  }
}

void activate(Activation act, ConstTensorView x, TensorView y) {
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    for (std::size_t f = 0; f < y.shape[1]; ++f) {
      y.row<float>(t)[f] = static_cast<float>(activation(act, double{x.row<float>(t)[f]}));
    }
  }
}

void add(ConstTensorView x, TensorView y) {
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    for (std::size_t e = 0; e < y.shape[1]; ++e) y.row<float>(t)[e] += x.row<float>(t)[e];
  }
}

void scale(float factor, TensorView x) {
  for (std::size_t t = 0; t < x.num_rows(); ++t) {
    for (std::size_t e = 0; e < x.shape[1]; ++e) x.row<float>(t)[e] *= factor;
  }
}

void softcap(float cap, TensorView x) {
  for (std::size_t t = 0; t < x.num_rows(); ++t) {
    for (std::size_t e = 0; e < x.shape[1]; ++e) {
      float& value = x.row<float>(t)[e];
      value = static_cast<float>(double{cap} * std::tanh(double{value} / double{cap}));
    }
  }
}

void gather_rows(ConstTensorView x, std::span<const std::uint32_t> indices, TensorView y) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::copy_n(x.row<float>(indices[i]), x.shape[1], y.row<float>(i));
  }
}

void route_experts(ConstTensorView logits, std::size_t num_selected, ExpertWeights weights,
                   const ExpertRouting& routing) {
  const std::size_t num_experts = logits.shape[1];
  const std::size_t num_tokens = logits.num_rows();
  std::vector<std::vector<std::size_t>> tokens_of(num_experts);
  std::vector<std::vector<std::size_t>> choices(num_tokens);
  for (std::size_t t = 0; t < num_tokens; ++t) {
    const float* row = logits.row<float>(t);
    std::vector<std::size_t> order(num_experts);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [row](std::size_t a, std::size_t b) { return row[a] > row[b]; });
    double over_all = 0;
    double over_selected = 0;
    for (std::size_t j = 0; j < num_experts; ++j) {
      const double share = std::exp(double{row[order[j]]} - double{row[order[0]]});
      over_all += share;
      if (j < num_selected) over_selected += share;
    }
    for (std::size_t j = 0; j < num_selected; ++j) {
      const double share = std::exp(double{row[order[j]]} - double{row[order[0]]});
      const double total = weights == ExpertWeights::kSoftmaxOverAll ? over_all : over_selected;
      routing.token_weight[t * num_selected + j] = static_cast<float>(share / total);
      tokens_of[order[j]].push_back(t);
    }
    order.resize(num_selected);
    choices[t] = order;
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

}  // namespace millrace::ref
