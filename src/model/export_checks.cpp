// What file formats demand of layers.
#include "model/export_checks.h"

#include <cmath>

namespace millrace {
namespace {

// The same attention apart from what formats can say of single layers.
AttentionSpec without_window(AttentionSpec attention) {
  attention.kind = AttentionKind::kFull;
  attention.window = 0;
  return attention;
}

const FeedForwardSpec* first_of_kind(const ModelSpec& spec, FeedForwardKind kind) {
  for (const LayerSpec& layer : spec.layers) {
    if (layer.feed_forward.kind == kind) return &layer.feed_forward;
  }
  return nullptr;
}

Status check_attention(const ModelSpec& spec, const std::string& format) {
  const AttentionSpec& attention = spec.layers.front().attention;
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(attention.head_dim)));
  if (attention.scale != scale) return cannot_hold(format, "an attention scale of its own");
  if (attention.softcap) return cannot_hold(format, "soft caps of attention scores");
  if (!attention.rope) return cannot_hold(format, "layers without rope");
  if (attention.value_head_dim != attention.head_dim) {
    return cannot_hold(format, "value heads of another size than key heads");
  }
  const RopeSpec& rope = spec.ropes[*attention.rope];
  if (rope.scaling == RopeScaling::kDynamic || rope.scaling == RopeScaling::kLongrope) {
    return cannot_hold(format, "rope scaling by the length of the context");
  }
  if (rope.rotary_dim != attention.head_dim || rope.pairs != RopePairs::kHalves) {
    return cannot_hold(format, "rope over a part of the head");
  }
  return Ok{};
}

}  // namespace

Error cannot_hold(const std::string& format, const std::string& what) {
  return Error{ErrorCode::kUnsupported, format + " cannot hold " + what};
}

Status check_layers_alike(const ModelSpec& spec, const std::string& format) {
  const LayerSpec& first = spec.layers.front();
  TRY(check_attention(spec, format));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    const std::string where = " (layer " + std::to_string(i) + ")";
    if (without_window(layer.attention) != without_window(first.attention)) {
      return cannot_hold(format, "layers that differ in attention" + where);
    }
    if (layer.attention_norm != spec.final_norm || layer.feed_forward_norm != spec.final_norm ||
        layer.attention.query_norm.value_or(spec.final_norm) != spec.final_norm ||
        layer.attention.key_norm.value_or(spec.final_norm) != spec.final_norm) {
      return cannot_hold(format, "norms with different epsilons" + where);
    }
    const FeedForwardSpec& feed_forward = layer.feed_forward;
    if (feed_forward.kind == FeedForwardKind::kPlain) {
      return cannot_hold(format, "feed-forward layers without a gate" + where);
    }
    if (feed_forward != *first_of_kind(spec, feed_forward.kind)) {
      return cannot_hold(format, "layers that differ in feed-forward width or kind" + where);
    }
  }
  return Ok{};
}

Result<WindowUse> find_windows(const ModelSpec& spec, const std::string& format) {
  WindowUse use;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const AttentionSpec& attention = spec.layers[i].attention;
    if (attention.kind != AttentionKind::kSliding) continue;
    if (use.num_sliding == 0) {
      use.first = i;
      use.window = attention.window;
    }
    if (attention.window != use.window) {
      return cannot_hold(format, "sliding windows of different sizes");
    }
    ++use.num_sliding;
  }
  use.is_suffix = use.num_sliding > 0 && use.first + use.num_sliding == spec.layers.size();
  return use;
}

}  // namespace millrace
