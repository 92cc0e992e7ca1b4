// The table of shapes. Numbers are those of each repository's config.json.
#include "model/public_shapes.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace millrace {
namespace {

constexpr std::string_view kLlama = "LlamaForCausalLM";
constexpr std::string_view kMistral = "MistralForCausalLM";
constexpr std::string_view kMixtral = "MixtralForCausalLM";
constexpr std::string_view kQwen2 = "Qwen2ForCausalLM";
constexpr std::string_view kQwen3 = "Qwen3ForCausalLM";
constexpr std::string_view kQwen3Moe = "Qwen3MoeForCausalLM";

// clang-format off
// name, repository, architecture, hidden, layers, heads, KV heads, head_dim, width, vocabulary,
// context
constexpr std::array kShapes = {
    PublicShape{"llama-2-7b", "meta-llama/Llama-2-7b-hf", kLlama,
                4096, 32, 32, 32, 128, 11008, 32000, 4096},
    PublicShape{"llama-2-13b", "meta-llama/Llama-2-13b-hf", kLlama,
                5120, 40, 40, 40, 128, 13824, 32000, 4096},
    PublicShape{"llama-3-8b", "meta-llama/Meta-Llama-3-8B", kLlama,
                4096, 32, 32, 8, 128, 14336, 128256, 8192, 500000.0},
    PublicShape{"llama-3.1-8b", "meta-llama/Llama-3.1-8B", kLlama,
                4096, 32, 32, 8, 128, 14336, 128256, 131072, 500000.0, 8.0},
    PublicShape{"llama-3.1-70b", "meta-llama/Llama-3.1-70B", kLlama,
                8192, 80, 64, 8, 128, 28672, 128256, 131072, 500000.0, 8.0},
    PublicShape{"llama-3.2-1b", "meta-llama/Llama-3.2-1B", kLlama,
                2048, 16, 32, 8, 64, 8192, 128256, 131072, 500000.0, 32.0, 1e-5f, true},
    PublicShape{"llama-3.2-3b", "meta-llama/Llama-3.2-3B", kLlama,
                3072, 28, 24, 8, 128, 8192, 128256, 131072, 500000.0, 32.0, 1e-5f, true},
    PublicShape{"mistral-7b", "mistralai/Mistral-7B-v0.3", kMistral,
                4096, 32, 32, 8, 128, 14336, 32768, 32768, 1e6},
    PublicShape{"mistral-7b-v0.1", "mistralai/Mistral-7B-v0.1", kMistral,
                4096, 32, 32, 8, 128, 14336, 32000, 32768, 10000.0, 0.0, 1e-5f, false, 4096},
    PublicShape{"mixtral-8x7b", "mistralai/Mixtral-8x7B-v0.1", kMixtral,
                4096, 32, 32, 8, 128, 14336, 32000, 32768, 1e6, 0.0, 1e-5f, false, 0, 8, 2},
    PublicShape{"qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct", kQwen2,
                896, 24, 14, 2, 64, 4864, 151936, 32768, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct", kQwen2,
                1536, 28, 12, 2, 128, 8960, 151936, 32768, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen2.5-3b", "Qwen/Qwen2.5-3B-Instruct", kQwen2,
                2048, 36, 16, 2, 128, 11008, 151936, 32768, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", kQwen2,
                3584, 28, 28, 4, 128, 18944, 152064, 32768, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen2.5-14b", "Qwen/Qwen2.5-14B-Instruct", kQwen2,
                5120, 48, 40, 8, 128, 13824, 152064, 32768, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen2.5-32b", "Qwen/Qwen2.5-32B-Instruct", kQwen2,
                5120, 64, 40, 8, 128, 27648, 152064, 32768, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen2.5-72b", "Qwen/Qwen2.5-72B-Instruct", kQwen2,
                8192, 80, 64, 8, 128, 29568, 152064, 32768, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen3-0.6b", "Qwen/Qwen3-0.6B", kQwen3,
                1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen3-1.7b", "Qwen/Qwen3-1.7B", kQwen3,
                2048, 28, 16, 8, 128, 6144, 151936, 40960, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen3-4b", "Qwen/Qwen3-4B", kQwen3,
                2560, 36, 32, 8, 128, 9728, 151936, 40960, 1e6, 0.0, 1e-6f, true},
    PublicShape{"qwen3-8b", "Qwen/Qwen3-8B", kQwen3,
                4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen3-14b", "Qwen/Qwen3-14B", kQwen3,
                5120, 40, 40, 8, 128, 17408, 151936, 40960, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen3-32b", "Qwen/Qwen3-32B", kQwen3,
                5120, 64, 64, 8, 128, 25600, 151936, 40960, 1e6, 0.0, 1e-6f},
    PublicShape{"qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B", kQwen3Moe,
                2048, 48, 32, 4, 128, 6144, 151936, 40960, 1e6, 0.0, 1e-6f, false, 0, 128, 8, 768},
    PublicShape{"smollm2-135m", "HuggingFaceTB/SmolLM2-135M", kLlama,
                576, 30, 9, 3, 64, 1536, 49152, 8192, 100000.0, 0.0, 1e-5f, true},
    PublicShape{"smollm2-360m", "HuggingFaceTB/SmolLM2-360M", kLlama,
                960, 32, 15, 5, 64, 2560, 49152, 8192, 100000.0, 0.0, 1e-5f, true},
    PublicShape{"smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", kLlama,
                2048, 24, 32, 32, 64, 8192, 49152, 8192, 130000.0, 0.0, 1e-5f, true},
    PublicShape{"stories260k", "karpathy/tinyllamas stories260K", kLlama,
                64, 5, 8, 4, 8, 172, 512, 512, 10000.0, 0.0, 1e-5f, true},
    PublicShape{"stories15m", "karpathy/tinyllamas stories15M", kLlama,
                288, 6, 6, 6, 48, 768, 32000, 256, 10000.0, 0.0, 1e-5f, true},
    PublicShape{"stories110m", "karpathy/tinyllamas stories110M", kLlama,
                768, 12, 12, 12, 64, 2048, 32000, 1024, 10000.0, 0.0, 1e-5f, true},
    PublicShape{"tinyllama-1.1b", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", kLlama,
                2048, 22, 32, 4, 64, 5632, 32000, 2048},
};
// clang-format on

RopeSpec rope_of(const PublicShape& shape) {
  RopeSpec rope;
  rope.rotary_dim = shape.head_dim;
  rope.base = shape.rope_base;
  if (shape.llama3_factor == 0.0) return rope;
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = shape.llama3_factor;
  rope.original_context = 8192.0;
  return rope;
}

AttentionSpec attention_of(const PublicShape& shape) {
  AttentionSpec attention;
  attention.num_heads = shape.num_heads;
  attention.num_kv_heads = shape.num_kv_heads;
  attention.head_dim = attention.value_head_dim = shape.head_dim;
  attention.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
  attention.has_qkv_bias = shape.architecture == kQwen2;
  if (shape.architecture == kQwen3 || shape.architecture == kQwen3Moe) {
    attention.query_norm = attention.key_norm = NormSpec{shape.norm_eps};
  }
  if (shape.window > 0) {
    attention.kind = AttentionKind::kSliding;
    attention.window = shape.window;
  }
  return attention;
}

FeedForwardSpec feed_forward_of(const PublicShape& shape) {
  FeedForwardSpec feed_forward;
  feed_forward.width = shape.feed_forward;
  if (shape.num_experts == 0) return feed_forward;
  feed_forward.kind = FeedForwardKind::kExperts;
  feed_forward.num_experts = shape.num_experts;
  feed_forward.num_selected = shape.num_selected;
  if (shape.expert_width > 0) feed_forward.width = shape.expert_width;
  return feed_forward;
}

}  // namespace

std::span<const PublicShape> public_shapes() {
  return kShapes;
}

Result<const PublicShape*> find_public_shape(std::string_view name) {
  std::string family;
  for (const PublicShape& shape : kShapes) {
    if (shape.name == name) return &shape;
    // The same first four letters: "qwen-0.5b" is after one of the qwens.
    constexpr std::size_t kLetters = 4;
    if (shape.name.substr(0, kLetters) == name.substr(0, kLetters)) {
      family += (family.empty() ? "" : ", ") + std::string(shape.name);
    }
  }
  return Error{ErrorCode::kInvalidArgument,
               "no shape is called \"" + std::string(name) +
                   "\": " + (family.empty() ? "--list shows them all" : "there are " + family)};
}

Result<ModelSpec> spec_of(const PublicShape& shape, const ShapeChanges& changes) {
  ModelSpec spec;
  spec.architecture = shape.architecture;
  spec.vocabulary = changes.vocabulary.value_or(shape.vocabulary);
  spec.hidden = shape.hidden;
  spec.context_max = changes.context.value_or(shape.context);
  spec.final_norm.eps = shape.norm_eps;
  spec.has_tied_embeddings = shape.has_tied_embeddings;
  LayerSpec layer;
  layer.attention_norm = layer.feed_forward_norm = spec.final_norm;
  layer.attention = attention_of(shape);
  layer.attention.rope = rope_index(spec, rope_of(shape));
  layer.feed_forward = feed_forward_of(shape);
  const std::size_t num_layers = changes.num_layers.value_or(shape.num_layers);
  spec.layers.assign(std::min(num_layers, kLayersMax + 1), layer);
  Status checked = check_spec(spec);
  if (!checked.ok()) {
    return Error{ErrorCode::kInvalidArgument, std::move(checked).error().message};
  }
  return spec;
}

ExportFacts facts_of(const PublicShape& shape) {
  return {.name = std::string(shape.name) + " with random weights",
          .positions = std::nullopt,
          .dense_width = shape.feed_forward};
}

}  // namespace millrace
