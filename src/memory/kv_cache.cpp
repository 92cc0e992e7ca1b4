// Sizes of the KV cache, checked in 64 bits, and the views into its one buffer.
#include "memory/kv_cache.h"

#include <string>

#include "base/checked.h"

namespace millrace {
namespace {

// Far above every model there is; their product stays below 2^52 bytes for one layer's block.
constexpr std::uint32_t kLayersMax = 4096;
constexpr std::uint32_t kHeadsMax = 65536;
constexpr std::uint32_t kHeadDimMax = 65536;
constexpr std::uint32_t kBlockTokensMax = 1024;

Status check_number(const std::string& name, std::uint64_t found, std::uint64_t max) {
  if (found >= 1 && found <= max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "KV cache: " + name + " is " + std::to_string(found) +
                                                ", expected 1 to " + std::to_string(max)};
}

bool is_cache_type(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kI8;
}

Status check_spec(const KvCacheSpec& spec) {
  TRY(check_number("number of layers", spec.layers.size(), kLayersMax));
  TRY(check_number("block_tokens", spec.block_tokens, kBlockTokensMax));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const KvLayerSpec& layer = spec.layers[i];
    const std::string where = "layer " + std::to_string(i) + " ";
    TRY(check_number(where + "num_kv_heads", layer.num_kv_heads, kHeadsMax));
    TRY(check_number(where + "head_dim", layer.head_dim, kHeadDimMax));
    TRY(check_number(where + "value_head_dim", layer.value_head_dim, kHeadDimMax));
    if (!is_cache_type(layer.dtype)) {
      return Error{ErrorCode::kInvalidArgument, "KV cache: " + where + "dtype is " +
                                                    std::string(dtype_name(layer.dtype)) +
                                                    ", expected f32, f16, bf16 or i8"};
    }
  }
  return Ok{};
}

KvLayerView layer_view(const KvCacheSpec& spec, const KvLayerSpec& layer) {
  return {.data = nullptr,
          .dtype = layer.dtype,
          .num_kv_heads = layer.num_kv_heads,
          .head_dim = layer.head_dim,
          .value_head_dim = layer.value_head_dim,
          .block_tokens = spec.block_tokens,
          .num_blocks = 0};
}

}  // namespace

Result<std::uint64_t> kv_bytes_per_block(const KvCacheSpec& spec) {
  TRY(check_spec(spec));
  std::uint64_t sum = 0;
  for (const KvLayerSpec& layer : spec.layers) sum += layer_view(spec, layer).block_bytes();
  return sum;  // At most 4096 layers of at most 2^45 bytes: no overflow.
}

Result<std::uint64_t> kv_bytes_per_token(const KvCacheSpec& spec) {
  TRY(check_spec(spec));
  std::uint64_t sum = 0;
  for (const KvLayerSpec& layer : spec.layers) {
    const std::uint64_t dims = std::uint64_t{layer.head_dim} + layer.value_head_dim;
    const std::uint64_t scales = layer.dtype == DType::kI8 ? 2 * sizeof(float) : 0;
    sum += layer.num_kv_heads * (dims * element_bytes(layer.dtype) + scales);
  }
  return sum;
}

Result<KvCache> KvCache::create(const KvCacheSpec& spec, std::uint32_t num_blocks,
                                DeviceMemory* memory) {
  const std::uint64_t block_bytes = TRY(kv_bytes_per_block(spec));
  TRY(check_number("number of blocks", num_blocks, UINT32_MAX));
  const std::optional<std::uint64_t> num_bytes = checked_mul(block_bytes, num_blocks);
  if (!num_bytes) {
    return Error{ErrorCode::kTooLarge, "KV cache: " + std::to_string(num_blocks) + " blocks of " +
                                           std::to_string(block_bytes) + " bytes exceed 64 bits"};
  }
  Result<Buffer> buffer =
      memory == nullptr ? Buffer::allocate(*num_bytes) : Buffer::allocate(*num_bytes, *memory);
  if (!buffer.ok()) return with_context(std::move(buffer).error(), "KV cache");

  KvCache cache;
  cache.spec_ = spec;
  cache.num_blocks_ = num_blocks;
  cache.buffer_ = std::move(buffer).value();
  std::byte* data = cache.buffer_.bytes().data();
  for (const KvLayerSpec& layer : spec.layers) {
    KvLayerView view = layer_view(spec, layer);
    view.data = data;
    view.num_blocks = num_blocks;
    data += view.block_bytes() * num_blocks;
    cache.layers_.push_back(view);
  }
  CHECK(data == cache.buffer_.bytes().data() + *num_bytes);
  return cache;
}

}  // namespace millrace
