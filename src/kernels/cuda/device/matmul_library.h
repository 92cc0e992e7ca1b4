// Matrix products by cuBLASLt: bf16 and f32 weights, sums and outputs in f32.
#pragma once

#include <cublasLt.h>

#include <map>
#include <memory>
#include <tuple>

#include "kernels/cuda/device/resources.h"
#include "kernels/cuda/runtime.h"
#include "tensor/buffer.h"

namespace millrace::cuda {

using LtHandle = Owned<cublasLtHandle_t, cublasLtDestroy>;

class CublasLibrary final : public MatmulLibrary {
 public:
  // Stream and memory outlive it.
  static Result<std::unique_ptr<CublasLibrary>> create(cudaStream_t stream, DeviceMemory& memory);

  bool can_multiply(WeightFormat format) const override {
    return format == WeightFormat::kF32 || format == WeightFormat::kBF16;
  }
  void multiply(const ProductArgs& args, const std::uint16_t* twin) override;

 private:
  // What an algorithm is chosen for. Rows of x, outputs, depth, distance between rows of y.
  using Shape = std::tuple<WeightFormat, unsigned, unsigned, unsigned, std::size_t, bool, bool>;
  struct Plan;

  CublasLibrary(cudaStream_t stream, LtHandle handle, Buffer workspace);
  Status plan(const ProductArgs& args, std::size_t x_stride, Plan& plan);

  cudaStream_t stream_;
  LtHandle handle_;
  Buffer workspace_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace millrace::cuda
