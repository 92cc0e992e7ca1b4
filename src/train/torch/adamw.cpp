// The update of AdamW, and clipping.
#include "train/torch/adamw.h"

#include <cmath>

namespace millrace {

AdamW::AdamW(const std::vector<TwinParameter>& parameters, const AdamWOptions& options)
    : options_(options) {
  for (const TwinParameter& parameter : parameters) {
    values_.push_back(parameter.value);
    moments_.push_back({at::zeros_like(parameter.value), at::zeros_like(parameter.value)});
  }
}

double AdamW::clip(double norm_max) {
  const at::NoGradGuard no_gradients;
  std::vector<at::Tensor> squares;
  for (const at::Tensor& value : values_) {
    if (value.grad().defined()) squares.push_back(value.grad().square().sum());
  }
  if (squares.empty()) return 0.0;
  const double norm = std::sqrt(at::stack(squares).to(at::kDouble).sum().item<double>());
  if (norm <= norm_max || !std::isfinite(norm)) return norm;
  for (const at::Tensor& value : values_) {
    at::Tensor gradient = value.grad();
    if (gradient.defined()) gradient.mul_(norm_max / norm);
  }
  return norm;
}

void AdamW::step(std::size_t step, double learning_rate) {
  const at::NoGradGuard no_gradients;
  const auto steps = static_cast<double>(step);
  const double first_bias = 1.0 - std::pow(options_.beta1, steps);
  const double second_bias = std::sqrt(1.0 - std::pow(options_.beta2, steps));
  for (std::size_t i = 0; i < values_.size(); ++i) {
    at::Tensor value = values_[i];
    const at::Tensor gradient = value.grad();
    if (!gradient.defined()) continue;
    Moments& moments = moments_[i];
    moments.first.mul_(options_.beta1).add_(gradient, 1.0 - options_.beta1);
    moments.second.mul_(options_.beta2).addcmul_(gradient, gradient, 1.0 - options_.beta2);
    const at::Tensor root = moments.second.sqrt().div_(second_bias).add_(options_.eps);
    if (value.dim() > 1) value.mul_(1.0 - learning_rate * options_.weight_decay);
    value.addcdiv_(moments.first, root, -learning_rate / first_bias);
    value.mutable_grad().reset();
  }
}

}  // namespace millrace
