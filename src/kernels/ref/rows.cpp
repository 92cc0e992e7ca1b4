// Reference of the norms and the elementwise ops.
#include <algorithm>
#include <cmath>
#include <numbers>

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

void layer_norm(ConstTensorView x, const LayerNormWeights& weights, float eps, TensorView y) {
  const std::size_t num_cols = x.shape[1];
  for (std::size_t t = 0; t < x.num_rows(); ++t) {
    const float* row = x.row<float>(t);
    double mean = 0;
    for (std::size_t e = 0; e < num_cols; ++e) mean += double{row[e]};
    mean /= static_cast<double>(num_cols);
    double squares = 0;
    for (std::size_t e = 0; e < num_cols; ++e) squares += (row[e] - mean) * (row[e] - mean);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(num_cols) + double{eps});
    for (std::size_t e = 0; e < num_cols; ++e) {
      const double weight = weights.weight != nullptr ? double{weights.weight[e]} : 1.0;
      const double bias = weights.bias != nullptr ? double{weights.bias[e]} : 0.0;
      y.row<float>(t)[e] = static_cast<float>((row[e] - mean) * factor * weight + bias);
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

void clamped_gated_activation(const ClampedGate& clamp, ConstTensorView gate, ConstTensorView up,
                              TensorView y) {
  const double limit = clamp.limit;
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    for (std::size_t f = 0; f < y.shape[1]; ++f) {
      const double g = std::min(double{gate.row<float>(t)[f]}, limit);
      const double u = std::clamp(double{up.row<float>(t)[f]}, -limit, limit);
      const double sigmoid = 1 / (1 + std::exp(-double{clamp.steepness} * g));
      y.row<float>(t)[f] = static_cast<float>((u + 1) * g * sigmoid);
    }
  }
}

void add_gated(ConstTensorView x, ConstTensorView logits, TensorView y) {
  for (std::size_t t = 0; t < y.num_rows(); ++t) {
    const double gate = 1 / (1 + std::exp(-double{logits.row<float>(t)[0]}));
    for (std::size_t e = 0; e < y.shape[1]; ++e) {
      y.row<float>(t)[e] =
          static_cast<float>(double{y.row<float>(t)[e]} + gate * double{x.row<float>(t)[e]});
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

}  // namespace millrace::ref
