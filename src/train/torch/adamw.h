// AdamW with its state in plain tensors, so that a checkpoint of it is a file of tensors.
#pragma once

#include <vector>

#include "train/torch/aten.h"
#include "train/torch/twin.h"
#include "train/train_options.h"

namespace millrace {

// libtorch has one too, but keys of its state differ between versions, and exact resume needs all
// of it. One thread; the twin's parameters are shared with it.
class AdamW {
 public:
  AdamW(const std::vector<TwinParameter>& parameters, const AdamWOptions& options);

  // Norm of all gradients; they are scaled down to `norm_max` where they exceed it.
  double clip(double norm_max);
  // `step` counts from 1. Leaves no gradients.
  void step(std::size_t step, double learning_rate);

  struct Moments {
    at::Tensor first, second;
  };
  std::vector<Moments>& moments() { return moments_; }
  const std::vector<Moments>& moments() const { return moments_; }

 private:
  std::vector<at::Tensor> values_;
  std::vector<Moments> moments_;
  AdamWOptions options_;
};

}  // namespace millrace
