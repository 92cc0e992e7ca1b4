// Which tensors a spec needs, in which format each is packed, and where it goes.
#include "model/weight_plan.h"

#include <array>

#include "base/checked.h"
#include "base/random.h"

namespace millrace {
namespace {

constexpr std::uint64_t kAlignment = 64;
// Raised whenever the packed layout of any format changes.
constexpr std::uint64_t kLayoutVersion = 1;

// Two 64-bit lanes over a stream of numbers; tells versions of one user's files apart, not
// adversaries.
class KeyHash {
 public:
  void add(std::uint64_t value) {
    low_ = mix64(low_ ^ value) + 0x9E3779B97F4A7C15u;
    high_ = mix64(high_ + value) ^ low_;
  }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  }
  std::string hex() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint64_t lane : {high_, low_}) {
      for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(lane >> shift) & 15u];
    }
    return text;
  }

 private:
  std::uint64_t low_ = 0x6D696C6C72616365u;
  std::uint64_t high_ = 0x2545F4914F6CDD1Du;
};

}  // namespace

WeightFormat nearest_format(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return WeightFormat::kF16;
    case DType::kBF16:
      return WeightFormat::kBF16;
    case DType::kQ8_0:
      return WeightFormat::kInt8;
    case DType::kQ4_0:
      return WeightFormat::kInt4;
    case DType::kQ4_1:
      return WeightFormat::kInt4Min;
    default:
      return WeightFormat::kF32;
  }
}

Result<WeightPlan> WeightPlan::create(const Checkpoint& checkpoint, const ModelSpec& spec,
                                      const WeightOptions& options) {
  WeightPlan plan(checkpoint, spec);
  TRY(plan.add_all(options));
  return plan;
}

Status WeightPlan::add_all(const WeightOptions& options) {
  const auto embedding = spec_->embedding_format ? spec_->embedding_format : options.format;
  TRY(add_matrix({TensorRole::kEmbedding}, spec_->vocabulary, spec_->hidden, embedding));
  for (std::size_t layer = 0; layer < spec_->layers.size(); ++layer) TRY(add_layer(layer, options));
  TRY(add_vector({TensorRole::kFinalNorm}, spec_->hidden));
  if (spec_->has_tied_embeddings) return Ok{};
  const auto output = spec_->output_format ? spec_->output_format : options.format;
  return add_matrix({TensorRole::kOutput}, spec_->vocabulary, spec_->hidden, output);
}

Status WeightPlan::add_layer(std::size_t layer, const WeightOptions& options) {
  TRY(add_vector({TensorRole::kAttentionNorm, layer}, spec_->hidden));
  TRY(add_attention(layer, options));
  TRY(add_vector({TensorRole::kFeedForwardNorm, layer}, spec_->hidden));
  return add_feed_forward(layer, options);
}

Status WeightPlan::add_attention(std::size_t layer, const WeightOptions& options) {
  const LayerSpec& spec = spec_->layers[layer];
  const AttentionSpec& attention = spec.attention;
  const std::size_t query = attention.num_heads * attention.head_dim;
  const std::size_t key = attention.num_kv_heads * attention.head_dim;
  const std::size_t value = attention.num_kv_heads * attention.value_head_dim;
  const auto qkv = spec.formats.qkv ? spec.formats.qkv : options.format;
  const auto output =
      spec.formats.attention_output ? spec.formats.attention_output : options.format;
  TRY(add_matrix({TensorRole::kQuery, layer}, query, spec_->hidden, qkv));
  TRY(add_matrix({TensorRole::kKey, layer}, key, spec_->hidden, qkv));
  TRY(add_matrix({TensorRole::kValue, layer}, value, spec_->hidden, qkv));
  TRY(add_matrix({TensorRole::kAttentionOutput, layer}, spec_->hidden,
                 attention.num_heads * attention.value_head_dim, output));
  if (attention.has_qkv_bias) {
    TRY(add_vector({TensorRole::kQueryBias, layer}, query));
    TRY(add_vector({TensorRole::kKeyBias, layer}, key));
    TRY(add_vector({TensorRole::kValueBias, layer}, value));
  }
  if (attention.has_output_bias)
    TRY(add_vector({TensorRole::kAttentionOutputBias, layer}, spec_->hidden));
  if (attention.query_norm) TRY(add_vector({TensorRole::kQueryNorm, layer}, attention.head_dim));
  if (attention.key_norm) TRY(add_vector({TensorRole::kKeyNorm, layer}, attention.head_dim));
  return Ok{};
}

Status WeightPlan::add_feed_forward(std::size_t layer, const WeightOptions& options) {
  const FeedForwardSpec& spec = spec_->layers[layer].feed_forward;
  const LayerFormats& formats = spec_->layers[layer].formats;
  const auto in = formats.feed_forward_in ? formats.feed_forward_in : options.format;
  const auto out = formats.feed_forward_out ? formats.feed_forward_out : options.format;
  if (spec.kind == FeedForwardKind::kExperts) {
    // The router decides where tokens go and is tiny: it keeps the checkpoint's precision.
    TRY(add_matrix({TensorRole::kRouter, layer}, spec.num_experts, spec_->hidden, std::nullopt));
    for (std::size_t expert = 0; expert < spec.num_experts; ++expert) {
      TRY(add_matrix({TensorRole::kExpertGate, layer, expert}, spec.width, spec_->hidden, in));
      TRY(add_matrix({TensorRole::kExpertUp, layer, expert}, spec.width, spec_->hidden, in));
      TRY(add_matrix({TensorRole::kExpertDown, layer, expert}, spec_->hidden, spec.width, out));
    }
    return Ok{};
  }
  const bool gated = spec.kind == FeedForwardKind::kGated;
  if (gated) TRY(add_matrix({TensorRole::kGate, layer}, spec.width, spec_->hidden, in));
  TRY(add_matrix({TensorRole::kUp, layer}, spec.width, spec_->hidden, in));
  TRY(add_matrix({TensorRole::kDown, layer}, spec_->hidden, spec.width, out));
  if (!spec.has_bias) return Ok{};
  if (gated) TRY(add_vector({TensorRole::kGateBias, layer}, spec.width));
  TRY(add_vector({TensorRole::kUpBias, layer}, spec.width));
  return add_vector({TensorRole::kDownBias, layer}, spec_->hidden);
}

Status WeightPlan::add_matrix(const TensorKey& key, std::size_t num_rows, std::size_t num_cols,
                              std::optional<WeightFormat> format) {
  WeightSlot slot;
  slot.key = key;
  slot.stored = TRY(tensors_.matrix(key, num_rows, num_cols));
  slot.is_matrix = true;
  slot.format = format.value_or(nearest_format(slot.stored.dtype));
  if (needs_quantized_rows(slot.format) && num_cols % kWeightGroup != 0) {
    slot.format = nearest_format(slot.stored.dtype);
    ++num_kept_;
  }
  slot.num_bytes = TRY(packed_bytes(slot.format, num_rows, num_cols));
  place(std::move(slot));
  return Ok{};
}

Status WeightPlan::add_vector(const TensorKey& key, std::size_t num_elements) {
  WeightSlot slot;
  slot.key = key;
  slot.stored = TRY(tensors_.vector(key, num_elements));
  slot.num_bytes = num_elements * sizeof(float);
  place(std::move(slot));
  return Ok{};
}

void WeightPlan::place(WeightSlot slot) {
  slot.offset = num_bytes_;
  num_bytes_ = round_up(num_bytes_ + slot.num_bytes, kAlignment);
  slots_.push_back(std::move(slot));
}

std::string WeightPlan::store_key() const {
  KeyHash hash;
  hash.add(kLayoutVersion);
  for (const SourceFile& file : tensors_.source().files()) {
    hash.add(file.path);
    hash.add(file.identity.device);
    hash.add(file.identity.inode);
    hash.add(file.identity.num_bytes);
    hash.add(static_cast<std::uint64_t>(file.identity.modified_ns));
  }
  for (const WeightSlot& slot : slots_) {
    hash.add(static_cast<std::uint64_t>(slot.format));
    hash.add(slot.offset);
    hash.add(slot.num_bytes);
  }
  return hash.hex();
}

}  // namespace millrace
