// The bytes of the KV cache: every layer's keys and values in one buffer, and how many they are.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "tensor/buffer.h"
#include "tensor/kv_view.h"

namespace millrace {

struct KvLayerSpec {
  DType dtype = DType::kF16;  // f32, f16, bf16 or i8
  std::uint32_t num_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t value_head_dim = 0;
  bool operator==(const KvLayerSpec&) const = default;
};

struct KvCacheSpec {
  std::vector<KvLayerSpec> layers;
  // 16 tokens waste 8 slots of a sequence on average and give block tables short enough to walk.
  std::uint32_t block_tokens = 16;
};

// Bytes of one block over all layers, alignment included; kInvalidArgument naming the layer and
// field when a number is outside its limit.
Result<std::uint64_t> kv_bytes_per_block(const KvCacheSpec& spec);
// Bytes of one token over all layers in exact terms: no padding, int8 scales included.
Result<std::uint64_t> kv_bytes_per_token(const KvCacheSpec& spec);

// Owns the bytes. Layer after layer, each with all of its blocks:
//
//   | layer 0: block 0 | block 1 | … | block N-1 | layer 1: block 0 | … |
//
// What a block looks like inside is drawn in tensor/kv_view.h. Which blocks are in use is the
// BlockPool's business. Bytes are zero, and not resident, until they are first written.
class KvCache {
 public:
  // In the CPU's memory, or in a device's, which outlives the cache.
  static Result<KvCache> create(const KvCacheSpec& spec, std::uint32_t num_blocks,
                                DeviceMemory* memory = nullptr);

  // Valid as long as this object lives, wherever it is moved.
  KvView view() const { return {layers_}; }
  const KvCacheSpec& spec() const { return spec_; }
  std::uint32_t num_blocks() const { return num_blocks_; }
  std::uint64_t num_bytes() const { return buffer_.bytes().size(); }

 private:
  KvCache() = default;

  KvCacheSpec spec_;
  std::uint32_t num_blocks_ = 0;
  Buffer buffer_;
  std::vector<KvLayerView> layers_;
};

}  // namespace millrace
