// Look-up by role, shape checks, slices of stacked experts, and the row order of rope pairs.
#include "model/checkpoint_tensors.h"

#include <algorithm>
#include <cstring>

#include "formats/decode.h"

namespace millrace {
namespace {

bool is_expert(TensorRole role) {
  return role == TensorRole::kExpertGate || role == TensorRole::kExpertUp ||
         role == TensorRole::kExpertDown;
}

bool is_rotated(TensorRole role) {
  return role == TensorRole::kQuery || role == TensorRole::kKey || role == TensorRole::kQueryBias ||
         role == TensorRole::kKeyBias;
}

// The architectures whose GGUF converters reorder the rows of q and k. The others keep Hugging
// Face's order.
bool has_paired_rows(const Checkpoint& checkpoint, const ModelSpec& spec) {
  if (checkpoint.kind() == CheckpointKind::kLlama2c) return true;
  if (checkpoint.kind() != CheckpointKind::kGguf) return false;
  static constexpr std::string_view kPaired[] = {"LlamaForCausalLM", "MixtralForCausalLM",
                                                 "GraniteForCausalLM", "SmolLM3ForCausalLM",
                                                 "OlmoForCausalLM"};
  return std::find(std::begin(kPaired), std::end(kPaired), spec.architecture) != std::end(kPaired);
}

Error wrong_shape(const CheckpointTensors& tensors, const TensorKey& key, const Shape& found,
                  const std::string& expected) {
  return Error{ErrorCode::kCorruptData, tensors.source().path() + ": tensor " +
                                            tensors.name_of(key) + " has shape " +
                                            to_string(found) + ", expected " + expected};
}

}  // namespace

std::size_t StoredTensor::row_bytes() const {
  return static_cast<std::size_t>(storage_bytes(dtype, num_cols).value_or(0));
}

namespace {

// Where the row that the decoder calls `row` is stored.
std::size_t stored_row(const StoredTensor& tensor, std::size_t row) {
  const std::size_t head_dim = tensor.paired_head_dim;
  if (head_dim != 0) {
    const std::size_t within = row % head_dim;
    const std::size_t half = head_dim / 2;
    row = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  }
  const RowRuns& runs = tensor.runs;
  if (runs.length == 0) return row;
  return runs.first + row / runs.length * runs.stride + row % runs.length;
}

// One row of a matrix that lies across the stored ones.
void gather_row(const StoredTensor& tensor, std::size_t row, std::byte* elements) {
  const std::size_t element_bytes = tensor.row_bytes() / tensor.num_cols;
  const std::byte* from = tensor.bytes.data() + row * element_bytes;
  for (std::size_t i = 0; i < tensor.num_cols; ++i) {
    std::memcpy(elements + i * element_bytes, from + i * tensor.transposed_pitch * element_bytes,
                element_bytes);
  }
}

}  // namespace

void read_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count, std::byte* rows) {
  CHECK(begin + count <= tensor.num_rows);
  const std::size_t row_bytes = tensor.row_bytes();
  const bool is_dense = tensor.transposed_pitch == 0;
  if (is_dense && tensor.paired_head_dim == 0 && tensor.runs.length == 0) {
    std::memcpy(rows, tensor.bytes.data() + begin * row_bytes, count * row_bytes);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = stored_row(tensor, begin + i);
    if (is_dense) {
      std::memcpy(rows + i * row_bytes, tensor.bytes.data() + row * row_bytes, row_bytes);
    } else {
      gather_row(tensor, row, rows + i * row_bytes);
    }
  }
}

CheckpointTensors::CheckpointTensors(const Checkpoint& checkpoint, const ModelSpec& spec)
    : checkpoint_(&checkpoint), spec_(&spec) {}

// Where this checkpoint, of several spellings, has the tensor; the usual one when it has none.
TensorPlace CheckpointTensors::place_of(const TensorKey& key) const {
  if (checkpoint_->kind() == CheckpointKind::kGguf) return gguf_place_of(key);
  TensorPlace place = hugging_face_place(key.role, spec_->architecture, key.layer, key.expert);
  if (source().find(place.name) != nullptr) return place;
  for (std::string& name : spellings_of(place.name, spec_->architecture)) {
    if (source().find(name) != nullptr) place.name = std::move(name);
  }
  return place;
}

// GGUF's converters keep q, k and v in one tensor for some architectures, and gate and up under
// the name of up.
TensorPlace CheckpointTensors::gguf_place_of(const TensorKey& key) const {
  TensorPlace place;
  place.name = gguf_name(key.role, key.layer);
  std::string fused = gguf_fused_name(key.role, key.layer);
  if (!fused.empty() && source().find(place.name) == nullptr && source().find(fused) != nullptr) {
    return {.name = std::move(fused), .layout = TensorLayout::kStackedQkv};
  }
  const bool is_half = key.role == TensorRole::kGate || key.role == TensorRole::kUp;
  if (!is_half || spec_->layers[key.layer].feed_forward.kind != FeedForwardKind::kGated ||
      source().find(gguf_name(TensorRole::kGate, key.layer)) != nullptr) {
    return place;
  }
  return {.name = gguf_name(TensorRole::kUp, key.layer), .layout = TensorLayout::kStackedGateUp};
}

// Rows of q, k and v or of gate and up within one stored tensor.
RowRuns CheckpointTensors::runs_of(const TensorKey& key, TensorLayout layout) const {
  if (layout == TensorLayout::kWhole) return {};
  const LayerSpec& layer = spec_->layers[key.layer];
  if (layout == TensorLayout::kStackedGateUp) {
    const std::size_t width = layer.feed_forward.width;
    return {.first = key.role == TensorRole::kUp ? width : 0, .length = width, .stride = width};
  }
  const AttentionSpec& attention = layer.attention;
  // Stacked is grouped with one group.
  const std::size_t num_groups =
      layout == TensorLayout::kGroupedQkv ? attention.num_kv_heads : std::size_t{1};
  const std::size_t query = attention.num_heads / num_groups * attention.head_dim;
  const std::size_t kv = attention.num_kv_heads / num_groups * attention.head_dim;
  RowRuns runs{.first = 0, .length = query, .stride = query + 2 * kv};
  if (key.role == TensorRole::kQuery || key.role == TensorRole::kQueryBias) return runs;
  const bool is_key = key.role == TensorRole::kKey || key.role == TensorRole::kKeyBias;
  runs.first = is_key ? query : query + kv;
  runs.length = kv;
  return runs;
}

std::size_t CheckpointTensors::stored_rows(const TensorKey& key, TensorLayout layout,
                                           std::size_t num_rows) const {
  const LayerSpec& layer = spec_->layers[key.layer];
  if (layout == TensorLayout::kWhole) return num_rows;
  if (layout == TensorLayout::kStackedGateUp) return 2 * layer.feed_forward.width;
  const AttentionSpec& attention = layer.attention;
  return (attention.num_heads + 2 * attention.num_kv_heads) * attention.head_dim;
}

std::size_t CheckpointTensors::paired_head_dim(const TensorKey& key) const {
  if (!is_rotated(key.role) || !has_paired_rows(*checkpoint_, *spec_)) return 0;
  return spec_->layers[key.layer].attention.head_dim;
}

Status CheckpointTensors::check_type(const SourceTensor& tensor) const {
  if (can_decode(tensor.dtype)) return Ok{};
  return Error{ErrorCode::kUnsupported, source().path() + ": tensor " + std::string(tensor.name) +
                                            " is of type " + std::string(dtype_name(tensor.dtype)) +
                                            ", which holds no weights"};
}

Result<StoredTensor> CheckpointTensors::matrix(const TensorKey& key, std::size_t num_rows,
                                               std::size_t num_cols) const {
  const TensorPlace place = place_of(key);
  const SourceTensor source = TRY(checkpoint_->weights().tensor(place.name));
  TRY(check_type(source));
  const bool stacked = is_expert(key.role) && checkpoint_->kind() == CheckpointKind::kGguf;
  const std::size_t num_experts = stacked ? spec_->layers[key.layer].feed_forward.num_experts : 1;
  const std::size_t all_rows = stored_rows(key, place.layout, num_rows);
  Shape expected = {all_rows, num_cols};
  if (place.is_transposed) expected = {num_cols, all_rows};
  if (stacked) expected = {num_experts, num_rows, num_cols};
  if (source.shape != expected) return wrong_shape(*this, key, source.shape, to_string(expected));
  if (place.is_transposed && is_block_type(source.dtype)) {
    return Error{ErrorCode::kUnsupported, "tensor " + std::string(source.name) +
                                              " is transposed and of block type " +
                                              std::string(dtype_name(source.dtype))};
  }
  const std::size_t one_bytes = source.bytes.size() / num_experts;
  return StoredTensor{
      .name = std::string(source.name),
      .dtype = source.dtype,
      .num_rows = num_rows,
      .num_cols = num_cols,
      .bytes = source.bytes.subspan(stacked ? key.expert * one_bytes : 0, one_bytes),
      .paired_head_dim = paired_head_dim(key),
      .runs = runs_of(key, place.layout),
      .transposed_pitch = place.is_transposed ? all_rows : 0,
  };
}

Result<StoredTensor> CheckpointTensors::vector(const TensorKey& key,
                                               std::size_t num_elements) const {
  const TensorPlace place = place_of(key);
  const SourceTensor source = TRY(checkpoint_->weights().tensor(place.name));
  TRY(check_type(source));
  const Shape expected = {stored_rows(key, place.layout, num_elements)};
  if (source.shape != expected) return wrong_shape(*this, key, source.shape, to_string(expected));
  if (is_block_type(source.dtype)) {
    return Error{ErrorCode::kUnsupported, "tensor " + std::string(source.name) +
                                              " is a vector of block type " +
                                              std::string(dtype_name(source.dtype))};
  }
  return StoredTensor{
      .name = std::string(source.name),
      .dtype = source.dtype,
      .num_rows = num_elements,
      .num_cols = 1,
      .bytes = source.bytes,
      .paired_head_dim = paired_head_dim(key),
      .runs = runs_of(key, place.layout),
      .transposed_pitch = 0,
  };
}

}  // namespace millrace
