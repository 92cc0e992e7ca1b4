// What must hold of every spec, and what can be counted from one.
#include "model/model_spec.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace millrace {
namespace {

Status within(std::string_view field, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return Ok{};
  return Error{ErrorCode::kCorruptData, std::string(field) + " is " + std::to_string(value) +
                                            ", expected " + std::to_string(min) + " to " +
                                            std::to_string(max)};
}

Status check_latent(const AttentionSpec& attention, const ModelSpec& spec) {
  const LatentSpec& latent = *attention.latent;
  TRY(within("rank of the key/value latent", latent.rank, 1, kHeadDimMax - 2));
  TRY(within("rotated part of a head", latent.rotary_dim, 2, kHeadDimMax - latent.rank));
  TRY(within("plain part of a head", latent.plain_dim, 1, kHeadDimMax));
  TRY(within("value head dimension", latent.value_dim, 1, kHeadDimMax));
  if (latent.query_rank) TRY(within("rank of the query latent", *latent.query_rank, 1, kHiddenMax));
  CHECK(attention.num_kv_heads == 1);
  CHECK(attention.head_dim == latent.rotary_dim + latent.rank);
  CHECK(attention.value_head_dim == latent.rank);
  CHECK(attention.rope.has_value());
  if (spec.ropes[*attention.rope].rotary_dim == latent.rotary_dim) return Ok{};
  return Error{ErrorCode::kUnsupported, "rope over a part of a head's rotated elements"};
}

Status check_attention(const AttentionSpec& attention, const ModelSpec& spec) {
  if (attention.latent) TRY(check_latent(attention, spec));
  TRY(within("number of attention heads", attention.num_heads, 1, kHeadsMax));
  TRY(within("number of key/value heads", attention.num_kv_heads, 1, attention.num_heads));
  TRY(within("head dimension", attention.head_dim, 1, kHeadDimMax));
  TRY(within("value head dimension", attention.value_head_dim, 1, kHeadDimMax));
  if (attention.num_heads % attention.num_kv_heads != 0) {
    return Error{ErrorCode::kCorruptData,
                 std::to_string(attention.num_kv_heads) + " key/value heads do not divide " +
                     std::to_string(attention.num_heads) + " attention heads"};
  }
  if (attention.kind == AttentionKind::kSliding) {
    TRY(within("sliding window", attention.window, 1, kContextMax));
  }
  if (attention.rope) {
    CHECK(*attention.rope < spec.ropes.size());
    TRY(within("rotary dimension", spec.ropes[*attention.rope].rotary_dim, 2, attention.head_dim));
  }
  return Ok{};
}

Status check_groups(const FeedForwardSpec& feed_forward) {
  const RoutingSpec& routing = feed_forward.routing;
  TRY(within("number of expert groups", routing.num_groups, 1, feed_forward.num_experts));
  TRY(within("expert groups per token", routing.num_groups_selected, 1, routing.num_groups));
  const std::size_t size = feed_forward.num_experts / routing.num_groups;
  if (size * routing.num_groups != feed_forward.num_experts) {
    return Error{ErrorCode::kCorruptData,
                 std::to_string(routing.num_groups) + " groups do not divide " +
                     std::to_string(feed_forward.num_experts) + " experts"};
  }
  if (routing.group_rank == GroupRank::kSumOfTwo) TRY(within("experts in a group", size, 2, size));
  return within("experts per token", feed_forward.num_selected, 1,
                size * routing.num_groups_selected);
}

Status check_feed_forward(const FeedForwardSpec& feed_forward) {
  TRY(within("feed-forward width", feed_forward.width, 1, kFeedForwardMax));
  if (feed_forward.kind != FeedForwardKind::kExperts) return Ok{};
  TRY(within("number of experts", feed_forward.num_experts, 1, kExpertsMax));
  TRY(within("experts per token", feed_forward.num_selected, 1, feed_forward.num_experts));
  TRY(within("width of the shared expert", feed_forward.shared_width, 0, kFeedForwardMax));
  return check_groups(feed_forward);
}

Status check_divisors(const RopeSpec& rope, const std::vector<double>& divisors) {
  if (divisors.size() != rope.rotary_dim / 2) {
    return Error{ErrorCode::kCorruptData, "rope has " + std::to_string(divisors.size()) +
                                              " frequency factors, expected " +
                                              std::to_string(rope.rotary_dim / 2)};
  }
  for (const double divisor : divisors) {
    if (divisor > 0.0 && std::isfinite(divisor)) continue;
    return Error{ErrorCode::kCorruptData, "rope has a frequency factor of " +
                                              std::to_string(divisor) +
                                              ", expected positive numbers"};
  }
  return Ok{};
}

Status check_rope(const RopeSpec& rope) {
  if (rope.rotary_dim % 2 != 0) {
    return Error{ErrorCode::kCorruptData,
                 "rotary dimension " + std::to_string(rope.rotary_dim) + " is odd"};
  }
  if (!(rope.base > 0.0) || !std::isfinite(rope.base)) {
    return Error{ErrorCode::kCorruptData,
                 "rope base " + std::to_string(rope.base) + " is not positive"};
  }
  if (!(rope.factor > 0.0) || !std::isfinite(rope.factor)) {
    return Error{ErrorCode::kCorruptData,
                 "rope scaling factor " + std::to_string(rope.factor) + " is not positive"};
  }
  const bool needs_original =
      rope.scaling != RopeScaling::kNone && rope.scaling != RopeScaling::kLinear;
  if (needs_original && !(rope.original_context >= 1.0)) {
    return Error{ErrorCode::kCorruptData, "rope scaling needs an original context, found " +
                                              std::to_string(rope.original_context)};
  }
  if (rope.scaling == RopeScaling::kLlama3 &&
      !(rope.high_frequency_factor > rope.low_frequency_factor)) {
    return Error{ErrorCode::kCorruptData, "rope high_freq_factor is not above low_freq_factor"};
  }
  if (rope.scaling == RopeScaling::kDynamic && (rope.factor < 1.0 || rope.rotary_dim <= 2)) {
    return Error{ErrorCode::kCorruptData,
                 "dynamic rope scaling needs a factor of 1 or more and "
                 "more than 2 rotated dimensions"};
  }
  if (!rope.frequency_divisors.empty()) TRY(check_divisors(rope, rope.frequency_divisors));
  if (rope.scaling != RopeScaling::kLongrope) return Ok{};
  TRY(check_divisors(rope, rope.short_divisors));
  return check_divisors(rope, rope.long_divisors);
}

Status check_norms(const LayerSpec& layer) {
  if (layer.residual == ResidualKind::kParallel && !layer.attention_norm) {
    return Error{ErrorCode::kUnsupported, "parallel attention and feed-forward without a norm"};
  }
  return Ok{};
}

// Dubey et al. 2024, arXiv:2407.21783; the published reference code of Llama 3.1. Wavelengths
// longer than original / low are slowed by `factor`, shorter than original / high are kept, with a
// linear ramp between.
double llama3_frequency(double frequency, const RopeSpec& rope) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength < rope.original_context / rope.high_frequency_factor) return frequency;
  if (wavelength > rope.original_context / rope.low_frequency_factor)
    return frequency / rope.factor;
  const double smooth = (rope.original_context / wavelength - rope.low_frequency_factor) /
                        (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

// The dimension whose wavelength makes `turns` turns over the original context: Peng et al. 2023,
// eq. 17 solved.
double yarn_dimension(double turns, const RopeSpec& rope) {
  return static_cast<double>(rope.rotary_dim) *
         std::log(rope.original_context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.base));
}

void apply_yarn(const RopeSpec& rope, std::vector<double>& frequencies) {
  const double last = static_cast<double>(rope.rotary_dim) - 1.0;
  double low = yarn_dimension(rope.beta_fast, rope);
  double high = yarn_dimension(rope.beta_slow, rope);
  if (rope.has_whole_bounds) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, last);
  if (low == high) high += 0.001;  // As the reference does, against a division by zero.
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / rope.factor * ramp + frequencies[i] * (1.0 - ramp);
  }
}

std::uint64_t latent_parameters(const AttentionSpec& attention, std::uint64_t hidden) {
  const LatentSpec& latent = *attention.latent;
  const std::uint64_t heads = attention.num_heads;
  const std::uint64_t query = heads * (latent.plain_dim + latent.rotary_dim);
  std::uint64_t count = (hidden + (attention.has_qkv_bias ? 1 : 0)) *
                        (std::uint64_t{latent.rank} + latent.rotary_dim);
  count += latent.rank + heads * (latent.plain_dim + latent.value_dim) * latent.rank;
  count += hidden * attention.output_width();
  if (attention.has_output_bias) count += hidden;
  if (!latent.query_rank) return count + hidden * query;
  const std::uint64_t rank = *latent.query_rank;
  return count + (hidden + (attention.has_qkv_bias ? 1 : 0)) * rank + rank + rank * query;
}

std::uint64_t attention_parameters(const AttentionSpec& attention, std::uint64_t hidden) {
  const std::uint64_t query = attention.num_heads * attention.head_dim;
  const std::uint64_t key = attention.num_kv_heads * attention.head_dim;
  const std::uint64_t value = attention.num_kv_heads * attention.value_head_dim;
  if (attention.latent) return latent_parameters(attention, hidden);
  std::uint64_t count = hidden * (query + key + value);
  count += hidden * attention.num_heads * attention.value_head_dim;
  if (attention.has_qkv_bias) count += query + key + value;
  if (attention.has_output_bias) count += hidden;
  if (attention.has_sinks) count += attention.num_heads;
  const bool per_head = attention.norm_extent == NormExtent::kHead;
  if (attention.query_norm) count += per_head ? attention.head_dim : query;
  if (attention.key_norm) count += per_head ? attention.head_dim : key;
  return count;
}

// Parameters of the whole feed-forward part and of what one token passes through.
std::pair<std::uint64_t, std::uint64_t> feed_forward_parameters(const FeedForwardSpec& feed_forward,
                                                                std::uint64_t hidden) {
  const std::uint64_t num_in = feed_forward.kind == FeedForwardKind::kPlain ? 1 : 2;
  std::uint64_t one = (num_in + 1) * hidden * feed_forward.width;
  if (feed_forward.has_bias) one += num_in * feed_forward.width + hidden;
  if (feed_forward.kind != FeedForwardKind::kExperts) return {one, one};
  // What every token passes through.
  const RoutingSpec& routing = feed_forward.routing;
  std::uint64_t common = hidden * feed_forward.num_experts;
  if (routing.has_bias) common += feed_forward.num_experts;
  if (routing.has_choice_bias) common += feed_forward.num_experts;
  common += 3 * hidden * feed_forward.shared_width + (feed_forward.has_shared_gate ? hidden : 0);
  return {common + one * feed_forward.num_experts, common + one * feed_forward.num_selected};
}

std::uint64_t norm_parameters(const std::optional<NormSpec>& norm, std::uint64_t hidden) {
  if (!norm) return 0;
  return (norm->has_weight ? hidden : 0) + (norm->has_bias ? hidden : 0);
}

// The base that spreads `context` positions over the slowest wavelength as the original ones were:
// bloc97 and emozilla 2023, as transformers and vLLM have it.
double dynamic_base(const RopeSpec& rope, std::size_t context) {
  const double stretch = static_cast<double>(context) / rope.original_context;
  if (stretch <= 1.0) return rope.base;
  const auto dim = static_cast<double>(rope.rotary_dim);
  return rope.base * std::pow(rope.factor * stretch - (rope.factor - 1.0), dim / (dim - 2.0));
}

// The divisors of each frequency; empty for none.
const std::vector<double>& divisors_of(const RopeSpec& rope, std::size_t context) {
  if (rope.scaling != RopeScaling::kLongrope) return rope.frequency_divisors;
  const bool is_long = static_cast<double>(context) > rope.original_context;
  return is_long ? rope.long_divisors : rope.short_divisors;
}

}  // namespace

Status check_spec(const ModelSpec& spec) {
  TRY(within("vocabulary size", spec.vocabulary, 1, kVocabularyMax));
  TRY(within("hidden size", spec.hidden, 1, kHiddenMax));
  TRY(within("context", spec.context_max, 1, kContextMax));
  TRY(within("number of layers", spec.layers.size(), 1, kLayersMax));
  for (const RopeSpec& rope : spec.ropes) TRY(check_rope(rope));
  if (spec.num_learned_positions > 0) {
    TRY(within("number of learned positions", spec.num_learned_positions, spec.context_max,
               kContextMax));
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const std::string where = "layer " + std::to_string(i);
    Status attention = check_attention(spec.layers[i].attention, spec);
    if (!attention.ok()) return with_context(std::move(attention).error(), where);
    Status norms = check_norms(spec.layers[i]);
    if (!norms.ok()) return with_context(std::move(norms).error(), where);
    Status feed_forward = check_feed_forward(spec.layers[i].feed_forward);
    if (!feed_forward.ok()) return with_context(std::move(feed_forward).error(), where);
  }
  return Ok{};
}

std::size_t trained_context(const ModelSpec& spec) {
  std::size_t context = spec.context_max;
  for (const RopeSpec& rope : spec.ropes) {
    if (rope.scaling != RopeScaling::kDynamic && rope.scaling != RopeScaling::kLongrope) continue;
    if (rope.original_context < 1.0) continue;
    context = std::min(context, static_cast<std::size_t>(rope.original_context));
  }
  return context;
}

std::vector<double> inverse_frequencies(const RopeSpec& rope, std::size_t context) {
  std::vector<double> frequencies(rope.rotary_dim / 2);
  const double base =
      rope.scaling == RopeScaling::kDynamic ? dynamic_base(rope, context) : rope.base;
  const std::vector<double>& divisors = divisors_of(rope, context);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim);
    double frequency = std::pow(base, -exponent);
    if (!divisors.empty()) frequency /= divisors[i];
    if (rope.scaling == RopeScaling::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::kLlama3) frequency = llama3_frequency(frequency, rope);
    frequencies[i] = frequency;
  }
  if (rope.scaling == RopeScaling::kYarn) apply_yarn(rope, frequencies);
  return frequencies;
}

ParameterCount count_parameters(const ModelSpec& spec) {
  ParameterCount count;
  count.embedding = std::uint64_t{spec.vocabulary} * spec.hidden;
  std::uint64_t shared = count.embedding * (spec.has_tied_embeddings ? 1 : 2);
  shared += norm_parameters(spec.final_norm, spec.hidden);
  shared += std::uint64_t{spec.num_learned_positions} * spec.hidden;
  if (spec.has_output_bias) shared += spec.vocabulary;
  std::uint64_t experts_total = 0;
  std::uint64_t experts_active = 0;
  for (const LayerSpec& layer : spec.layers) {
    shared += attention_parameters(layer.attention, spec.hidden);
    for (const auto& norm : {layer.attention_norm, layer.attention_post_norm,
                             layer.feed_forward_norm, layer.feed_forward_post_norm}) {
      shared += norm_parameters(norm, spec.hidden);
    }
    const auto [total, active] = feed_forward_parameters(layer.feed_forward, spec.hidden);
    experts_total += total;
    experts_active += active;
  }
  count.total = shared + experts_total;
  count.active = shared + experts_active;
  return count;
}

std::size_t rope_index(ModelSpec& spec, const RopeSpec& rope) {
  const auto found = std::find(spec.ropes.begin(), spec.ropes.end(), rope);
  const auto index = static_cast<std::size_t>(found - spec.ropes.begin());
  if (found == spec.ropes.end()) spec.ropes.push_back(rope);
  return index;
}

}  // namespace millrace
