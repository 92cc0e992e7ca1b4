// What each tensor of a checkpoint is for, and what Hugging Face and GGUF call it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

enum class TensorRole : std::uint8_t {
  kEmbedding,
  kPositions,  // learned ones, added to the embeddings
  kFinalNorm,
  kFinalNormBias,
  kOutput,
  kOutputBias,
  kAttentionNorm,  // the first role of a layer's
  kAttentionNormBias,
  kAttentionPostNorm,
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
  kFeedForwardNormBias,
  kFeedForwardPostNorm,
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
  kSinks,
  kQueryDown,  // latent attention, down to kHeadValue; kQueryUp and kQuery exclude each other
  kQueryDownBias,
  kQueryDownNorm,
  kQueryUp,
  kLatent,
  kLatentBias,
  kLatentNorm,
  kSharedKey,
  kSharedKeyBias,
  kHeadKey,  // one of each head, numbered as experts are
  kHeadValue,
  kRouterBias,
  kChoiceBias,
  kExpertGateBias,  // of all experts
  kExpertUpBias,
  kExpertDownBias,
  kSharedGate,
  kSharedUp,
  kSharedDown,
  kSharedRouter,
};
inline constexpr std::size_t kNumTensorRoles = 53;

// Which part of a stored tensor is the one that a role means.
enum class TensorLayout : std::uint8_t {
  kWhole,
  kStackedQkv,     // all rows of q, then of k, then of v
  kGroupedQkv,     // for each key/value head: its queries' rows, its key's, its value's
  kStackedGateUp,  // all rows of gate, then of up
  kLatentRows,     // rows of the latent, then of the shared key
  kHeadRows,       // for each head: rows of its plain keys, then of its values
  kExperts,        // the matrix (or vector) of every expert or head
  kPairedGateUp,   // the same, each one a row of gate, a row of up, and so forth
  kExpertsGateUp,  // the same, each one all rows of gate, then of up
};

struct TensorPlace {
  std::string name;
  TensorLayout layout = TensorLayout::kWhole;
  bool is_transposed = false;  // a matrix stored as [inputs, outputs]
};

// The factors of a norm; not its bias.
bool is_norm_weight(TensorRole role);

// Where no family says otherwise.
TensorLayout usual_layout(TensorRole role);
// Where a family keeps a tensor: "model.layers.3.self_attn.q_proj.weight" and the like.
TensorPlace hugging_face_place(TensorRole role, std::string_view architecture,
                               std::size_t layer = 0, std::size_t expert = 0);
// The same name as other tools spell it, as for "transformer.h.0" and "h.0"; empty for none.
std::vector<std::string> spellings_of(const std::string& name, std::string_view architecture);

// hugging_face_place(...).name.
std::string hugging_face_name(TensorRole role, std::string_view architecture, std::size_t layer = 0,
                              std::size_t expert = 0);
// "blk.3.attn_q.weight".
std::string gguf_name(TensorRole role, std::size_t layer = 0);
// Where some architectures keep q, k and v (and their biases): "blk.3.attn_qkv.weight"; empty for
// other roles.
std::string gguf_fused_name(TensorRole role, std::size_t layer);

}  // namespace millrace
