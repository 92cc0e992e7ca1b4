// What a kernel needs to find the keys and values of a token in the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "tensor/dtype.h"

namespace millrace {

// One layer of the cache: `num_blocks` blocks of `block_tokens` tokens each.
//
//   block:      | kv head 0          | kv head 1 | … | kv head K-1 |
//   kv head:    | K [D, N_b] | V [N_b, D_v] | K scales [N_b] f32 | V scales [N_b] f32 |   (scales:
//   i8 only)
//
// Keys lie with the tokens of a block side by side: a vector of scores is a sum over d of q[d]
// times a vector of keys, without a sum along a vector. Values lie token by token, for the same
// reason. In i8 a head's vector of one token is x = scale * q with q in -127..127: one scale per
// (token, head), so a slot's bytes depend on that token alone. Every part begins on a multiple of
// kKvAlignment bytes.
struct KvLayerView {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;  // f32, f16, bf16 or i8
  std::uint32_t num_kv_heads = 0;
  std::uint32_t head_dim = 0;        // of keys
  std::uint32_t value_head_dim = 0;  // of values; differs from head_dim in some families
  std::uint32_t block_tokens = 0;
  std::uint32_t num_blocks = 0;

  std::size_t key_bytes() const;    // K of one head in one block, padded
  std::size_t value_bytes() const;  // V of one head in one block, padded
  std::size_t scale_bytes() const;  // one row of scales, padded; 0 unless i8
  std::size_t head_bytes() const { return key_bytes() + value_bytes() + 2 * scale_bytes(); }
  std::size_t block_bytes() const { return head_bytes() * num_kv_heads; }

  std::byte* head(std::uint32_t block, std::uint32_t kv_head) const {
    DCHECK(block < num_blocks);
    DCHECK(kv_head < num_kv_heads);
    return data + std::size_t{block} * block_bytes() + std::size_t{kv_head} * head_bytes();
  }
  std::byte* keys(std::uint32_t block, std::uint32_t kv_head) const { return head(block, kv_head); }
  std::byte* values(std::uint32_t block, std::uint32_t kv_head) const {
    return head(block, kv_head) + key_bytes();
  }
  float* key_scales(std::uint32_t block, std::uint32_t kv_head) const {
    return reinterpret_cast<float*>(head(block, kv_head) + key_bytes() + value_bytes());
  }
  float* value_scales(std::uint32_t block, std::uint32_t kv_head) const {
    return reinterpret_cast<float*>(head(block, kv_head) + key_bytes() + value_bytes() +
                                    scale_bytes());
  }
};

inline constexpr std::size_t kKvAlignment = 64;  // One cache line, and a full AVX-512 load.

inline std::size_t kv_padded(std::size_t num_bytes) {
  return (num_bytes + kKvAlignment - 1) / kKvAlignment * kKvAlignment;
}
inline std::size_t KvLayerView::key_bytes() const {
  return kv_padded(std::size_t{block_tokens} * head_dim * element_bytes(dtype));
}
inline std::size_t KvLayerView::value_bytes() const {
  return kv_padded(std::size_t{block_tokens} * value_head_dim * element_bytes(dtype));
}
inline std::size_t KvLayerView::scale_bytes() const {
  return dtype == DType::kI8 ? kv_padded(std::size_t{block_tokens} * sizeof(float)) : 0;
}

// All layers; owned by memory's KvCache, borrowed for one step.
struct KvView {
  std::span<const KvLayerView> layers;
};

}  // namespace millrace
