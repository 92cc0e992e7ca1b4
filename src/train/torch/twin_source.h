// A twin's parameters as something that can be written, and written again.
#pragma once

#include "train/torch/twin.h"

namespace millrace {

// Borrows the twin. Values in f32, copied from wherever they are.
class TwinSource final : public ExportSource {
 public:
  explicit TwinSource(const Twin& twin);

  Result<DType> dtype(const RequiredTensor&) const override { return DType::kF32; }
  Status read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
              std::span<std::byte> bytes) const override;

 private:
  const Twin* twin_;
};

}  // namespace millrace
