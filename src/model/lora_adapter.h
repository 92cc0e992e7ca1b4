// A low-rank adapter of one model: pairs of small matrices, packed, by layer and matrix.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/ops.h"
#include "model/model_spec.h"
#include "model/tensor_names.h"
#include "tensor/buffer.h"

namespace millrace {

// The matrices of a layer that an adapter may add to.
enum class LoraSlot : std::uint8_t { kQuery, kKey, kValue, kAttentionOutput, kGate, kUp, kDown };
inline constexpr std::size_t kNumLoraSlots = 7;

// Where the pair of a slot lies among all of an adapter's.
constexpr std::size_t lora_index(std::size_t layer, LoraSlot slot) {
  return layer * kNumLoraSlots + static_cast<std::size_t>(slot);
}

// Published adapters have ranks of 4 to 256.
inline constexpr std::size_t kLoraRankMax = 1024;

struct LoraLimits {
  std::size_t rank_max = 64;
  std::uint64_t bytes_max = 1ull << 30;  // packed, of one adapter
};

// Const after construction: any thread. Borrows nothing.
class LoraAdapter {
 public:
  // Reads a folder that Hugging Face's PEFT has written: adapter_config.json and
  // adapter_model.safetensors. kUnsupported naming the option or the module that is not
  // implemented, kCorruptData naming the tensor, found and expected, kTooLarge with both numbers.
  // `id` tells it from every other adapter that was ever loaded for this model; not 0.
  static Result<std::unique_ptr<const LoraAdapter>> load(const std::string& folder,
                                                         const ModelSpec& spec,
                                                         const LoraLimits& limits,
                                                         std::uint64_t id);

  std::uint64_t id() const { return id_; }
  std::size_t rank_max() const { return rank_max_; }
  std::uint64_t num_bytes() const { return num_bytes_; }
  // Layer after layer, kNumLoraSlots each; empty pairs where it adds nothing.
  std::span<const LoraPair> pairs() const { return pairs_; }

 private:
  LoraAdapter() = default;

  std::uint64_t id_ = 0;
  std::size_t rank_max_ = 0;
  std::uint64_t num_bytes_ = 0;
  std::vector<LoraPair> pairs_;
  Buffer bytes_;  // of all pairs
};

}  // namespace millrace
