// The fields of a ModelSpec, in order. A change here is a new kPackedModelVersion.
#include "model/spec_archive.h"

#include "formats/archive.h"

namespace millrace {

struct ArchiveFormat {
  template <class Archive>
  void operator()(Archive& archive, WeightFormat& format) const {
    archive.choice(format, static_cast<WeightFormat>(kNumWeightFormats - 1));
  }
};
struct ArchiveSize {
  template <class Archive>
  void operator()(Archive& archive, std::size_t& value) const {
    archive.size(value);
  }
};

template <class Archive>
void archive_fields(Archive& archive, RopeSpec& rope) {
  archive.choice(rope.pairs, RopePairs::kAdjacent);
  archive.size(rope.rotary_dim);
  archive.number(rope.base);
  archive.choice(rope.scaling, RopeScaling::kLongrope);
  archive.number(rope.factor);
  archive.number(rope.original_context);
  archive.number(rope.low_frequency_factor);
  archive.number(rope.high_frequency_factor);
  archive.number(rope.beta_fast);
  archive.number(rope.beta_slow);
  archive.flag(rope.has_whole_bounds);
  archive.number(rope.attention_factor);
  archive.list(rope.frequency_divisors, ArchiveNumber{});
  archive.list(rope.short_divisors, ArchiveNumber{});
  archive.list(rope.long_divisors, ArchiveNumber{});
}

template <class Archive>
void archive_fields(Archive& archive, NormSpec& norm) {
  archive.number(norm.eps);
  archive.choice(norm.kind, NormKind::kLayer);
  archive.flag(norm.has_weight);
  archive.flag(norm.has_bias);
  archive.number(norm.weight_offset);
}

template <class Archive>
void archive_fields(Archive& archive, LatentSpec& latent) {
  archive.size(latent.rank);
  archive.size(latent.rotary_dim);
  archive.size(latent.plain_dim);
  archive.size(latent.value_dim);
  archive.maybe(latent.query_rank, ArchiveSize{});
  archive_fields(archive, latent.norm);
}

template <class Archive>
void archive_fields(Archive& archive, AttentionSpec& attention) {
  archive.choice(attention.kind, AttentionKind::kSliding);
  archive.size(attention.num_heads);
  archive.size(attention.num_kv_heads);
  archive.size(attention.head_dim);
  archive.size(attention.value_head_dim);
  archive.size(attention.window);
  archive.maybe(attention.rope, ArchiveSize{});
  archive.number(attention.scale);
  archive.maybe(attention.softcap, ArchiveNumber{});
  archive.maybe(attention.query_norm, ArchiveFields{});
  archive.maybe(attention.key_norm, ArchiveFields{});
  archive.choice(attention.norm_extent, NormExtent::kWidth);
  archive.flag(attention.has_qkv_bias);
  archive.flag(attention.has_output_bias);
  archive.flag(attention.has_sinks);
  archive.maybe(attention.latent, ArchiveFields{});
}

template <class Archive>
void archive_fields(Archive& archive, RoutingSpec& routing) {
  archive.choice(routing.scores, ExpertScores::kSigmoid);
  archive.choice(routing.weights, ExpertWeights::kNormalised);
  archive.number(routing.weight_scale);
  archive.flag(routing.has_bias);
  archive.flag(routing.has_choice_bias);
  archive.size(routing.num_groups);
  archive.size(routing.num_groups_selected);
  archive.choice(routing.group_rank, GroupRank::kSumOfTwo);
}

template <class Archive>
void archive_fields(Archive& archive, ClampedGate& clamp) {
  archive.number(clamp.limit);
  archive.number(clamp.steepness);
}

template <class Archive>
void archive_fields(Archive& archive, FeedForwardSpec& feed_forward) {
  archive.choice(feed_forward.kind, FeedForwardKind::kExperts);
  archive.size(feed_forward.width);
  archive.choice(feed_forward.activation, Activation::kRelu2);
  archive.maybe(feed_forward.clamp, ArchiveFields{});
  archive.flag(feed_forward.has_bias);
  archive.size(feed_forward.num_experts);
  archive.size(feed_forward.num_selected);
  archive_fields(archive, feed_forward.routing);
  archive.size(feed_forward.shared_width);
  archive.flag(feed_forward.has_shared_gate);
}

template <class Archive>
void archive_fields(Archive& archive, LayerFormats& formats) {
  for (auto* format : {&formats.qkv, &formats.attention_output, &formats.feed_forward_in,
                       &formats.feed_forward_out}) {
    archive.maybe(*format, ArchiveFormat{});
  }
}

template <class Archive>
void archive_fields(Archive& archive, LayerSpec& layer) {
  archive.maybe(layer.attention_norm, ArchiveFields{});
  archive_fields(archive, layer.attention);
  archive.maybe(layer.attention_post_norm, ArchiveFields{});
  archive.maybe(layer.feed_forward_norm, ArchiveFields{});
  archive_fields(archive, layer.feed_forward);
  archive.maybe(layer.feed_forward_post_norm, ArchiveFields{});
  archive.choice(layer.residual, ResidualKind::kParallel);
  archive.number(layer.residual_scale);
  archive_fields(archive, layer.formats);
}

template <class Archive>
void archive_fields(Archive& archive, ModelSpec& spec) {
  archive.text(spec.architecture);
  archive.size(spec.vocabulary);
  archive.size(spec.hidden);
  archive.size(spec.context_max);
  archive.list(spec.ropes, ArchiveFields{});
  archive.list(spec.layers, ArchiveFields{});
  archive_fields(archive, spec.final_norm);
  archive.flag(spec.has_tied_embeddings);
  archive.number(spec.embedding_scale);
  archive.size(spec.num_learned_positions);
  archive.flag(spec.has_output_bias);
  archive.number(spec.logit_scale);
  archive.maybe(spec.logit_softcap, ArchiveNumber{});
  archive.maybe(spec.embedding_format, ArchiveFormat{});
  archive.maybe(spec.output_format, ArchiveFormat{});
  archive.list(spec.eos_ids, ArchiveNumber{});
  archive.maybe(spec.bos_id, ArchiveNumber{});
}

// What readers of checkpoints make true by construction, and check_spec() relies on.
static Status check_relations(const AttentionSpec& attention, const ModelSpec& spec,
                              const std::string& name) {
  if (attention.rope && *attention.rope >= spec.ropes.size()) {
    return Error{ErrorCode::kCorruptData, name + ": a layer has rope " +
                                              std::to_string(*attention.rope) + " of " +
                                              std::to_string(spec.ropes.size())};
  }
  if (!attention.latent) return Ok{};
  const LatentSpec& latent = *attention.latent;
  const bool is_whole = attention.num_kv_heads == 1 && attention.rope.has_value() &&
                        latent.rank <= kHiddenMax && latent.rotary_dim <= kHiddenMax &&
                        attention.head_dim == latent.rotary_dim + latent.rank &&
                        attention.value_head_dim == latent.rank;
  if (is_whole) return Ok{};
  return Error{ErrorCode::kCorruptData, name + ": latent attention of rank " +
                                            std::to_string(latent.rank) + " has heads of " +
                                            std::to_string(attention.head_dim)};
}

std::string write_spec_archive(const ModelSpec& spec) {
  ArchiveWriter writer;
  archive_fields(writer, const_cast<ModelSpec&>(spec));  // A writer changes nothing.
  return writer.bytes();
}

Result<ModelSpec> read_spec_archive(std::span<const std::byte> bytes, const std::string& name) {
  ArchiveReader reader(bytes);
  ModelSpec spec;
  archive_fields(reader, spec);
  TRY(reader.finish(name));
  for (const LayerSpec& layer : spec.layers) {
    TRY(check_relations(layer.attention, spec, name));
    if (layer.feed_forward.num_experts <= kExpertsMax) continue;
    return Error{ErrorCode::kCorruptData,
                 name + ": a layer has " + std::to_string(layer.feed_forward.num_experts) +
                     " experts, expected at most " + std::to_string(kExpertsMax)};
  }
  TRY(check_spec(spec));
  return spec;
}

}  // namespace millrace
