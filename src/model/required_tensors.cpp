// The walk over a spec that lists its tensors.
#include "model/required_tensors.h"

namespace millrace {
namespace {

class Lister {
 public:
  explicit Lister(const ModelSpec& spec) : spec_(&spec) {}

  std::vector<RequiredTensor> list() {
    add(TensorRole::kEmbedding, {spec_->vocabulary, spec_->hidden});
    if (spec_->num_learned_positions > 0) {
      add(TensorRole::kPositions, {spec_->num_learned_positions, spec_->hidden});
    }
    for (layer_ = 0; layer_ < spec_->layers.size(); ++layer_) add_layer(spec_->layers[layer_]);
    layer_ = 0;
    add_norm(spec_->final_norm, TensorRole::kFinalNorm, spec_->hidden);
    if (spec_->final_norm.has_bias) add(TensorRole::kFinalNormBias, {spec_->hidden});
    if (!spec_->has_tied_embeddings) add(TensorRole::kOutput, {spec_->vocabulary, spec_->hidden});
    if (spec_->has_output_bias) add(TensorRole::kOutputBias, {spec_->vocabulary});
    return std::move(tensors_);
  }

 private:
  void add(TensorRole role, const Shape& shape, std::size_t expert = 0) {
    tensors_.push_back({{role, layer_, expert}, shape});
  }

  void add_norm(const std::optional<NormSpec>& norm, TensorRole role, std::size_t width) {
    if (!norm || !norm->has_weight) return;
    add(role, {width});
    tensors_.back().addend = norm->weight_offset;
  }

  void add_layer(const LayerSpec& layer) {
    add_norm(layer.attention_norm, TensorRole::kAttentionNorm, spec_->hidden);
    if (layer.attention_norm && layer.attention_norm->has_bias) {
      add(TensorRole::kAttentionNormBias, {spec_->hidden});
    }
    add_attention(layer.attention);
    add_norm(layer.attention_post_norm, TensorRole::kAttentionPostNorm, spec_->hidden);
    add_norm(layer.feed_forward_norm, TensorRole::kFeedForwardNorm, spec_->hidden);
    if (layer.feed_forward_norm && layer.feed_forward_norm->has_bias) {
      add(TensorRole::kFeedForwardNormBias, {spec_->hidden});
    }
    add_feed_forward(layer.feed_forward);
    add_norm(layer.feed_forward_post_norm, TensorRole::kFeedForwardPostNorm, spec_->hidden);
  }

  void add_latents(const AttentionSpec& attention, const LatentSpec& latent) {
    const std::size_t query = attention.num_heads * (latent.plain_dim + latent.rotary_dim);
    if (latent.query_rank) {
      add(TensorRole::kQueryDown, {*latent.query_rank, spec_->hidden});
      if (attention.has_qkv_bias) add(TensorRole::kQueryDownBias, {*latent.query_rank});
      add(TensorRole::kQueryDownNorm, {*latent.query_rank});
      add(TensorRole::kQueryUp, {query, *latent.query_rank});
    } else {
      add(TensorRole::kQuery, {query, spec_->hidden});
    }
    add(TensorRole::kLatent, {latent.rank, spec_->hidden});
    add(TensorRole::kSharedKey, {latent.rotary_dim, spec_->hidden});
    if (attention.has_qkv_bias) {
      add(TensorRole::kLatentBias, {latent.rank});
      add(TensorRole::kSharedKeyBias, {latent.rotary_dim});
    }
    add(TensorRole::kLatentNorm, {latent.rank});
    for (std::size_t head = 0; head < attention.num_heads; ++head) {
      add(TensorRole::kHeadKey, {latent.rank, latent.plain_dim}, head);
      add(TensorRole::kHeadValue, {latent.value_dim, latent.rank}, head);
    }
  }

  void add_attention(const AttentionSpec& attention) {
    const std::size_t query = attention.num_heads * attention.head_dim;
    const std::size_t key = attention.num_kv_heads * attention.head_dim;
    const std::size_t value = attention.num_kv_heads * attention.value_head_dim;
    if (attention.latent) {
      add_latents(attention, *attention.latent);
    } else {
      add(TensorRole::kQuery, {query, spec_->hidden});
      add(TensorRole::kKey, {key, spec_->hidden});
      add(TensorRole::kValue, {value, spec_->hidden});
    }
    add(TensorRole::kAttentionOutput, {spec_->hidden, attention.output_width()});
    if (attention.has_qkv_bias && !attention.latent) {
      add(TensorRole::kQueryBias, {query});
      add(TensorRole::kKeyBias, {key});
      add(TensorRole::kValueBias, {value});
    }
    if (attention.has_output_bias) add(TensorRole::kAttentionOutputBias, {spec_->hidden});
    const bool per_head = attention.norm_extent == NormExtent::kHead;
    add_norm(attention.query_norm, TensorRole::kQueryNorm, per_head ? attention.head_dim : query);
    add_norm(attention.key_norm, TensorRole::kKeyNorm, per_head ? attention.head_dim : key);
    if (attention.has_sinks) add(TensorRole::kSinks, {attention.num_heads});
  }

  void add_routing(const FeedForwardSpec& feed_forward) {
    add(TensorRole::kRouter, {feed_forward.num_experts, spec_->hidden});
    if (feed_forward.routing.has_bias) add(TensorRole::kRouterBias, {feed_forward.num_experts});
    if (feed_forward.routing.has_choice_bias) {
      add(TensorRole::kChoiceBias, {feed_forward.num_experts});
    }
    if (feed_forward.has_shared_gate) add(TensorRole::kSharedRouter, {1, spec_->hidden});
    if (feed_forward.shared_width == 0) return;
    add(TensorRole::kSharedGate, {feed_forward.shared_width, spec_->hidden});
    add(TensorRole::kSharedUp, {feed_forward.shared_width, spec_->hidden});
    add(TensorRole::kSharedDown, {spec_->hidden, feed_forward.shared_width});
  }

  void add_feed_forward(const FeedForwardSpec& feed_forward) {
    const std::size_t width = feed_forward.width;
    if (feed_forward.kind == FeedForwardKind::kExperts) {
      add_routing(feed_forward);
      for (std::size_t expert = 0; expert < feed_forward.num_experts; ++expert) {
        add(TensorRole::kExpertGate, {width, spec_->hidden}, expert);
        add(TensorRole::kExpertUp, {width, spec_->hidden}, expert);
        add(TensorRole::kExpertDown, {spec_->hidden, width}, expert);
      }
      if (!feed_forward.has_bias) return;
      add(TensorRole::kExpertGateBias, {feed_forward.num_experts * width});
      add(TensorRole::kExpertUpBias, {feed_forward.num_experts * width});
      add(TensorRole::kExpertDownBias, {feed_forward.num_experts * spec_->hidden});
      return;
    }
    const bool gated = feed_forward.kind == FeedForwardKind::kGated;
    if (gated) add(TensorRole::kGate, {width, spec_->hidden});
    add(TensorRole::kUp, {width, spec_->hidden});
    add(TensorRole::kDown, {spec_->hidden, width});
    if (!feed_forward.has_bias) return;
    if (gated) add(TensorRole::kGateBias, {width});
    add(TensorRole::kUpBias, {width});
    add(TensorRole::kDownBias, {spec_->hidden});
  }

  const ModelSpec* spec_;
  std::size_t layer_ = 0;
  std::vector<RequiredTensor> tensors_;
};

}  // namespace

std::vector<RequiredTensor> required_tensors(const ModelSpec& spec) {
  return Lister(spec).list();
}

}  // namespace millrace
