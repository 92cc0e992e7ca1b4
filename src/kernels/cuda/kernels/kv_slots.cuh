// Device code that finds its way in a step and in the paged cache; the layout is KvLayerView's.
#pragma once

#include "kernels/cuda/device_code.h"
#include "kernels/cuda/launchers.h"

namespace millrace::cuda {

// One token's vector of a kv head: element d lies `first + d * stride` elements into data.
struct KvSlot {
  std::byte* data = nullptr;
  std::size_t first = 0;
  std::size_t stride = 1;
  float* scales = nullptr;  // of the head's block; i8 only
};

__device__ inline std::size_t kv_element_bytes(DType dtype) {
  return dtype == DType::kF32 ? 4 : (dtype == DType::kI8 ? 1 : 2);
}
__device__ inline std::size_t kv_part_bytes(std::size_t num_bytes) {
  return (num_bytes + kKvAlignment - 1) / kKvAlignment * kKvAlignment;
}
// The parts of a head in a block, as KvLayerView's methods give them on the host.
struct KvHead {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  float* key_scales = nullptr;  // i8 only, as are value_scales
  float* value_scales = nullptr;
};
__device__ inline KvHead kv_head(const KvLayerView& cache, std::uint32_t block, unsigned head) {
  const std::size_t element = kv_element_bytes(cache.dtype);
  const std::size_t key_bytes =
      kv_part_bytes(std::size_t{cache.block_tokens} * cache.head_dim * element);
  const std::size_t value_bytes =
      kv_part_bytes(std::size_t{cache.block_tokens} * cache.value_head_dim * element);
  const std::size_t scale_bytes =
      cache.dtype == DType::kI8 ? kv_part_bytes(cache.block_tokens * sizeof(float)) : 0;
  const std::size_t head_bytes = key_bytes + value_bytes + 2 * scale_bytes;
  std::byte* data = cache.data + (std::size_t{block} * cache.num_kv_heads + head) * head_bytes;
  return {data, data + key_bytes, reinterpret_cast<float*>(data + key_bytes + value_bytes),
          reinterpret_cast<float*>(data + key_bytes + value_bytes + scale_bytes)};
}
__device__ inline KvSlot key_slot(const KvLayerView& cache, std::uint32_t block, unsigned head,
                                  unsigned offset) {
  const KvHead parts = kv_head(cache, block, head);
  return {parts.keys, offset, cache.block_tokens, parts.key_scales};
}
__device__ inline KvSlot value_slot(const KvLayerView& cache, std::uint32_t block, unsigned head,
                                    unsigned offset) {
  const KvHead parts = kv_head(cache, block, head);
  return {parts.values, std::size_t{offset} * cache.value_head_dim, 1, parts.value_scales};
}

// Whose chunk a token is in; num_sequences when it is in none.
__device__ inline unsigned sequence_of(const DeviceBatch& batch, unsigned token) {
  unsigned low = 0;
  unsigned high = batch.num_sequences;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (batch.chunk_begin[middle + 1] <= token) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace millrace::cuda
