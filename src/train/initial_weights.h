// The weights that training begins with, the same for the same seed on any machine.
#pragma once

#include <cstdint>

#include "model/random_weights.h"

namespace millrace {

// Nearly normal with a deviation of 0.02; matrices that write into the hidden state by 1/sqrt(2 L)
// less, so that its variance does not grow with depth (Radford et al. 2019, "Language Models are
// Unsupervised Multitask Learners", section 2.3). Biases, sinks and choice biases are zeros, norms
// ones.
class InitialWeights final : public ExportSource {
 public:
  InitialWeights(const ModelSpec& spec, std::uint64_t seed)
      : random_(seed), num_layers_(spec.layers.size()) {}

  Result<DType> dtype(const RequiredTensor&) const override { return DType::kF32; }
  Status read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
              std::span<std::byte> bytes) const override;

 private:
  RandomWeights random_;
  std::size_t num_layers_;
};

}  // namespace millrace
