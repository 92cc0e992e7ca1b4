// The decoder's workspace: which buffers a step needs at its largest, and where each one lies.
#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "model/decoder.h"

namespace millrace {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kAdapterInners = 3;  // of q, k and v at once

// The widest extents over all layers.
struct Widths {
  std::size_t query = 0, attended = 0, key = 0, value = 0;
  std::size_t plain_query = 0, query_latent = 0, head_values = 0;
  std::size_t head_depths = 0;  // of a matrix per head, all heads together
  std::size_t dense = 0;        // feed-forward width of layers without experts, and of shared ones
  std::size_t expert = 0;       // of one expert
  std::size_t num_experts = 0;
  std::size_t num_selected = 0;
  std::size_t matmul_depth = 0;  // of any matrix's input
};

void widen(Widths& widths, const AttentionSpec& attention) {
  const auto raise = [](std::size_t& widest, std::size_t width) {
    widest = std::max(widest, width);
  };
  raise(widths.query, attention.num_heads * attention.head_dim);
  raise(widths.attended, attention.num_heads * attention.value_head_dim);
  raise(widths.key, attention.num_kv_heads * attention.head_dim);
  raise(widths.value, attention.num_kv_heads * attention.value_head_dim);
  raise(widths.matmul_depth, attention.output_width());
  if (!attention.latent) return;
  const LatentSpec& latent = *attention.latent;
  raise(widths.plain_query, attention.num_heads * (latent.plain_dim + latent.rotary_dim));
  raise(widths.query_latent, latent.query_rank.value_or(0));
  raise(widths.head_values, attention.output_width());
  raise(widths.matmul_depth, latent.query_rank.value_or(0));
  // A row for each head, of whole groups.
  raise(widths.head_depths,
        attention.num_heads * round_up(std::max(latent.plain_dim, latent.rank), kWeightGroup));
}

void widen(Widths& widths, const FeedForwardSpec& feed_forward) {
  widths.matmul_depth =
      std::max({widths.matmul_depth, feed_forward.width, feed_forward.shared_width});
  if (feed_forward.kind != FeedForwardKind::kExperts) {
    widths.dense = std::max(widths.dense, feed_forward.width);
    return;
  }
  widths.dense = std::max(widths.dense, feed_forward.shared_width);
  widths.expert = std::max(widths.expert, feed_forward.width);
  widths.num_experts = std::max(widths.num_experts, feed_forward.num_experts);
  widths.num_selected = std::max(widths.num_selected, feed_forward.num_selected);
}

Widths widest(const ModelSpec& spec) {
  Widths widths;
  widths.matmul_depth = spec.hidden;
  for (const LayerSpec& layer : spec.layers) {
    widen(widths, layer.attention);
    widen(widths, layer.feed_forward);
  }
  return widths;
}

// Whether some part's output is held back before it is added to the hidden state, or positions are
// added to the embeddings.
bool needs_branch(const ModelSpec& spec) {
  const auto holds_back = [](const LayerSpec& layer) {
    return layer.attention_post_norm || layer.feed_forward_post_norm ||
           layer.residual_scale != 1.0f;
  };
  return spec.num_learned_positions > 0 ||
         std::any_of(spec.layers.begin(), spec.layers.end(), holds_back);
}

// Rows of gate and up: tokens for dense layers, tokens times choices for experts.
std::uint64_t feed_forward_elements(const Widths& widths, std::uint64_t num_tokens) {
  return std::max<std::uint64_t>(num_tokens * widths.dense,
                                 num_tokens * widths.num_selected * widths.expert);
}

std::uint64_t quantized_bytes(const Widths& widths, const DecoderLimits& limits) {
  // Logits are asked of some rows only, but their input is as deep as any.
  const std::size_t rows = std::max(
      limits.tokens_max * std::max<std::size_t>(widths.num_selected, 1), limits.logit_rows_max);
  const std::uint64_t of_rows =
      quantized_rows_bytes(rows, round_up(widths.matmul_depth, kWeightGroup));
  return std::max<std::uint64_t>(of_rows,
                                 quantized_rows_bytes(limits.tokens_max, widths.head_depths));
}

// Hands out aligned parts of the workspace in the order of the plan.
class Cursor {
 public:
  Cursor(std::span<std::byte> bytes, Device device) : bytes_(bytes), device_(device) {}

  std::byte* take(std::uint64_t num_bytes) {
    CHECK(offset_ + num_bytes <= bytes_.size());
    std::byte* part = bytes_.data() + offset_;
    offset_ += round_up(num_bytes, kAlignment);
    return part;
  }
  template <class T>
  T* array(std::uint64_t count) {
    return reinterpret_cast<T*>(take(count * sizeof(T)));
  }
  TensorView rows(std::size_t num_rows, std::size_t width) {
    TensorView view = view_of(array<float>(std::uint64_t{num_rows} * width), {num_rows, width});
    view.device = device_;
    return view;
  }

 private:
  std::span<std::byte> bytes_;
  Device device_;
  std::uint64_t offset_ = 0;
};

}  // namespace

Result<std::vector<WorkspaceTerm>> plan_workspace(const ModelSpec& spec,
                                                  const DecoderLimits& limits) {
  constexpr std::size_t kTokensMax = 1u << 20;  // Keeps every product below far from overflow.
  if (limits.tokens_max == 0 || limits.tokens_max > kTokensMax || limits.logit_rows_max == 0 ||
      limits.logit_rows_max > kTokensMax) {
    return Error{ErrorCode::kInvalidArgument,
                 "a step of " + std::to_string(limits.tokens_max) + " tokens and " +
                     std::to_string(limits.logit_rows_max) + " logit rows is outside 1 to " +
                     std::to_string(kTokensMax)};
  }
  if (limits.adapter_rank_max > kLoraRankMax) {
    return Error{ErrorCode::kInvalidArgument, "adapter rank " +
                                                  std::to_string(limits.adapter_rank_max) +
                                                  " is above " + std::to_string(kLoraRankMax)};
  }
  const Widths widths = widest(spec);
  const std::uint64_t tokens = limits.tokens_max;
  const std::uint64_t grouped = tokens * widths.num_selected;
  std::vector<WorkspaceTerm> terms;
  const auto floats = [&terms](std::string_view name, std::uint64_t count) {
    terms.push_back({name, round_up(count * sizeof(float), kAlignment)});
  };
  floats("hidden state", tokens * spec.hidden);
  floats("normed input", tokens * spec.hidden);
  floats("branch output", needs_branch(spec) ? tokens * spec.hidden : 0);
  floats("queries", tokens * widths.query);
  floats("keys", tokens * widths.key);
  floats("values", tokens * widths.value);
  floats("plain queries", tokens * widths.plain_query);
  floats("query latents", tokens * widths.query_latent);
  floats("head values", tokens * widths.head_values);
  floats("attention output", tokens * widths.attended);
  floats("feed-forward gate", feed_forward_elements(widths, tokens));
  floats("feed-forward up", feed_forward_elements(widths, tokens));
  for (const RopeSpec& rope : spec.ropes) {
    floats("rope cosines", tokens * rope.rotary_dim / 2);
    floats("rope sines", tokens * rope.rotary_dim / 2);
  }
  floats("router logits", tokens * widths.num_experts);
  floats("expert inputs", grouped * spec.hidden);
  floats("expert outputs", grouped * spec.hidden);
  floats("expert group bounds", widths.num_experts + 1);
  floats("expert row tokens", grouped);
  floats("expert token rows", grouped);
  floats("expert token weights", grouped);
  for (std::size_t i = 0; i < kAdapterInners; ++i) {
    floats("adapter ranks", tokens * limits.adapter_rank_max);
  }
  floats("logit inputs", std::uint64_t{limits.logit_rows_max} * spec.hidden);
  floats("logits", std::uint64_t{limits.logit_rows_max} * spec.vocabulary);
  terms.push_back({"quantised inputs", round_up(quantized_bytes(widths, limits), kAlignment)});
  return terms;
}

std::uint64_t workspace_bytes(const std::vector<WorkspaceTerm>& terms) {
  std::uint64_t sum = 0;
  for (const WorkspaceTerm& term : terms) sum += term.num_bytes;
  return sum;
}

// Takes the parts in the order in which plan_workspace lists them.
void Decoder::place(std::span<std::byte> workspace, Device device) {
  const Widths widths = widest(*spec_);
  const std::size_t tokens = limits_.tokens_max;
  const std::size_t grouped = tokens * widths.num_selected;
  const std::uint64_t feed_forward = feed_forward_elements(widths, tokens);
  Cursor cursor(workspace, device);
  workspace_.hidden = cursor.rows(tokens, spec_->hidden);
  workspace_.normed = cursor.rows(tokens, spec_->hidden);
  workspace_.branch = cursor.rows(needs_branch(*spec_) ? tokens : 0, spec_->hidden);
  workspace_.query = cursor.rows(tokens, widths.query);
  workspace_.key = cursor.rows(tokens, widths.key);
  workspace_.value = cursor.rows(tokens, widths.value);
  workspace_.plain_query = cursor.rows(tokens, widths.plain_query);
  workspace_.query_latent = cursor.rows(tokens, widths.query_latent);
  workspace_.head_values = cursor.rows(tokens, widths.head_values);
  workspace_.attended = cursor.rows(tokens, widths.attended);
  workspace_.gate = cursor.rows(1, feed_forward);
  workspace_.up = cursor.rows(1, feed_forward);
  for (const RopeSpec& rope : spec_->ropes) {
    workspace_.cos.push_back(cursor.rows(tokens, rope.rotary_dim / 2));
    workspace_.sin.push_back(cursor.rows(tokens, rope.rotary_dim / 2));
  }
  workspace_.router = cursor.rows(1, tokens * widths.num_experts);
  workspace_.expert_in = cursor.rows(grouped, spec_->hidden);
  workspace_.expert_out = cursor.rows(grouped, spec_->hidden);
  workspace_.routing.expert_begin = {cursor.array<std::uint32_t>(widths.num_experts + 1),
                                     widths.num_experts + 1};
  workspace_.routing.row_token = {cursor.array<std::uint32_t>(grouped), grouped};
  workspace_.routing.token_row = {cursor.array<std::uint32_t>(grouped), grouped};
  workspace_.routing.token_weight = {cursor.array<float>(grouped), grouped};
  for (TensorView& inner : workspace_.adapter_inner) {
    inner = cursor.rows(tokens, limits_.adapter_rank_max);
  }
  workspace_.last_hidden = cursor.rows(limits_.logit_rows_max, spec_->hidden);
  workspace_.logits = cursor.rows(limits_.logit_rows_max, spec_->vocabulary);
  workspace_.quantized = cursor.take(quantized_bytes(widths, limits_));
}

}  // namespace millrace
