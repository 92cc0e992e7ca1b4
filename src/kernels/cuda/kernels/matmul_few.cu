// Matrix products of few rows: bound by reading the weights, which every warp streams once, in
// order, for all rows of x.
//
// For Llama-3.1-8B's decode the weights are 99 % of the bytes at a short context, so this kernel is
// the speed of one sequence. Nothing of it has run on a device yet.
#include "kernels/cuda/kernels/weights.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;
constexpr unsigned kWarps = kThreads / kWarpLanes;

// Outputs of a warp: x is read once for all of them. A load of 4-bit weights needs 128 bytes of x
// and so more outputs to share them than one of 16-bit weights, which needs 32.
constexpr unsigned outputs_of_warp(WeightFormat format) {
  return weights_per_load(format) > 8 ? 4 : 2;
}

template <unsigned kCount>
__device__ inline void read_x(const float* x, bool is_aligned, float (&values)[kCount]) {
  if (is_aligned) {
#pragma unroll
    for (unsigned i = 0; i < kCount; i += 4) {
      const Words4 words = *reinterpret_cast<const Words4*>(x + i);
#pragma unroll
      for (unsigned j = 0; j < 4; ++j) values[i + j] = bits_as_float(words.word[j]);
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) values[i] = x[i];
  }
}

// A lane sums loads lane, lane + 32, … of a row; then the lanes' sums meet in one fixed order, so
// an output's bits depend on its own row of x alone, whatever the number of rows.
template <WeightFormat kFormat, unsigned kRows>
__global__ void __launch_bounds__(kThreads) multiply_few(ProductArgs args) {
  constexpr unsigned kCount = weights_per_load(kFormat);
  constexpr unsigned kOutputs = outputs_of_warp(kFormat);
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned first = (blockIdx.x * kWarps + threadIdx.x / kWarpLanes) * kOutputs;
  if (first >= args.weight.num_rows) return;
  WeightRow rows[kOutputs];
#pragma unroll
  for (unsigned o = 0; o < kOutputs; ++o) {
    const unsigned n = first + o < args.weight.num_rows ? first + o : first;
    rows[o] = weight_row(args.weight, n);
  }
  const bool is_aligned =
      reinterpret_cast<std::uintptr_t>(args.x.data) % 16 == 0 && args.x.stride % 4 == 0;
  float sums[kRows][kOutputs] = {};
  const unsigned num_whole = args.weight.num_cols / kCount;
  for (unsigned load = lane; load < num_whole; load += kWarpLanes) {
    Words4 words[kOutputs];
#pragma unroll
    for (unsigned o = 0; o < kOutputs; ++o) words[o] = load_weights<kFormat>(rows[o], load);
    float x[kRows][kCount];
#pragma unroll
    for (unsigned m = 0; m < kRows; ++m) {
      const unsigned row = m < args.num_rows ? m : 0;
      read_x(args.x.data + row * args.x.stride + load * kCount, is_aligned, x[m]);
    }
#pragma unroll
    for (unsigned o = 0; o < kOutputs; ++o) {
      float w[kCount];
      widen_weights<kFormat>(rows[o], words[o], load, w);
#pragma unroll
      for (unsigned m = 0; m < kRows; ++m) {
#pragma unroll
        for (unsigned i = 0; i < kCount; ++i) sums[m][o] = fmaf(x[m][i], w[i], sums[m][o]);
      }
    }
  }
  // The last, broken load: formats without groups only.
  if (num_whole * kCount < args.weight.num_cols && num_whole % kWarpLanes == lane) {
#pragma unroll
    for (unsigned o = 0; o < kOutputs; ++o) {
      float w[kCount];
      widen_weights<kFormat>(rows[o], load_weights<kFormat>(rows[o], num_whole), num_whole, w);
#pragma unroll
      for (unsigned m = 0; m < kRows; ++m) {
        const float* x = args.x.data + (m < args.num_rows ? m : 0) * args.x.stride;
        for (unsigned i = 0; i < kCount && num_whole * kCount + i < args.weight.num_cols; ++i) {
          sums[m][o] = fmaf(x[num_whole * kCount + i], w[i], sums[m][o]);
        }
      }
    }
  }
#pragma unroll
  for (unsigned m = 0; m < kRows; ++m) {
#pragma unroll
    for (unsigned o = 0; o < kOutputs; ++o) {
      const float sum = warp_sum(sums[m][o]);
      const unsigned n = first + o;
      if (lane != 0 || m >= args.num_rows || n >= args.weight.num_rows) continue;
      float value = args.alpha * sum;
      if (args.bias != nullptr) value += args.bias[n];
      float& y = args.y.data[m * args.y.stride + n];
      y = args.accumulate == Accumulate::kAdd ? y + value : value;
    }
  }
}

template <WeightFormat kFormat, unsigned kRows>
void launch_rows(void* stream, const ProductArgs& args) {
  constexpr unsigned kPerBlock = kWarps * outputs_of_warp(kFormat);
  launch({.grid = {(args.weight.num_rows + kPerBlock - 1) / kPerBlock},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         multiply_few<kFormat, kRows>, args);
}

}  // namespace

void launch_matmul_few(void* stream, const ProductArgs& args) {
  CHECK(args.num_rows <= kFewRows);
  for_format(args.weight.format, [&](auto format) {
    if (args.num_rows <= 1) {
      if (args.num_rows == 1) launch_rows<decltype(format)::value, 1>(stream, args);
    } else {
      launch_rows<decltype(format)::value, kFewRows>(stream, args);
    }
  });
}

}  // namespace millrace::cuda
