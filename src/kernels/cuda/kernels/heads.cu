// Work over the heads of tokens: rope, copies of parts, and the way into the paged cache.
#include "kernels/cuda/kernels/kv_slots.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {
namespace {

constexpr unsigned kThreads = 128;

// In double, like every other row of kernels.
__global__ void __launch_bounds__(kThreads)
    rope_angle_elements(RopeAngles args, MutableRows cosines, MutableRows sines) {
  const std::size_t at = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= std::size_t{args.num_tokens} * args.num_pairs) return;
  const std::size_t token = at / args.num_pairs;
  const std::size_t pair = at % args.num_pairs;
  const double angle = static_cast<double>(args.positions[token]) * args.inverse_frequencies[pair];
  cosines.data[token * cosines.stride + pair] =
      static_cast<float>(cos(angle) * args.attention_factor);
  sines.data[token * sines.stride + pair] = static_cast<float>(sin(angle) * args.attention_factor);
}

// A block for a token: its threads take the pairs of all heads.
__global__ void __launch_bounds__(kThreads) rope_heads(RopeArgs args, MutableRows x) {
  const std::size_t token = blockIdx.x;
  const float* cosines = args.cos.data + token * args.cos.stride;
  const float* sines = args.sin.data + token * args.sin.stride;
  const unsigned total = args.extent.num_heads * args.num_pairs;
  for (unsigned at = threadIdx.x; at < total; at += kThreads) {
    const unsigned pair = at % args.num_pairs;
    float* head = x.data + token * x.stride + at / args.num_pairs * args.extent.head_dim;
    const bool is_adjacent = args.pairs == RopePairs::kAdjacent;
    float& first = head[is_adjacent ? 2 * pair : pair];
    float& second = head[is_adjacent ? 2 * pair + 1 : pair + args.num_pairs];
    const float a = first;
    const float b = second;
    first = a * cosines[pair] - b * sines[pair];
    second = b * cosines[pair] + a * sines[pair];
  }
}

__global__ void __launch_bounds__(kThreads) copy_head_parts(HeadCopy copy) {
  const std::size_t token = blockIdx.x;
  const unsigned total = copy.num_heads * copy.count;
  for (unsigned at = threadIdx.x; at < total; at += kThreads) {
    const unsigned head = at / copy.count;
    const unsigned element = at % copy.count;
    copy.to.data[token * copy.to.stride + head * copy.to_head_dim + element] =
        copy.from.data[token * copy.from.stride + head * copy.from_head_dim + element];
  }
}

// Writes one head's vector; i8 with a scale of its own. A warp.
__device__ inline void store_vector(const float* x, unsigned count, DType dtype, const KvSlot& slot,
                                    std::size_t offset) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  float scale = 1.0f;
  float inverse = 0.0f;
  if (dtype == DType::kI8) {
    float highest = 0.0f;
    float sum = 0.0f;  // NaN and infinities show in it times zero.
    for (unsigned d = lane; d < count; d += kWarpLanes) {
      const float magnitude = fabsf(x[d]);
      highest = magnitude > highest ? magnitude : highest;
      sum += x[d] * 0.0f;
    }
    highest = warp_max(highest);
    scale = highest / 127.0f + warp_sum(sum);
    inverse = highest > 0 ? 127.0f / highest : 0.0f;
    if (lane == 0) slot.scales[offset] = scale;
  }
  for (unsigned d = lane; d < count; d += kWarpLanes) {
    const std::size_t at = slot.first + d * slot.stride;
    if (dtype == DType::kF32) {
      reinterpret_cast<float*>(slot.data)[at] = x[d];
    } else if (dtype == DType::kI8) {
      // A vector that holds a NaN or an infinity is NaN by its scale; its quants may be anything.
      const float q = scale == scale ? rintf(x[d] * inverse) : 0.0f;
      reinterpret_cast<std::int8_t*>(slot.data)[at] = static_cast<std::int8_t>(q);
    } else {
      reinterpret_cast<std::uint16_t*>(slot.data)[at] =
          dtype == DType::kF16 ? to_f16(x[d]) : to_bf16(x[d]);
    }
  }
}

// A warp for a token and kv head.
__global__ void __launch_bounds__(kThreads)
    store_kv(Rows keys, Rows values, DeviceBatch batch, KvLayerView cache) {
  const unsigned unit = blockIdx.x * (kThreads / kWarpLanes) + threadIdx.x / kWarpLanes;
  if (unit >= batch.num_tokens * cache.num_kv_heads) return;
  const unsigned token = unit / cache.num_kv_heads;
  const unsigned head = unit % cache.num_kv_heads;
  const unsigned b = sequence_of(batch, token);
  // A token that belongs to no sequence fills up a step whose size is fixed.
  if (b == batch.num_sequences) return;
  const unsigned pos = batch.context_tokens[b] + token - batch.chunk_begin[b];
  const std::uint32_t block =
      batch.block_table[b * batch.block_table_stride + pos / cache.block_tokens];
  const unsigned offset = pos % cache.block_tokens;
  store_vector(keys.data + token * keys.stride + head * cache.head_dim, cache.head_dim, cache.dtype,
               key_slot(cache, block, head, offset), offset);
  store_vector(values.data + token * values.stride + head * cache.value_head_dim,
               cache.value_head_dim, cache.dtype, value_slot(cache, block, head, offset), offset);
}

}  // namespace

void launch_rope_angles(void* stream, const RopeAngles& args, MutableRows cosines,
                        MutableRows sines) {
  const std::size_t total = std::size_t{args.num_tokens} * args.num_pairs;
  launch({.grid = {static_cast<unsigned>((total + kThreads - 1) / kThreads)},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         rope_angle_elements, args, cosines, sines);
}
void launch_rope(void* stream, const RopeArgs& args, MutableRows x) {
  launch({.grid = {args.extent.num_tokens},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         rope_heads, args, x);
}
void launch_copy_heads(void* stream, const HeadCopy& copy) {
  launch({.grid = {copy.num_tokens}, .num_threads = kThreads, .shared_bytes = 0, .stream = stream},
         copy_head_parts, copy);
}
void launch_kv_store(void* stream, Rows keys, Rows values, const DeviceBatch& batch,
                     const KvLayerView& cache) {
  constexpr unsigned kWarps = kThreads / kWarpLanes;
  const unsigned units = batch.num_tokens * cache.num_kv_heads;
  launch({.grid = {(units + kWarps - 1) / kWarps},
          .num_threads = kThreads,
          .shared_bytes = 0,
          .stream = stream},
         store_kv, keys, values, batch, cache);
}

}  // namespace millrace::cuda
