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
    {TensorRole::kPositions, "model.embed_positions.weight", "position_embd.weight"},
    {TensorRole::kFinalNorm, "model.norm.weight", "output_norm.weight"},
    {TensorRole::kFinalNormBias, "model.norm.bias", "output_norm.bias"},
    {TensorRole::kOutput, "lm_head.weight", "output.weight"},
    {TensorRole::kOutputBias, "lm_head.bias", "output.bias"},
    {TensorRole::kAttentionNorm, "model.layers.{}.input_layernorm.weight",
     "blk.{}.attn_norm.weight"},
    {TensorRole::kAttentionNormBias, "model.layers.{}.input_layernorm.bias",
     "blk.{}.attn_norm.bias"},
    {TensorRole::kAttentionPostNorm, "model.layers.{}.post_attention_layernorm.weight",
     "blk.{}.post_attention_norm.weight"},
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
    {TensorRole::kFeedForwardNormBias, "model.layers.{}.post_attention_layernorm.bias",
     "blk.{}.ffn_norm.bias"},
    {TensorRole::kFeedForwardPostNorm, "model.layers.{}.post_feedforward_layernorm.weight",
     "blk.{}.post_ffw_norm.weight"},
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
    {TensorRole::kSinks, "model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight"},
    {TensorRole::kQueryDown, "model.layers.{}.self_attn.q_a_proj.weight", "blk.{}.attn_q_a.weight"},
    {TensorRole::kQueryDownBias, "model.layers.{}.self_attn.q_a_proj.bias", "blk.{}.attn_q_a.bias"},
    {TensorRole::kQueryDownNorm, "model.layers.{}.self_attn.q_a_layernorm.weight",
     "blk.{}.attn_q_a_norm.weight"},
    {TensorRole::kQueryUp, "model.layers.{}.self_attn.q_b_proj.weight", "blk.{}.attn_q_b.weight"},
    {TensorRole::kLatent, "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight",
     "blk.{}.attn_kv_a_mqa.weight"},
    {TensorRole::kLatentBias, "model.layers.{}.self_attn.kv_a_proj_with_mqa.bias",
     "blk.{}.attn_kv_a_mqa.bias"},
    {TensorRole::kLatentNorm, "model.layers.{}.self_attn.kv_a_layernorm.weight",
     "blk.{}.attn_kv_a_norm.weight"},
    {TensorRole::kSharedKey, "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight",
     "blk.{}.attn_kv_a_mqa.weight"},
    {TensorRole::kSharedKeyBias, "model.layers.{}.self_attn.kv_a_proj_with_mqa.bias",
     "blk.{}.attn_kv_a_mqa.bias"},
    {TensorRole::kHeadKey, "model.layers.{}.self_attn.kv_b_proj.weight", "blk.{}.attn_k_b.weight"},
    {TensorRole::kHeadValue, "model.layers.{}.self_attn.kv_b_proj.weight",
     "blk.{}.attn_v_b.weight"},
    {TensorRole::kRouterBias, "model.layers.{}.mlp.router.bias", "blk.{}.ffn_gate_inp.bias"},
    {TensorRole::kChoiceBias, "model.layers.{}.mlp.gate.e_score_correction_bias",
     "blk.{}.exp_probs_b.bias"},
    {TensorRole::kExpertGateBias, "model.layers.{}.mlp.experts.gate_up_proj_bias",
     "blk.{}.ffn_gate_exps.bias"},
    {TensorRole::kExpertUpBias, "model.layers.{}.mlp.experts.gate_up_proj_bias",
     "blk.{}.ffn_up_exps.bias"},
    {TensorRole::kExpertDownBias, "model.layers.{}.mlp.experts.down_proj_bias",
     "blk.{}.ffn_down_exps.bias"},
    {TensorRole::kSharedGate, "model.layers.{}.mlp.shared_experts.gate_proj.weight",
     "blk.{}.ffn_gate_shexp.weight"},
    {TensorRole::kSharedUp, "model.layers.{}.mlp.shared_experts.up_proj.weight",
     "blk.{}.ffn_up_shexp.weight"},
    {TensorRole::kSharedDown, "model.layers.{}.mlp.shared_experts.down_proj.weight",
     "blk.{}.ffn_down_shexp.weight"},
    {TensorRole::kSharedRouter, "model.layers.{}.mlp.shared_expert_gate.weight",
     "blk.{}.ffn_gate_inp_shexp.weight"},
}};

// What a family keeps elsewhere than most.
struct Override {
  std::string_view architecture;
  TensorRole role;
  std::string_view hugging_face;
  TensorLayout layout = TensorLayout::kWhole;
  bool is_transposed = false;
};
using Role = TensorRole;
using Layout = TensorLayout;
constexpr std::string_view kMixtral = "MixtralForCausalLM";
constexpr std::string_view kQwen2Moe = "Qwen2MoeForCausalLM";
constexpr std::string_view kGraniteMoe = "GraniteMoeForCausalLM";
constexpr std::string_view kGraniteInput = "model.layers.{}.block_sparse_moe.input_linear.weight";
constexpr std::string_view kGraniteOutput = "model.layers.{}.block_sparse_moe.output_linear.weight";
constexpr std::string_view kGptOss = "GptOssForCausalLM";
constexpr std::string_view kExpertsGateUp = "model.layers.{}.mlp.experts.gate_up_proj";
constexpr std::string_view kExpertsGateUpBias = "model.layers.{}.mlp.experts.gate_up_proj_bias";
constexpr std::string_view kExpertsDown = "model.layers.{}.mlp.experts.down_proj";
constexpr std::string_view kGemma2 = "Gemma2ForCausalLM";
constexpr std::string_view kGemma3 = "Gemma3ForCausalLM";
constexpr std::string_view kPhi3 = "Phi3ForCausalLM";
constexpr std::string_view kGpt2 = "GPT2LMHeadModel";
constexpr std::string_view kStarcoder2 = "Starcoder2ForCausalLM";
constexpr std::string_view kNeox = "GPTNeoXForCausalLM";
constexpr std::string_view kPhi = "PhiForCausalLM";
// clang-format off
constexpr Override kOverrides[] = {
    {kMixtral, Role::kRouter, "model.layers.{}.block_sparse_moe.gate.weight"},
    {kMixtral, Role::kExpertGate, "model.layers.{}.block_sparse_moe.experts.<>.w1.weight"},
    {kMixtral, Role::kExpertUp, "model.layers.{}.block_sparse_moe.experts.<>.w3.weight"},
    {kMixtral, Role::kExpertDown, "model.layers.{}.block_sparse_moe.experts.<>.w2.weight"},

    {kGemma2, Role::kFeedForwardNorm, "model.layers.{}.pre_feedforward_layernorm.weight"},
    {kGemma3, Role::kFeedForwardNorm, "model.layers.{}.pre_feedforward_layernorm.weight"},

    {kQwen2Moe, Role::kSharedGate, "model.layers.{}.mlp.shared_expert.gate_proj.weight"},
    {kQwen2Moe, Role::kSharedUp, "model.layers.{}.mlp.shared_expert.up_proj.weight"},
    {kQwen2Moe, Role::kSharedDown, "model.layers.{}.mlp.shared_expert.down_proj.weight"},

    {kGraniteMoe, Role::kRouter, "model.layers.{}.block_sparse_moe.router.layer.weight"},
    {kGraniteMoe, Role::kExpertGate, kGraniteInput, Layout::kExpertsGateUp},
    {kGraniteMoe, Role::kExpertUp, kGraniteInput, Layout::kExpertsGateUp},
    {kGraniteMoe, Role::kExpertDown, kGraniteOutput, Layout::kExperts},

    {kGptOss, Role::kRouter, "model.layers.{}.mlp.router.weight"},
    {kGptOss, Role::kExpertGate, kExpertsGateUp, Layout::kPairedGateUp, true},
    {kGptOss, Role::kExpertUp, kExpertsGateUp, Layout::kPairedGateUp, true},
    {kGptOss, Role::kExpertDown, kExpertsDown, Layout::kExperts, true},
    {kGptOss, Role::kExpertGateBias, kExpertsGateUpBias, Layout::kPairedGateUp},
    {kGptOss, Role::kExpertUpBias, kExpertsGateUpBias, Layout::kPairedGateUp},

    {kPhi3, Role::kQuery, "model.layers.{}.self_attn.qkv_proj.weight", Layout::kStackedQkv},
    {kPhi3, Role::kKey, "model.layers.{}.self_attn.qkv_proj.weight", Layout::kStackedQkv},
    {kPhi3, Role::kValue, "model.layers.{}.self_attn.qkv_proj.weight", Layout::kStackedQkv},
    {kPhi3, Role::kGate, "model.layers.{}.mlp.gate_up_proj.weight", Layout::kStackedGateUp},
    {kPhi3, Role::kUp, "model.layers.{}.mlp.gate_up_proj.weight", Layout::kStackedGateUp},

    {kGpt2, Role::kEmbedding, "transformer.wte.weight"},
    {kGpt2, Role::kPositions, "transformer.wpe.weight"},
    {kGpt2, Role::kFinalNorm, "transformer.ln_f.weight"},
    {kGpt2, Role::kFinalNormBias, "transformer.ln_f.bias"},
    {kGpt2, Role::kAttentionNorm, "transformer.h.{}.ln_1.weight"},
    {kGpt2, Role::kAttentionNormBias, "transformer.h.{}.ln_1.bias"},
    {kGpt2, Role::kQuery, "transformer.h.{}.attn.c_attn.weight", Layout::kStackedQkv, true},
    {kGpt2, Role::kKey, "transformer.h.{}.attn.c_attn.weight", Layout::kStackedQkv, true},
    {kGpt2, Role::kValue, "transformer.h.{}.attn.c_attn.weight", Layout::kStackedQkv, true},
    {kGpt2, Role::kQueryBias, "transformer.h.{}.attn.c_attn.bias", Layout::kStackedQkv},
    {kGpt2, Role::kKeyBias, "transformer.h.{}.attn.c_attn.bias", Layout::kStackedQkv},
    {kGpt2, Role::kValueBias, "transformer.h.{}.attn.c_attn.bias", Layout::kStackedQkv},
    {kGpt2, Role::kAttentionOutput, "transformer.h.{}.attn.c_proj.weight", Layout::kWhole, true},
    {kGpt2, Role::kAttentionOutputBias, "transformer.h.{}.attn.c_proj.bias"},
    {kGpt2, Role::kFeedForwardNorm, "transformer.h.{}.ln_2.weight"},
    {kGpt2, Role::kFeedForwardNormBias, "transformer.h.{}.ln_2.bias"},
    {kGpt2, Role::kUp, "transformer.h.{}.mlp.c_fc.weight", Layout::kWhole, true},
    {kGpt2, Role::kUpBias, "transformer.h.{}.mlp.c_fc.bias"},
    {kGpt2, Role::kDown, "transformer.h.{}.mlp.c_proj.weight", Layout::kWhole, true},
    {kGpt2, Role::kDownBias, "transformer.h.{}.mlp.c_proj.bias"},

    {kStarcoder2, Role::kUp, "model.layers.{}.mlp.c_fc.weight"},
    {kStarcoder2, Role::kUpBias, "model.layers.{}.mlp.c_fc.bias"},
    {kStarcoder2, Role::kDown, "model.layers.{}.mlp.c_proj.weight"},
    {kStarcoder2, Role::kDownBias, "model.layers.{}.mlp.c_proj.bias"},

    {kNeox, Role::kEmbedding, "gpt_neox.embed_in.weight"},
    {kNeox, Role::kFinalNorm, "gpt_neox.final_layer_norm.weight"},
    {kNeox, Role::kFinalNormBias, "gpt_neox.final_layer_norm.bias"},
    {kNeox, Role::kOutput, "embed_out.weight"},
    {kNeox, Role::kAttentionNorm, "gpt_neox.layers.{}.input_layernorm.weight"},
    {kNeox, Role::kAttentionNormBias, "gpt_neox.layers.{}.input_layernorm.bias"},
    {kNeox, Role::kQuery,
     "gpt_neox.layers.{}.attention.query_key_value.weight", Layout::kGroupedQkv},
    {kNeox, Role::kKey, "gpt_neox.layers.{}.attention.query_key_value.weight", Layout::kGroupedQkv},
    {kNeox, Role::kValue,
     "gpt_neox.layers.{}.attention.query_key_value.weight", Layout::kGroupedQkv},
    {kNeox, Role::kQueryBias,
     "gpt_neox.layers.{}.attention.query_key_value.bias", Layout::kGroupedQkv},
    {kNeox, Role::kKeyBias,
     "gpt_neox.layers.{}.attention.query_key_value.bias", Layout::kGroupedQkv},
    {kNeox, Role::kValueBias,
     "gpt_neox.layers.{}.attention.query_key_value.bias", Layout::kGroupedQkv},
    {kNeox, Role::kAttentionOutput, "gpt_neox.layers.{}.attention.dense.weight"},
    {kNeox, Role::kAttentionOutputBias, "gpt_neox.layers.{}.attention.dense.bias"},
    {kNeox, Role::kFeedForwardNorm, "gpt_neox.layers.{}.post_attention_layernorm.weight"},
    {kNeox, Role::kFeedForwardNormBias, "gpt_neox.layers.{}.post_attention_layernorm.bias"},
    {kNeox, Role::kUp, "gpt_neox.layers.{}.mlp.dense_h_to_4h.weight"},
    {kNeox, Role::kUpBias, "gpt_neox.layers.{}.mlp.dense_h_to_4h.bias"},
    {kNeox, Role::kDown, "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight"},
    {kNeox, Role::kDownBias, "gpt_neox.layers.{}.mlp.dense_4h_to_h.bias"},

    {kPhi, Role::kFinalNorm, "model.final_layernorm.weight"},
    {kPhi, Role::kFinalNormBias, "model.final_layernorm.bias"},
    {kPhi, Role::kAttentionOutput, "model.layers.{}.self_attn.dense.weight"},
    {kPhi, Role::kAttentionOutputBias, "model.layers.{}.self_attn.dense.bias"},
    {kPhi, Role::kUp, "model.layers.{}.mlp.fc1.weight"},
    {kPhi, Role::kUpBias, "model.layers.{}.mlp.fc1.bias"},
    {kPhi, Role::kDown, "model.layers.{}.mlp.fc2.weight"},
    {kPhi, Role::kDownBias, "model.layers.{}.mlp.fc2.bias"},
};
// clang-format on

// The beginnings of names that tools spell in more than one way.
struct Spelling {
  std::string_view architecture;
  std::string_view ours;
  std::string_view other;
};
constexpr Spelling kSpellings[] = {
    {kGpt2, "transformer.", ""},  // as the first published files have it
    // The text part of a model that also sees, in newer and older files.
    {kGemma3, "model.", "model.language_model."},
    {kGemma3, "model.", "language_model.model."},
    {kGemma3, "lm_head.", "language_model.lm_head."},
};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (static_cast<std::size_t>(kNames[i].role) != i) return false;
  }
  return true;
}
static_assert(is_in_order(), "rows are looked up by role");

}  // namespace

bool is_norm_weight(TensorRole role) {
  switch (role) {
    case TensorRole::kFinalNorm:
    case TensorRole::kAttentionNorm:
    case TensorRole::kAttentionPostNorm:
    case TensorRole::kFeedForwardNorm:
    case TensorRole::kFeedForwardPostNorm:
    case TensorRole::kQueryNorm:
    case TensorRole::kKeyNorm:
    case TensorRole::kQueryDownNorm:
    case TensorRole::kLatentNorm:
      return true;
    default:
      return false;
  }
}

TensorLayout usual_layout(TensorRole role) {
  switch (role) {
    case TensorRole::kLatent:
    case TensorRole::kLatentBias:
    case TensorRole::kSharedKey:
    case TensorRole::kSharedKeyBias:
      return TensorLayout::kLatentRows;
    case TensorRole::kHeadKey:
    case TensorRole::kHeadValue:
      return TensorLayout::kHeadRows;
    case TensorRole::kExpertGateBias:
    case TensorRole::kExpertUpBias:
    case TensorRole::kExpertDownBias:
      return TensorLayout::kExperts;
    default:
      return TensorLayout::kWhole;
  }
}

namespace {

void replace(std::string& text, std::string_view mark, std::size_t number) {
  const std::size_t at = text.find(mark);
  if (at != std::string::npos) text.replace(at, mark.size(), std::to_string(number));
}

}  // namespace

TensorPlace hugging_face_place(TensorRole role, std::string_view architecture, std::size_t layer,
                               std::size_t expert) {
  std::string_view pattern = kNames[static_cast<std::size_t>(role)].hugging_face;
  TensorPlace place{
      .name = {}, .layout = usual_layout(role), .is_transposed = role == TensorRole::kHeadKey};
  for (const Override& row : kOverrides) {
    if (row.architecture != architecture || row.role != role) continue;
    pattern = row.hugging_face;
    place.layout = row.layout;
    place.is_transposed = row.is_transposed;
  }
  place.name = pattern;
  replace(place.name, "{}", layer);
  replace(place.name, "<>", expert);
  return place;
}

std::string hugging_face_name(TensorRole role, std::string_view architecture, std::size_t layer,
                              std::size_t expert) {
  return hugging_face_place(role, architecture, layer, expert).name;
}

std::vector<std::string> spellings_of(const std::string& name, std::string_view architecture) {
  std::vector<std::string> spellings;
  for (const Spelling& row : kSpellings) {
    if (row.architecture != architecture || !name.starts_with(row.ours)) continue;
    spellings.push_back(std::string(row.other) + name.substr(row.ours.size()));
  }
  return spellings;
}

std::string gguf_fused_name(TensorRole role, std::size_t layer) {
  const std::string block = "blk." + std::to_string(layer);
  switch (role) {
    case TensorRole::kQuery:
    case TensorRole::kKey:
    case TensorRole::kValue:
      return block + ".attn_qkv.weight";
    case TensorRole::kQueryBias:
    case TensorRole::kKeyBias:
    case TensorRole::kValueBias:
      return block + ".attn_qkv.bias";
    default:
      return "";
  }
}

std::string gguf_name(TensorRole role, std::size_t layer) {
  std::string name(kNames[static_cast<std::size_t>(role)].gguf);
  replace(name, "{}", layer);
  return name;
}

}  // namespace millrace
