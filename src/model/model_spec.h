// Plain data that says what a model is: one vocabulary for loading, running, training, searching
// and exporting.
//
// Every layer states everything about itself, so that layers may differ. Nothing here is a pointer,
// a file name or a device. Filled from config.json (config_spec.h) or GGUF metadata (gguf_spec.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/ops.h"

namespace millrace {

// Limits that no published model comes near; what exceeds them is a lying file.
inline constexpr std::size_t kLayersMax = 1024;
inline constexpr std::size_t kHiddenMax = 1u << 17;
inline constexpr std::size_t kVocabularyMax = 1u << 22;
inline constexpr std::size_t kHeadsMax = 1024;
inline constexpr std::size_t kFeedForwardMax = 1u << 20;
inline constexpr std::size_t kExpertsMax = kRoutedExpertsMax;
inline constexpr std::size_t kContextMax = 1u << 24;

enum class RopeScaling : std::uint8_t {
  kNone,
  kLinear,    // positions / factor.
  kLlama3,    // long wavelengths / factor, short ones untouched, a ramp between. Llama 3.1,
              // section 3.4.1 of its report.
  kYarn,      // Peng et al. 2023, arXiv:2309.00071, section 3.2 and 3.4.
  kDynamic,   // a larger base for contexts beyond the original one: "NTK-aware", by factor
  kLongrope,  // divisors of their own for contexts beyond the original one. Ding et al. 2024,
              // arXiv:2402.13753.
};

// One way to rotate positions into queries and keys.
struct RopeSpec {
  RopePairs pairs = RopePairs::kHalves;
  std::size_t rotary_dim = 0;  // leading elements of a head that are rotated; even
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double original_context = 0.0;       // all kinds but kNone and kLinear
  double low_frequency_factor = 1.0;   // kLlama3
  double high_frequency_factor = 4.0;  // kLlama3
  double beta_fast = 32.0;             // kYarn
  double beta_slow = 1.0;              // kYarn
  bool has_whole_bounds = true;        // kYarn: the ramp begins and ends at whole dimensions
  double attention_factor = 1.0;       // multiplies cos and sin
  // Divides each inverse frequency [rotary_dim / 2]; empty for none. GGUF stores kLlama3 this way.
  std::vector<double> frequency_divisors;
  // kLongrope: likewise, in models configured for no more than original_context, and for more.
  std::vector<double> short_divisors;
  std::vector<double> long_divisors;

  bool operator==(const RopeSpec&) const = default;
};

enum class NormKind : std::uint8_t {
  kRms,    // Zhang & Sennrich 2019, arXiv:1910.07467
  kLayer,  // Ba, Kiros & Hinton 2016, arXiv:1607.06450
};

struct NormSpec {
  float eps = 1e-5f;
  NormKind kind = NormKind::kRms;
  bool has_weight = true;      // false: ones; kLayer only
  bool has_bias = false;       // kLayer only
  float weight_offset = 0.0f;  // added to the stored weight: Gemma's Hugging Face files hold w - 1

  bool operator==(const NormSpec&) const = default;
};

// What the norms of queries and keys run over.
enum class NormExtent : std::uint8_t {
  kHead,   // each head by itself, all with one weight [D]
  kWidth,  // all heads of a token at once, weight [H*D]
};

enum class AttentionKind : std::uint8_t { kFull, kSliding };

// Latent attention: keys and values are made of one short vector per token, and the cache holds
// that vector with a rotated key that all heads share. DeepSeek-V2, arXiv:2405.04434, section 2.1.
//
// What makes keys and values of the latent is applied to queries and outputs instead, so attention
// itself sees one key/value head: keys [rotated | latent] and values [latent].
struct LatentSpec {
  std::size_t rank = 0;                   // elements of the latent
  std::size_t rotary_dim = 0;             // of each query head, and of the shared key
  std::size_t plain_dim = 0;              // of each query head, matched with keys from the latent
  std::size_t value_dim = 0;              // of each head's output
  std::optional<std::size_t> query_rank;  // of the queries' own latent
  NormSpec norm;                          // of the latents

  bool operator==(const LatentSpec&) const = default;
};

struct AttentionSpec {
  AttentionKind kind = AttentionKind::kFull;
  std::size_t num_heads = 0;
  std::size_t num_kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t value_head_dim = 0;
  std::size_t window = 0;              // kSliding: tokens that a query sees, itself included
  std::optional<std::size_t> rope;     // index into ModelSpec::ropes; absent: no positions here
  float scale = 1.0f;                  // of q·k
  std::optional<float> softcap;        // of scores
  std::optional<NormSpec> query_norm;  // before rope
  std::optional<NormSpec> key_norm;
  NormExtent norm_extent = NormExtent::kHead;  // of query_norm and key_norm
  bool has_qkv_bias = false;
  bool has_output_bias = false;
  bool has_sinks = false;  // one more score per head, in the softmax only
  // With it: one KV head, head_dim = rotary_dim + rank, value_head_dim = rank; has_qkv_bias is of
  // the projections to the latents.
  std::optional<LatentSpec> latent;

  // Elements of a token that go into the output projection.
  std::size_t output_width() const {
    return num_heads * (latent ? latent->value_dim : value_head_dim);
  }
  bool operator==(const AttentionSpec&) const = default;
};

enum class FeedForwardKind : std::uint8_t {
  kGated,    // down(act(gate(x)) * up(x))
  kPlain,    // down(act(up(x)))
  kExperts,  // a router picks some of many gated ones per token
};

// How a router's logits become experts and weights: RoutingOptions without the numbers that are
// weights.
struct RoutingSpec {
  ExpertScores scores = ExpertScores::kSoftmax;
  ExpertWeights weights = ExpertWeights::kNormalised;
  float weight_scale = 1.0f;
  bool has_bias = false;         // of the logits
  bool has_choice_bias = false;  // of the scores that choose
  std::size_t num_groups = 1;
  std::size_t num_groups_selected = 1;
  GroupRank group_rank = GroupRank::kHighest;

  bool operator==(const RoutingSpec&) const = default;
};

struct FeedForwardSpec {
  FeedForwardKind kind = FeedForwardKind::kGated;
  std::size_t width = 0;  // of one expert for kExperts
  Activation activation = Activation::kSilu;
  std::optional<ClampedGate> clamp;  // instead of the activation
  bool has_bias = false;             // of every expert for kExperts
  std::size_t num_experts = 0;
  std::size_t num_selected = 0;
  RoutingSpec routing;
  // kExperts: of a gated one that every token passes through as well; 0: none. Several shared
  // experts are one that is as wide as all of them.
  std::size_t shared_width = 0;
  bool has_shared_gate = false;  // its output is multiplied by the sigmoid of one more logit

  bool operator==(const FeedForwardSpec&) const = default;
};

// How the matrices of a layer are to be held; absent: the format nearest to the checkpoint's.
struct LayerFormats {
  std::optional<WeightFormat> qkv;
  std::optional<WeightFormat> attention_output;
  std::optional<WeightFormat> feed_forward_in;  // gate and up
  std::optional<WeightFormat> feed_forward_out;

  bool operator==(const LayerFormats&) const = default;
};

enum class ResidualKind : std::uint8_t {
  kSequential,  // h += attention(norm(h)); h += feed_forward(norm(h))
  kParallel,    // h += attention(norm(h)) + feed_forward(norm(h)), both of the same h
};

// Each part may have a norm of its input and one of its output, before it is added to h:
// h += residual_scale * post_norm(part(norm(h))).
struct LayerSpec {
  std::optional<NormSpec> attention_norm;  // kParallel layers have it
  AttentionSpec attention;
  std::optional<NormSpec> attention_post_norm;
  // Absent in kParallel layers: the feed-forward part has the same input as attention.
  std::optional<NormSpec> feed_forward_norm;
  FeedForwardSpec feed_forward;
  std::optional<NormSpec> feed_forward_post_norm;
  ResidualKind residual = ResidualKind::kSequential;
  float residual_scale = 1.0f;
  LayerFormats formats;

  bool operator==(const LayerSpec&) const = default;
};

struct ModelSpec {
  std::string architecture;  // "LlamaForCausalLM": Hugging Face's name, whatever the file format
  std::size_t vocabulary = 0;
  std::size_t hidden = 0;
  std::size_t context_max = 0;  // positions that the model was made for
  std::vector<RopeSpec> ropes;  // the distinct ones; layers point here
  std::vector<LayerSpec> layers;
  NormSpec final_norm;
  bool has_tied_embeddings = false;
  float embedding_scale = 1.0f;
  std::size_t num_learned_positions = 0;  // rows of a table added to the embeddings; 0: none
  bool has_output_bias = false;
  float logit_scale = 1.0f;
  std::optional<float> logit_softcap;  // after the scale
  std::optional<WeightFormat> embedding_format;
  std::optional<WeightFormat> output_format;
  std::vector<std::uint32_t>
      eos_ids;  // as the model's own config says; the tokeniser may add to it
  std::optional<std::uint32_t> bos_id;

  bool operator==(const ModelSpec&) const = default;
};

// Every extent within its limit, every relation that ops rely on true (KV heads divide heads, …);
// kUnsupported or kCorruptData naming the field and both values.
Status check_spec(const ModelSpec& spec);

// The positions that a model takes with its ropes as they were trained: the least original context
// of those that depend on the length, else context_max.
std::size_t trained_context(const ModelSpec& spec);

// The inverse frequencies [rotary_dim / 2] of a rope with its scaling applied, in a model that is
// configured for `context` positions: one choice for all of them, so that a token's result never
// depends on what follows it.
std::vector<double> inverse_frequencies(const RopeSpec& rope, std::size_t context = 0);

// Trainable numbers of the whole, and how many of them one token passes through (fewer with
// experts).
struct ParameterCount {
  std::uint64_t total = 0;
  std::uint64_t active = 0;
  std::uint64_t embedding = 0;  // the table, counted once when tied
};
ParameterCount count_parameters(const ModelSpec& spec);

// The index of an equal rope, added when there is none yet.
std::size_t rope_index(ModelSpec& spec, const RopeSpec& rope);

}  // namespace millrace
