// Attention by one warp for each token and head, in f32: any shape and any option. The simplest
// that is right, and the oracle of the tiled kernel.
#include "kernels/cuda/kernels/kv_slots.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;
constexpr unsigned kWarps = kThreads / kWarpLanes;
constexpr unsigned kTile = 64;                                                // positions
constexpr unsigned kValuesMax = (kHeadDimMax + kWarpLanes - 1) / kWarpLanes;  // of a lane

__device__ inline float element(const KvSlot& slot, DType dtype, unsigned d, unsigned offset) {
  const std::size_t at = slot.first + d * slot.stride;
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(slot.data)[at];
  if (dtype == DType::kI8) {
    return slot.scales[offset] *
           static_cast<float>(reinterpret_cast<const std::int8_t*>(slot.data)[at]);
  }
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(slot.data)[at];
  return dtype == DType::kF16 ? f16_to_float(bits) : bf16_to_float(bits);
}

// What a row has met so far: the softmax's maximum, its sum, and this lane's part of the output.
struct RowState {
  float highest = -INFINITY;
  float total = 0.0f;
  float values[kValuesMax] = {};
};

__device__ inline float score_of(const AttentionArgs& args, const float* q, std::uint32_t block,
                                 unsigned kv, unsigned offset) {
  const KvSlot slot = key_slot(args.cache, block, kv, offset);
  float sum = 0;
  for (unsigned d = 0; d < args.cache.head_dim; ++d) {
    sum = fmaf(q[d], element(slot, args.cache.dtype, d, offset), sum);
  }
  sum *= args.scale;
  return args.softcap > 0 ? args.softcap * tanhf(sum / args.softcap) : sum;
}

// Positions [begin, end), of one tile. Each lane scores two of them, then takes its elements of
// all values.
__device__ inline void meet_tile(const AttentionArgs& args, const float* q,
                                 const std::uint32_t* blocks, unsigned kv, unsigned begin,
                                 unsigned end, RowState& state) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  float scores[kTile / kWarpLanes];
  float highest = state.highest;
#pragma unroll
  for (unsigned i = 0; i < kTile / kWarpLanes; ++i) {
    const unsigned pos = begin + i * kWarpLanes + lane;
    scores[i] = -INFINITY;
    if (pos < end) {
      const unsigned block_tokens = args.cache.block_tokens;
      scores[i] = score_of(args, q, blocks[pos / block_tokens], kv, pos % block_tokens);
    }
    highest = scores[i] > highest || scores[i] != scores[i] ? scores[i] : highest;
  }
  float of_warp = warp_max(highest);
  // A NaN must come through, and a maximum passes it over.
  if (warp_sum(highest != highest ? 1.0f : 0.0f) > 0) of_warp = NAN;
  const float shrink = state.highest == of_warp ? 1.0f : expf(state.highest - of_warp);
  state.highest = of_warp;
  state.total *= shrink;
#pragma unroll
  for (unsigned v = 0; v < kValuesMax; ++v) state.values[v] *= shrink;
#pragma unroll
  for (unsigned i = 0; i < kTile / kWarpLanes; ++i) {
    const unsigned first = begin + i * kWarpLanes;
    const float mine = first + lane < end ? expf(scores[i] - of_warp) : 0.0f;
    state.total += mine;
    for (unsigned j = 0; j < kWarpLanes && first + j < end; ++j) {
      const float weight = shuffle_from(mine, j);
      const unsigned offset = (first + j) % args.cache.block_tokens;
      const KvSlot slot =
          value_slot(args.cache, blocks[(first + j) / args.cache.block_tokens], kv, offset);
      for (unsigned v = 0; v * kWarpLanes + lane < args.cache.value_head_dim; ++v) {
        state.values[v] =
            fmaf(weight, element(slot, args.cache.dtype, v * kWarpLanes + lane, offset),
                 state.values[v]);
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads) attend_plain(AttentionArgs args) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned unit = blockIdx.x * kWarps + threadIdx.x / kWarpLanes;
  if (unit >= args.batch.num_tokens * args.num_heads) return;
  const std::size_t token = unit / args.num_heads;
  const unsigned head = unit % args.num_heads;
  const unsigned kv = head / (args.num_heads / args.cache.num_kv_heads);
  const unsigned b = sequence_of(args.batch, static_cast<unsigned>(token));
  if (b == args.batch.num_sequences) return;
  const auto pos =
      static_cast<unsigned>(args.batch.context_tokens[b] + token - args.batch.chunk_begin[b]);
  const unsigned first = args.window > 0 && pos >= args.window ? pos - args.window + 1 : 0;
  const std::uint32_t* blocks = args.batch.block_table + b * args.batch.block_table_stride;
  const float* q = args.q.data + token * args.q.stride + head * args.cache.head_dim;
  RowState state;
  if (args.sinks != nullptr && args.sinks[head] > -INFINITY) {
    state.highest = args.sinks[head];
    state.total = lane == 0 ? 1.0f : 0.0f;
  }
  for (unsigned tile = first / kTile * kTile; tile <= pos; tile += kTile) {
    // Tiles lie at multiples of their size, whatever the window cuts off.
    meet_tile(args, q, blocks, kv, tile < first ? first : tile,
              tile + kTile < pos + 1 ? tile + kTile : pos + 1, state);
  }
  const float total = warp_sum(state.total);
  float* y = args.y.data + token * args.y.stride + head * args.cache.value_head_dim;
  const std::size_t width = std::size_t{args.num_heads} * args.cache.value_head_dim;
  for (unsigned v = 0; v * kWarpLanes + lane < args.cache.value_head_dim; ++v) {
    const unsigned d = v * kWarpLanes + lane;
    y[d] = state.values[v] / total;
    if (args.twin != nullptr) {
      args.twin[token * width + head * args.cache.value_head_dim + d] = to_bf16(y[d]);
    }
  }
}

}  // namespace

void launch_attention_plain(void* stream, const AttentionArgs& args) {
  const unsigned units = args.batch.num_tokens * args.num_heads;
  launch({.grid = {(units + kWarps - 1) / kWarps},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         attend_plain, args);
}

}  // namespace millrace::cuda
