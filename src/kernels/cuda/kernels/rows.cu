// Norms, activations and other work over rows: a block for a row or a piece of it, 16 bytes at a
// time where rows allow it.
#include "kernels/cuda/kernels/weights.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::size_t kSumRoom = kThreads / kWarpLanes * sizeof(float);

__device__ inline void put(float value, unsigned column, float* y, std::uint16_t* twin) {
  y[column] = value;
  if (twin != nullptr) twin[column] = to_bf16(value);
}

// A block for a row. Threads sum their columns in rising order, the block its threads in one fixed
// order: a row's bits depend on that row alone.
__global__ void __launch_bounds__(kThreads)
    rms_norm_rows(RowExtent extent, Rows x, const float* weight, float eps, MutableRows y,
                  Twin twin) {
  auto* room = reinterpret_cast<float*>(shared_bytes());
  const std::size_t row = blockIdx.x;
  const float* in = x.data + row * x.stride;
  float squares = 0;
  for (unsigned e = threadIdx.x; e < extent.num_cols; e += kThreads) squares += in[e] * in[e];
  const float mean = block_sum(squares, room) / static_cast<float>(extent.num_cols);
  const float factor = 1.0f / sqrtf(mean + eps);
  std::uint16_t* of_row = twin == nullptr ? nullptr : twin + row * extent.num_cols;
  for (unsigned e = threadIdx.x; e < extent.num_cols; e += kThreads) {
    put(in[e] * factor * weight[e], e, y.data + row * y.stride, of_row);
  }
}

__global__ void __launch_bounds__(kThreads)
    layer_norm_rows(RowExtent extent, Rows x, LayerNormWeights weights, float eps, MutableRows y,
                    Twin twin) {
  auto* room = reinterpret_cast<float*>(shared_bytes());
  const std::size_t row = blockIdx.x;
  const float* in = x.data + row * x.stride;
  const auto count = static_cast<float>(extent.num_cols);
  float sum = 0;
  for (unsigned e = threadIdx.x; e < extent.num_cols; e += kThreads) sum += in[e];
  const float mean = block_sum(sum, room) / count;
  float squares = 0;
  for (unsigned e = threadIdx.x; e < extent.num_cols; e += kThreads) {
    squares += (in[e] - mean) * (in[e] - mean);
  }
  sync_block();  // Everybody has read the first sum.
  const float factor = 1.0f / sqrtf(block_sum(squares, room) / count + eps);
  std::uint16_t* of_row = twin == nullptr ? nullptr : twin + row * extent.num_cols;
  for (unsigned e = threadIdx.x; e < extent.num_cols; e += kThreads) {
    float value = (in[e] - mean) * factor;
    if (weights.weight != nullptr) value *= weights.weight[e];
    if (weights.bias != nullptr) value += weights.bias[e];
    put(value, e, y.data + row * y.stride, of_row);
  }
}

__device__ inline float activated(Activation activation, float x) {
  constexpr float kRootHalf = 0.70710678118654752f;
  constexpr float kRootTwoOverPi = 0.79788456080286536f;
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0f + expf(-x));
    case Activation::kGelu:
      return 0.5f * x * erfcf(-x * kRootHalf);
    case Activation::kGeluTanh:
      // 0.5 (1 + tanh(u)) is the sigmoid of 2 u, without the cancellation.
      return x / (1.0f + expf(-2.0f * kRootTwoOverPi * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return x > 0 || x != x ? x : 0.0f;
    case Activation::kRelu2:
      return x > 0 || x != x ? x * x : 0.0f;
  }
  return x;
}

// Elementwise over rows: blockIdx.x a piece of kThreads columns, blockIdx.y a row (and on in
// strides of the grid).
template <class Work>
__device__ inline void for_elements(RowExtent extent, const Work& work) {
  const unsigned column = blockIdx.x * kThreads + threadIdx.x;
  if (column >= extent.num_cols) return;
  for (unsigned row = blockIdx.y; row < extent.num_rows; row += gridDim.y) work(row, column);
}

__global__ void __launch_bounds__(kThreads)
    activate_elements(Activation activation, ActivationArgs args) {
  for_elements(args.extent, [&](std::size_t row, unsigned column) {
    float value = activated(activation, args.gate.data[row * args.gate.stride + column]);
    if (args.up.data != nullptr) value *= args.up.data[row * args.up.stride + column];
    put(value, column, args.y.data + row * args.y.stride,
        args.twin == nullptr ? nullptr : args.twin + row * args.extent.num_cols);
  });
}

__global__ void __launch_bounds__(kThreads)
    clamp_gate_elements(ClampedGate clamp, ActivationArgs args) {
  for_elements(args.extent, [&](std::size_t row, unsigned column) {
    float gate = args.gate.data[row * args.gate.stride + column];
    float up = args.up.data[row * args.up.stride + column];
    gate = gate > clamp.limit ? clamp.limit : gate;
    up = up > clamp.limit ? clamp.limit : (up < -clamp.limit ? -clamp.limit : up);
    put((up + 1.0f) * gate / (1.0f + expf(-clamp.steepness * gate)), column,
        args.y.data + row * args.y.stride,
        args.twin == nullptr ? nullptr : args.twin + row * args.extent.num_cols);
  });
}

__global__ void __launch_bounds__(kThreads) add_elements(RowExtent extent, Rows x, MutableRows y) {
  for_elements(extent, [&](std::size_t row, unsigned column) {
    y.data[row * y.stride + column] += x.data[row * x.stride + column];
  });
}

__global__ void __launch_bounds__(kThreads)
    add_gated_elements(RowExtent extent, Rows x, Rows logits, MutableRows y) {
  for_elements(extent, [&](std::size_t row, unsigned column) {
    const double gate = 1.0 / (1.0 + exp(-static_cast<double>(logits.data[row * logits.stride])));
    float& sum = y.data[row * y.stride + column];
    sum = fmaf(static_cast<float>(gate), x.data[row * x.stride + column], sum);
  });
}

__global__ void __launch_bounds__(kThreads)
    scale_elements(RowExtent extent, float factor, MutableRows x) {
  for_elements(
      extent, [&](std::size_t row, unsigned column) { x.data[row * x.stride + column] *= factor; });
}

__global__ void __launch_bounds__(kThreads)
    softcap_elements(RowExtent extent, float cap, MutableRows x) {
  for_elements(extent, [&](std::size_t row, unsigned column) {
    float& value = x.data[row * x.stride + column];
    value = cap * tanhf(value / cap);
  });
}

__global__ void __launch_bounds__(kThreads)
    gather_elements(RowExtent extent, Rows x, const std::uint32_t* indices, MutableRows y) {
  for_elements(extent, [&](std::size_t row, unsigned column) {
    y.data[row * y.stride + column] = x.data[indices[row] * x.stride + column];
  });
}

__global__ void __launch_bounds__(kThreads) narrow_elements(RowExtent extent, Rows x, Twin twin) {
  for_elements(extent, [&](std::size_t row, unsigned column) {
    twin[row * extent.num_cols + column] = to_bf16(x.data[row * x.stride + column]);
  });
}

// A block for a token.
template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads)
    embed_rows(MatrixView table, const std::uint32_t* ids, float factor, MutableRows y) {
  constexpr unsigned kCount = weights_per_load(kFormat);
  const WeightRow row = weight_row(table, ids[blockIdx.x]);
  float* out = y.data + blockIdx.x * y.stride;
  for (unsigned load = threadIdx.x; load * kCount < table.num_cols; load += kThreads) {
    float w[kCount];
    widen_weights<kFormat>(row, load_weights<kFormat>(row, load), load, w);
#pragma unroll
    for (unsigned i = 0; i < kCount && load * kCount + i < table.num_cols; ++i) {
      out[load * kCount + i] = factor == 1.0f ? w[i] : factor * w[i];
    }
  }
}

LaunchConfig by_rows(void* stream, RowExtent extent) {
  return {.grid = {extent.num_rows},
          .num_threads = kThreads,
          .shared_bytes = kSumRoom,
          .stream = stream};
}
LaunchConfig by_elements(void* stream, RowExtent extent) {
  const unsigned pieces = (extent.num_cols + kThreads - 1) / kThreads;
  const unsigned rows = extent.num_rows < kGridYMax ? extent.num_rows : kGridYMax;
  return {.grid = {pieces, rows}, .num_threads = kThreads, .shared_bytes = 0, .stream = stream};
}

}  // namespace

void launch_rms_norm(void* stream, RowExtent extent, Rows x, const float* weight, float eps,
                     MutableRows y, Twin twin) {
  launch(by_rows(stream, extent), rms_norm_rows, extent, x, weight, eps, y, twin);
}
void launch_layer_norm(void* stream, RowExtent extent, Rows x, const LayerNormWeights& weights,
                       float eps, MutableRows y, Twin twin) {
  launch(by_rows(stream, extent), layer_norm_rows, extent, x, weights, eps, y, twin);
}
void launch_activation(void* stream, Activation activation, const ActivationArgs& args) {
  launch(by_elements(stream, args.extent), activate_elements, activation, args);
}
void launch_clamped_gate(void* stream, const ClampedGate& clamp, const ActivationArgs& args) {
  launch(by_elements(stream, args.extent), clamp_gate_elements, clamp, args);
}
void launch_add(void* stream, RowExtent extent, Rows x, MutableRows y) {
  launch(by_elements(stream, extent), add_elements, extent, x, y);
}
void launch_add_gated(void* stream, RowExtent extent, Rows x, Rows logits, MutableRows y) {
  launch(by_elements(stream, extent), add_gated_elements, extent, x, logits, y);
}
void launch_scale(void* stream, RowExtent extent, float factor, MutableRows x) {
  launch(by_elements(stream, extent), scale_elements, extent, factor, x);
}
void launch_softcap(void* stream, RowExtent extent, float cap, MutableRows x) {
  launch(by_elements(stream, extent), softcap_elements, extent, cap, x);
}
void launch_gather_rows(void* stream, RowExtent extent, Rows x, const std::uint32_t* indices,
                        MutableRows y) {
  launch(by_elements(stream, extent), gather_elements, extent, x, indices, y);
}
void launch_to_bf16(void* stream, RowExtent extent, Rows x, Twin twin) {
  launch(by_elements(stream, extent), narrow_elements, extent, x, twin);
}
void launch_embed(void* stream, const MatrixView& table, const std::uint32_t* ids,
                  unsigned num_tokens, float factor, MutableRows y) {
  for_format(table.format, [&](auto format) {
    launch({.grid = {num_tokens}, .num_threads = kThreads, .shared_bytes = 0, .stream = stream},
           embed_rows<decltype(format)::value>, table, ids, factor, y);
  });
}

}  // namespace millrace::cuda
