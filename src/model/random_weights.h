// Random weights of any shape, for benchmarks and tests: made on the fly, the same for the same
// seed.
#pragma once

#include <cstdint>

#include "model/export_source.h"

namespace millrace {

// Every number depends on the seed, its tensor and its place in it alone, so tensors may be read in
// any order and in pieces of any size.
//
// Norms are ones. Everything else is nearly normal with a deviation of 0.02, as models are
// initialised: the sum of four uniform 16-bit numbers, which has no tail beyond 3.5 deviations.
class RandomWeights final : public ExportSource {
 public:
  explicit RandomWeights(std::uint64_t seed) : seed_(seed) {}

  Result<DType> dtype(const RequiredTensor&) const override { return DType::kF32; }
  Status read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
              std::span<std::byte> bytes) const override;

 private:
  std::uint64_t seed_;
};

}  // namespace millrace
