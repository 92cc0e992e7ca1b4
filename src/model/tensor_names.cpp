// The table of tensor names.
#include "model/tensor_names.h"

#include <array>

#include "base/check.h"

namespace millrace {
namespace {

// {} is the layer, <> the expert.
struct Names {
  TensorRole role;
  std::string_view hugging_face;
  std::string_view gguf;
};
constexpr std::array<Names, kNumTensorRoles> kNames = {{
    {TensorRole::kEmbedding, "model.embed_tokens.weight", "token_embd.weight"},
    {TensorRole::kFinalNorm, "model.norm.weight", "output_norm.weight"},
    {TensorRole::kOutput, "lm_head.weight", "output.weight"},
    {TensorRole::kAttentionNorm, "model.layers.{}.input_layernorm.weight",
     "blk.{}.attn_norm.weight"},
    {TensorRole::kQuery, "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"},
    {TensorRole::kKey, "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"},
    {TensorRole::kValue, "model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
    {TensorRole::kAttentionOutput, "model.layers.{}.self_attn.o_proj.weight",
     "blk.{}.attn_output.weight"},
    {TensorRole::kQueryBias, "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"},
    {TensorRole::kKeyBias, "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"},
    {TensorRole::kValueBias, "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
    {TensorRole::kAttentionOutputBias, "model.layers.{}.self_attn.o_proj.bias",
     "blk.{}.attn_output.bias"},
    {TensorRole::kQueryNorm, "model.layers.{}.self_attn.q_norm.weight",
     "blk.{}.attn_q_norm.weight"},
    {TensorRole::kKeyNorm, "model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"},
    {TensorRole::kFeedForwardNorm, "model.layers.{}.post_attention_layernorm.weight",
     "blk.{}.ffn_norm.weight"},
    {TensorRole::kGate, "model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
    {TensorRole::kUp, "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
    {TensorRole::kDown, "model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
    {TensorRole::kGateBias, "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
    {TensorRole::kUpBias, "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
    {TensorRole::kDownBias, "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
    {TensorRole::kRouter, "model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight"},
    {TensorRole::kExpertGate, "model.layers.{}.mlp.experts.<>.gate_proj.weight",
     "blk.{}.ffn_gate_exps.weight"},
    {TensorRole::kExpertUp, "model.layers.{}.mlp.experts.<>.up_proj.weight",
     "blk.{}.ffn_up_exps.weight"},
    {TensorRole::kExpertDown, "model.layers.{}.mlp.experts.<>.down_proj.weight",
     "blk.{}.ffn_down_exps.weight"},
}};

struct Override {
  std::string_view architecture;
  TensorRole role;
  std::string_view hugging_face;
};
constexpr std::array<Override, 4> kOverrides = {{
    {"MixtralForCausalLM", TensorRole::kRouter, "model.layers.{}.block_sparse_moe.gate.weight"},
    {"MixtralForCausalLM", TensorRole::kExpertGate,
     "model.layers.{}.block_sparse_moe.experts.<>.w1.weight"},
    {"MixtralForCausalLM", TensorRole::kExpertUp,
     "model.layers.{}.block_sparse_moe.experts.<>.w3.weight"},
    {"MixtralForCausalLM", TensorRole::kExpertDown,
     "model.layers.{}.block_sparse_moe.experts.<>.w2.weight"},
}};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (static_cast<std::size_t>(kNames[i].role) != i) return false;
  }
  return true;
}
static_assert(is_in_order(), "rows are looked up by role");

void replace(std::string& text, std::string_view mark, std::size_t number) {
  const std::size_t at = text.find(mark);
  if (at != std::string::npos) text.replace(at, mark.size(), std::to_string(number));
}

}  // namespace

std::string hugging_face_name(TensorRole role, std::string_view architecture, std::size_t layer,
                              std::size_t expert) {
  std::string_view pattern = kNames[static_cast<std::size_t>(role)].hugging_face;
  for (const Override& row : kOverrides) {
    if (row.architecture == architecture && row.role == role) pattern = row.hugging_face;
  }
  std::string name(pattern);
  replace(name, "{}", layer);
  replace(name, "<>", expert);
  return name;
}

std::string gguf_name(TensorRole role, std::size_t layer) {
  std::string name(kNames[static_cast<std::size_t>(role)].gguf);
  replace(name, "{}", layer);
  return name;
}

}  // namespace millrace
