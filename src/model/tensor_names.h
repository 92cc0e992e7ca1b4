// What each tensor of a checkpoint is for, and what Hugging Face and GGUF call it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

enum class TensorRole : std::uint8_t {
  kEmbedding,
  kFinalNorm,
  kOutput,
  kAttentionNorm,
  kQuery,
  kKey,
  kValue,
  kAttentionOutput,
  kQueryBias,
  kKeyBias,
  kValueBias,
  kAttentionOutputBias,
  kQueryNorm,
  kKeyNorm,
  kFeedForwardNorm,
  kGate,
  kUp,
  kDown,
  kGateBias,
  kUpBias,
  kDownBias,
  kRouter,
  kExpertGate,  // one tensor per expert in Hugging Face, one of [X, F, E] for all in GGUF
  kExpertUp,
  kExpertDown,
};
inline constexpr std::size_t kNumTensorRoles = 25;

// "model.layers.3.self_attn.q_proj.weight". The names of experts differ between families.
std::string hugging_face_name(TensorRole role, std::string_view architecture, std::size_t layer = 0,
                              std::size_t expert = 0);
// "blk.3.attn_q.weight".
std::string gguf_name(TensorRole role, std::size_t layer = 0);

}  // namespace millrace
