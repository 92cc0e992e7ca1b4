// Packing a plan's weights on the whole team, and the views over the packed bytes.
#include <algorithm>
#include <cstring>

#include "formats/decode.h"
#include "formats/decode_blocks.h"
#include "model/weight_plan.h"

namespace millrace {
namespace {

// Rows that are read, decoded and packed together: whole panels, small enough to stay in the L2
// cache.
constexpr std::size_t kRowsAtOnce = kPanelRows;
constexpr std::size_t kQuantGroupMin = 16;

// How the values of a matrix come into its packed form.
enum class FillKind : std::uint8_t {
  kFloats,   // floats of the file, converted or rounded
  kQuants,   // integers and scales of the file's blocks, taken over
  kFloat8,   // FP8 and scales of the file, taken over
  kDecoded,  // everything else, by way of f32
};

FillKind fill_kind(const WeightSlot& slot) {
  const DType dtype = slot.stored.dtype;
  const std::optional<QuantKind> kind = quant_kind(slot.stored);
  if (kind && can_hold(slot.format, *kind)) return FillKind::kQuants;
  if (slot.format == WeightFormat::kE4m3G32 && has_float8_groups(slot.stored)) {
    return FillKind::kFloat8;
  }
  if (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16) {
    return FillKind::kFloats;
  }
  return FillKind::kDecoded;
}

// Scratch of one rank, as large as the largest slot needs.
struct Scratch {
  std::vector<std::byte> rows;
  std::vector<float> decoded;
  std::vector<std::int8_t> quants;
  std::vector<float> scales;
  std::vector<float> minima;

  explicit Scratch(std::span<const WeightSlot> slots) {
    std::size_t row_bytes = 0;
    std::size_t num_decoded = 0;
    std::size_t num_quants = 0;
    for (const WeightSlot& slot : slots) {
      row_bytes = std::max(row_bytes, slot.stored.row_bytes());
      if (!slot.is_matrix || fill_kind(slot) == FillKind::kFloats) continue;
      const bool has_quants = fill_kind(slot) != FillKind::kDecoded;
      std::size_t& num_values = has_quants ? num_quants : num_decoded;
      num_values = std::max(num_values, kRowsAtOnce * slot.stored.num_cols);
    }
    rows.resize(kRowsAtOnce * row_bytes);
    decoded.resize(num_decoded);
    quants.resize(num_quants);
    scales.resize(num_quants / kQuantGroupMin);
    minima.resize(num_quants / kQuantGroupMin);
  }
};

PackedMatrix matrix_in(const WeightSlot& slot, std::byte* bytes) {
  return {.format = slot.format,
          .num_rows = slot.stored.num_rows,
          .num_cols = slot.stored.num_cols,
          .data = bytes + slot.offset};
}

// Takes the blocks of `count` rows apart and packs what they hold.
void pack_quants(const StoredTensor& stored, std::size_t begin, std::size_t count, Scratch& scratch,
                 PackedMatrix& matrix) {
  const QuantKind kind = *quant_kind(stored);
  const std::size_t num_values = count * stored.num_cols;
  const std::size_t num_groups = num_values / kind.group_size;
  const QuantSpans parts = {
      .quants = std::span(scratch.quants).first(num_values),
      .scales = std::span(scratch.scales).first(num_groups),
      .minima = std::span(scratch.minima).first(kind.has_minimum ? num_groups : 0)};
  if (stored.quantized != nullptr) {
    split_rows(stored, begin, count, parts);
  } else {
    split_blocks(stored.dtype, std::span(scratch.rows).first(count * stored.row_bytes()), parts);
  }
  pack_quant_rows({.quants = scratch.quants.data(),
                   .scales = scratch.scales.data(),
                   .minima = kind.has_minimum ? scratch.minima.data() : nullptr,
                   .num_rows = count,
                   .num_cols = stored.num_cols,
                   .group_size = kind.group_size},
                  begin, matrix);
}

// The same for FP8.
void pack_float8(const StoredTensor& stored, std::size_t begin, std::size_t count, Scratch& scratch,
                 PackedMatrix& matrix) {
  const std::size_t num_values = count * stored.num_cols;
  split_rows(stored, begin, count,
             {.quants = std::span(scratch.quants).first(num_values),
              .scales = std::span(scratch.scales).first(num_values / kWeightGroup),
              .minima = {}});
  pack_float8_rows({.values = reinterpret_cast<const Float8*>(scratch.quants.data()),
                    .scales = scratch.scales.data(),
                    .num_rows = count,
                    .num_cols = stored.num_cols,
                    .group_size = kWeightGroup},
                   begin, matrix);
}

// Packs the `count` rows in scratch.rows as rows [begin, begin + count).
void pack_scratch(const WeightSlot& slot, std::size_t begin, std::size_t count, Scratch& scratch,
                  PackedMatrix& matrix) {
  const StoredTensor& stored = slot.stored;
  const Shape shape = {count, stored.num_cols};
  switch (fill_kind(slot)) {
    case FillKind::kFloats:
      return pack_rows(ConstTensorView(scratch.rows.data(), stored.dtype, shape), begin, matrix);
    case FillKind::kQuants:
      return pack_quants(stored, begin, count, scratch, matrix);
    case FillKind::kFloat8:
      return pack_float8(stored, begin, count, scratch, matrix);
    case FillKind::kDecoded:
      decode(stored.dtype, std::span(scratch.rows).first(count * stored.row_bytes()),
             std::span(scratch.decoded).first(count * stored.num_cols));
      return pack_rows(view_of<const float>(scratch.decoded.data(), shape), begin, matrix);
  }
}

// Packs this rank's share of the matrix's panels.
void fill_matrix(KernelContext& context, const WeightSlot& slot, std::byte* bytes,
                 Scratch& scratch) {
  PackedMatrix matrix = matrix_in(slot, bytes);
  const StoredTensor& stored = slot.stored;
  const WorkRange range = context.share(stored.num_rows, kRowsAtOnce);
  for (std::size_t begin = range.begin; begin < range.end; begin += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, range.end - begin);
    // Through scratch, because bytes in files may lie at odd addresses and in another order.
    const FillKind kind = fill_kind(slot);
    const bool is_split = stored.quantized != nullptr && kind != FillKind::kFloats;
    if (!is_split) read_rows(stored, begin, count, scratch.rows.data());
    pack_scratch(slot, begin, count, scratch, matrix);
  }
}

void fill_vector(const WeightSlot& slot, std::byte* bytes) {
  std::vector<std::byte> elements(slot.stored.num_rows * slot.stored.row_bytes());
  read_rows(slot.stored, 0, slot.stored.num_rows, elements.data());
  auto* values = reinterpret_cast<float*>(bytes + slot.offset);
  decode(slot.stored.dtype, elements, std::span(values, slot.stored.num_rows));
  if (slot.addend == 0.0f) return;
  for (std::size_t i = 0; i < slot.stored.num_rows; ++i) values[i] += slot.addend;
}

// Where the views of one layer's tensors go.
PackedMatrix* matrix_place(ModelWeights& weights, const TensorKey& key) {
  if (key.role == TensorRole::kEmbedding) return &weights.embedding;
  if (key.role == TensorRole::kPositions) return &weights.positions;
  if (key.role == TensorRole::kOutput) return &weights.output;
  AttentionWeights& attention = weights.layers[key.layer].attention;
  FeedForwardWeights& feed_forward = weights.layers[key.layer].feed_forward;
  switch (key.role) {
    case TensorRole::kQuery:
    case TensorRole::kQueryUp:
      return &attention.query;
    case TensorRole::kKey:
      return &attention.key;
    case TensorRole::kValue:
      return &attention.value;
    case TensorRole::kAttentionOutput:
      return &attention.output;
    case TensorRole::kGate:
      return &feed_forward.gate;
    case TensorRole::kUp:
      return &feed_forward.up;
    case TensorRole::kDown:
      return &feed_forward.down;
    case TensorRole::kRouter:
      return &feed_forward.router;
    case TensorRole::kExpertGate:
      return &feed_forward.expert_gate.at(key.expert);
    case TensorRole::kExpertUp:
      return &feed_forward.expert_up.at(key.expert);
    case TensorRole::kExpertDown:
      return &feed_forward.expert_down.at(key.expert);
    case TensorRole::kSharedGate:
      return &feed_forward.shared_gate;
    case TensorRole::kSharedUp:
      return &feed_forward.shared_up;
    case TensorRole::kSharedDown:
      return &feed_forward.shared_down;
    case TensorRole::kSharedRouter:
      return &feed_forward.shared_router;
    case TensorRole::kQueryDown:
      return &attention.query_down;
    case TensorRole::kLatent:
      return &attention.latent;
    case TensorRole::kSharedKey:
      return &attention.shared_key;
    case TensorRole::kHeadKey:
      return &attention.head_key.at(key.expert);
    case TensorRole::kHeadValue:
      return &attention.head_value.at(key.expert);
    default:
      return nullptr;
  }
}

const float** vector_place(ModelWeights& weights, const TensorKey& key) {
  if (key.role == TensorRole::kFinalNorm) return &weights.final_norm.weight;
  if (key.role == TensorRole::kFinalNormBias) return &weights.final_norm.bias;
  if (key.role == TensorRole::kOutputBias) return &weights.output_bias;
  LayerWeights& layer = weights.layers[key.layer];
  switch (key.role) {
    case TensorRole::kAttentionNorm:
      return &layer.attention_norm.weight;
    case TensorRole::kAttentionNormBias:
      return &layer.attention_norm.bias;
    case TensorRole::kAttentionPostNorm:
      return &layer.attention_post_norm.weight;
    case TensorRole::kFeedForwardNorm:
      return &layer.feed_forward_norm.weight;
    case TensorRole::kFeedForwardNormBias:
      return &layer.feed_forward_norm.bias;
    case TensorRole::kFeedForwardPostNorm:
      return &layer.feed_forward_post_norm.weight;
    case TensorRole::kQueryBias:
      return &layer.attention.query_bias;
    case TensorRole::kKeyBias:
      return &layer.attention.key_bias;
    case TensorRole::kValueBias:
      return &layer.attention.value_bias;
    case TensorRole::kAttentionOutputBias:
      return &layer.attention.output_bias;
    case TensorRole::kSinks:
      return &layer.attention.sinks;
    case TensorRole::kQueryDownBias:
      return &layer.attention.query_down_bias;
    case TensorRole::kLatentBias:
      return &layer.attention.latent_bias;
    case TensorRole::kSharedKeyBias:
      return &layer.attention.shared_key_bias;
    case TensorRole::kQueryDownNorm:
      return &layer.attention.query_down_norm;
    case TensorRole::kLatentNorm:
      return &layer.attention.latent_norm;
    case TensorRole::kRouterBias:
      return &layer.feed_forward.router_bias;
    case TensorRole::kChoiceBias:
      return &layer.feed_forward.choice_bias;
    case TensorRole::kExpertGateBias:
      return &layer.feed_forward.expert_gate_bias;
    case TensorRole::kExpertUpBias:
      return &layer.feed_forward.expert_up_bias;
    case TensorRole::kExpertDownBias:
      return &layer.feed_forward.expert_down_bias;
    case TensorRole::kQueryNorm:
      return &layer.attention.query_norm;
    case TensorRole::kKeyNorm:
      return &layer.attention.key_norm;
    case TensorRole::kGateBias:
      return &layer.feed_forward.gate_bias;
    case TensorRole::kUpBias:
      return &layer.feed_forward.up_bias;
    case TensorRole::kDownBias:
      return &layer.feed_forward.down_bias;
    default:
      return nullptr;
  }
}

}  // namespace

Status WeightPlan::fill(KernelContext& context, std::span<std::byte> bytes,
                        FunctionRef<void(std::uint64_t, std::uint64_t)> progress) const {
  CHECK(bytes.size() >= num_bytes_);
  CHECK(tensors_.has_value());
  run_step(context, [&](KernelContext& rank) {
    Scratch scratch(slots_);
    for (const WeightSlot& slot : slots_) {
      if (slot.is_matrix) {
        fill_matrix(rank, slot, bytes.data(), scratch);
      } else if (rank.rank() == 0) {
        fill_vector(slot, bytes.data());
      }
      rank.barrier();  // All have read the source before its pages go.
      if (rank.rank() != 0) continue;
      tensors_->source().release_pages(slot.stored.bytes);
      progress(slot.offset + slot.num_bytes, num_bytes_);
    }
  });
  return tensors_->source().check_intact();
}

ModelWeights WeightPlan::bind(std::span<const std::byte> bytes) const {
  CHECK(bytes.size() >= num_bytes_);
  ModelWeights weights;
  weights.layers.resize(spec_->layers.size());
  for (std::size_t i = 0; i < spec_->layers.size(); ++i) {
    FeedForwardWeights& feed_forward = weights.layers[i].feed_forward;
    const std::size_t num_experts = spec_->layers[i].feed_forward.num_experts;
    for (auto* experts :
         {&feed_forward.expert_gate, &feed_forward.expert_up, &feed_forward.expert_down}) {
      experts->resize(num_experts);
    }
    const AttentionSpec& attention = spec_->layers[i].attention;
    if (!attention.latent) continue;
    weights.layers[i].attention.head_key.resize(attention.num_heads);
    weights.layers[i].attention.head_value.resize(attention.num_heads);
  }
  // Views of matrices are not const; nothing writes through them once they are filled.
  auto* data = const_cast<std::byte*>(bytes.data());
  for (const WeightSlot& slot : slots_) {
    if (slot.is_matrix) {
      PackedMatrix* place = matrix_place(weights, slot.key);
      CHECK(place != nullptr);
      *place = matrix_in(slot, data);
    } else {
      const float** place = vector_place(weights, slot.key);
      CHECK(place != nullptr);
      *place = reinterpret_cast<const float*>(data + slot.offset);
    }
  }
  if (spec_->has_tied_embeddings) weights.output = weights.embedding;
  return weights;
}

}  // namespace millrace
