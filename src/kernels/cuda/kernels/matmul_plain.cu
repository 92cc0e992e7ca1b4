// Matrix products by a thread for each output, in f32 and rising depth: the oracle of the others,
// and what multiplies f32 weights where there is no library.
#include "kernels/cuda/kernels/weights.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;

template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads) multiply_plain(ProductArgs args) {
  constexpr unsigned kCount = weights_per_load(kFormat);
  const unsigned n = blockIdx.x * kThreads + threadIdx.x;
  if (n >= args.weight.num_rows) return;
  const WeightRow weights = weight_row(args.weight, n);
  for (unsigned row = blockIdx.y; row < args.num_rows; row += gridDim.y) {
    const float* x = args.x.data + row * args.x.stride;
    float sum = 0;
    for (unsigned load = 0; load * kCount < args.weight.num_cols; ++load) {
      float w[kCount];
      widen_weights<kFormat>(weights, load_weights<kFormat>(weights, load), load, w);
#pragma unroll
      for (unsigned i = 0; i < kCount && load * kCount + i < args.weight.num_cols; ++i) {
        sum = fmaf(x[load * kCount + i], w[i], sum);
      }
    }
    float value = args.alpha * sum;
    if (args.bias != nullptr) value += args.bias[n];
    float& y = args.y.data[row * args.y.stride + n];
    y = args.accumulate == Accumulate::kAdd ? y + value : value;
  }
}

}  // namespace

void launch_matmul_plain(void* stream, const ProductArgs& args) {
  const unsigned rows = args.num_rows < kGridYMax ? args.num_rows : kGridYMax;
  for_format(args.weight.format, [&](auto format) {
    launch({.grid = {(args.weight.num_rows + kThreads - 1) / kThreads, rows},
            .num_threads = kThreads,
            .shared_bytes = 0,
            .stream = stream},
           multiply_plain<decltype(format)::value>, args);
  });
}

}  // namespace millrace::cuda
