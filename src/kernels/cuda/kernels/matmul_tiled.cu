// Matrix products in tiles on tensor cores, for every format and any number of rows: 64 rows of x
// by 64 outputs to a block, 32 of the depth at a time.
//
// Every output is one chain over the depth in rising order, so its bits do not depend on the number
// of rows: this is what the batch-invariant setting uses throughout. The weights are widened on
// their way into shared memory; x is narrowed there.
#include "kernels/cuda/kernels/weights.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;  // 2 x 2 warps of 32 x 32
constexpr unsigned kTileRows = 64;
constexpr unsigned kTileOutputs = 64;
constexpr unsigned kTileDepth = 32;
constexpr unsigned kMmaDepth = 16;
// 80 bytes from row to row: eight rows of 16 bytes meet every bank once.
constexpr unsigned kRowElements = kTileDepth + 8;
constexpr std::size_t kSharedBytes =
    (kTileRows + kTileOutputs) * kRowElements * sizeof(std::uint16_t);

// Whether a format's products are done in f16: its weights fit, and bf16 would round them.
template <WeightFormat kFormat>
inline constexpr bool kIsHalf = kFormat == WeightFormat::kF16;

template <WeightFormat kFormat>
__device__ inline std::uint16_t narrow(float value) {
  if constexpr (kIsHalf<kFormat>) return to_f16(value);
  return to_bf16(value);
}

// What a block works on.
struct Tile {
  unsigned row_begin = 0;
  unsigned row_end = 0;  // of x that may be read and written
  unsigned output_begin = 0;
};

template <WeightFormat kFormat>
__device__ inline void stage_x(const ProductArgs& args, const Tile& tile, unsigned depth,
                               std::uint16_t* shared) {
  // Four threads for a row, eight elements each, two rows apart by 32.
  const unsigned part = threadIdx.x % 4 * 8;
  for (unsigned r = threadIdx.x / 4; r < kTileRows; r += kThreads / 4) {
    const unsigned row = tile.row_begin + r;
    const float* x = args.x.data + row * args.x.stride + depth + part;
    std::uint32_t pairs[4] = {};
#pragma unroll
    for (unsigned i = 0; i < 8; i += 2) {
      const unsigned k = depth + part + i;
      const bool is_row = row < tile.row_end;
      const float low = is_row && k < args.weight.num_cols ? x[i] : 0.0f;
      const float high = is_row && k + 1 < args.weight.num_cols ? x[i + 1] : 0.0f;
      pairs[i / 2] = pack_pair(narrow<kFormat>(low), narrow<kFormat>(high));
    }
    *reinterpret_cast<Words4*>(shared + r * kRowElements +
                               part) = {{pairs[0], pairs[1], pairs[2], pairs[3]}};
  }
}

template <WeightFormat kFormat>
__device__ inline void stage_weights(const MatrixView& weight, const Tile& tile, unsigned depth,
                                     std::uint16_t* shared) {
  constexpr unsigned kCount = weights_per_load(kFormat);
  constexpr unsigned kLoads = kTileDepth / kCount;  // of a row
  for (unsigned at = threadIdx.x; at < kTileOutputs * kLoads; at += kThreads) {
    const unsigned r = at / kLoads;
    const unsigned load = depth / kCount + at % kLoads;
    std::uint16_t* out = shared + r * kRowElements + at % kLoads * kCount;
    float w[kCount] = {};
    if (tile.output_begin + r < weight.num_rows && load * kCount < weight.num_cols) {
      const WeightRow row = weight_row(weight, tile.output_begin + r);
      widen_weights<kFormat>(row, load_weights<kFormat>(row, load), load, w);
    }
#pragma unroll
    for (unsigned i = 0; i < kCount; i += 2) {
      *reinterpret_cast<std::uint32_t*>(out + i) =
          pack_pair(narrow<kFormat>(w[i]), narrow<kFormat>(w[i + 1]));
    }
  }
}

// A warp's 32 x 32 of the tile: [row tile][output tile][register].
using Sums = float[2][4][4];

template <WeightFormat kFormat>
__device__ inline void multiply_staged(const std::uint16_t* x, const std::uint16_t* w, Sums& sums) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned warp = threadIdx.x / kWarpLanes;
  const unsigned first_row = warp / 2 * 32;
  const unsigned first_output = warp % 2 * 32;
#pragma unroll
  for (unsigned k = 0; k < kTileDepth; k += kMmaDepth) {
    std::uint32_t a[2][4];
#pragma unroll
    for (unsigned m = 0; m < 2; ++m) {
      const unsigned row = first_row + m * 16 + lane % 16;
      load_tiles(a[m],
                 reinterpret_cast<const std::byte*>(x + row * kRowElements + k + lane / 16 * 8));
    }
#pragma unroll
    for (unsigned pair = 0; pair < 2; ++pair) {
      // Two output tiles of 8: tiles 0 and 1 of the load are the two halves of the depth.
      const unsigned output = first_output + pair * 16 + lane / 16 * 8 + lane % 8;
      std::uint32_t b[4];
      load_tiles(
          b, reinterpret_cast<const std::byte*>(w + output * kRowElements + k + lane / 8 % 2 * 8));
#pragma unroll
      for (unsigned n = 0; n < 2; ++n) {
        const std::uint32_t of_tile[2] = {b[2 * n], b[2 * n + 1]};
#pragma unroll
        for (unsigned m = 0; m < 2; ++m) {
          if constexpr (kIsHalf<kFormat>) {
            mma_f16(sums[m][2 * pair + n], a[m], of_tile);
          } else {
            mma_bf16(sums[m][2 * pair + n], a[m], of_tile);
          }
        }
      }
    }
  }
}

__device__ inline void put_sums(const ProductArgs& args, const Tile& tile, const Sums& sums) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned warp = threadIdx.x / kWarpLanes;
#pragma unroll
  for (unsigned m = 0; m < 2; ++m) {
#pragma unroll
    for (unsigned n = 0; n < 4; ++n) {
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = tile.row_begin + warp / 2 * 32 + m * 16 + lane / 4 + i / 2 * 8;
        const unsigned output = tile.output_begin + warp % 2 * 32 + n * 8 + lane % 4 * 2 + i % 2;
        if (row >= tile.row_end || output >= args.weight.num_rows) continue;
        float value = args.alpha * sums[m][n][i];
        if (args.bias != nullptr) value += args.bias[output];
        float& y = args.y.data[row * args.y.stride + output];
        y = args.accumulate == Accumulate::kAdd ? y + value : value;
      }
    }
  }
}

template <WeightFormat kFormat>
__device__ inline void multiply_tile(const ProductArgs& args, const Tile& tile) {
  auto* x = reinterpret_cast<std::uint16_t*>(shared_bytes());
  std::uint16_t* w = x + kTileRows * kRowElements;
  Sums sums = {};
  for (unsigned depth = 0; depth < args.weight.num_cols; depth += kTileDepth) {
    stage_x<kFormat>(args, tile, depth, x);
    stage_weights<kFormat>(args.weight, tile, depth, w);
    sync_block();
    multiply_staged<kFormat>(x, w, sums);
    sync_block();
  }
  put_sums(args, tile, sums);
}

template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads) multiply_tiles(ProductArgs args) {
  multiply_tile<kFormat>(args, {blockIdx.y * kTileRows, args.num_rows, blockIdx.x * kTileOutputs});
}

// Block row y is the y-th tile of rows, counted expert by expert; those beyond the last do nothing.
template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads) multiply_grouped(GroupedArgs grouped) {
  unsigned tiles = blockIdx.y;
  unsigned expert = 0;
  unsigned begin = 0;
  unsigned end = 0;
  for (; expert < grouped.num_experts; ++expert) {
    begin = grouped.expert_begin[expert];
    end = grouped.expert_begin[expert + 1];
    const unsigned of_expert = (end - begin + kTileRows - 1) / kTileRows;
    if (tiles < of_expert) break;
    tiles -= of_expert;
  }
  if (expert == grouped.num_experts) return;
  ProductArgs args = grouped.product;
  const std::size_t offset = expert * grouped.stride_bytes;
  args.weight.values += offset;
  if (args.weight.scales != nullptr) args.weight.scales += offset;
  if (args.weight.minima != nullptr) args.weight.minima += offset;
  if (args.bias != nullptr) args.bias += std::size_t{expert} * args.weight.num_rows;
  multiply_tile<kFormat>(args, {begin + tiles * kTileRows, end, blockIdx.x * kTileOutputs});
}

LaunchConfig by_tiles(void* stream, const ProductArgs& args, unsigned num_row_tiles) {
  return {.grid = {(args.weight.num_rows + kTileOutputs - 1) / kTileOutputs, num_row_tiles},
          .num_threads = kThreads,
          .shared_bytes = kSharedBytes,
          .stream = stream};
}

}  // namespace

void launch_matmul_tiled(void* stream, const ProductArgs& args) {
  const LaunchConfig config = by_tiles(stream, args, (args.num_rows + kTileRows - 1) / kTileRows);
  for_format(args.weight.format,
             [&](auto format) { launch(config, multiply_tiles<decltype(format)::value>, args); });
}

void launch_matmul_grouped(void* stream, const GroupedArgs& args) {
  const unsigned rows = args.product.num_rows;
  // Each expert that has rows may have one tile that is not full.
  const unsigned broken = rows < args.num_experts ? rows : args.num_experts;
  const LaunchConfig config = by_tiles(stream, args.product, rows / kTileRows + broken);
  for_format(args.product.weight.format,
             [&](auto format) { launch(config, multiply_grouped<decltype(format)::value>, args); });
}

}  // namespace millrace::cuda
