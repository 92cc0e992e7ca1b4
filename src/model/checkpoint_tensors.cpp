// Look-up by role, shape checks, slices of stacked experts, and the row order of rope pairs.
#include "model/checkpoint_tensors.h"

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
  return spec.architecture == "LlamaForCausalLM" || spec.architecture == "MixtralForCausalLM";
}

Error wrong_shape(const CheckpointTensors& tensors, const TensorKey& key, const Shape& found,
                  const std::string& expected) {
  return Error{ErrorCode::kCorruptData, tensors.source().path() + ": tensor " +
                                            tensors.name_of(key) + " has shape " +
                                            to_string(found) + ", expected " + expected};
}

}  // namespace

void read_rows(const StoredTensor& tensor, std::size_t begin, std::size_t count, std::byte* rows) {
  CHECK(begin + count <= tensor.num_rows);
  const std::size_t row_bytes = tensor.row_bytes();
  const std::size_t head_dim = tensor.paired_head_dim;
  if (head_dim == 0) {
    std::memcpy(rows, tensor.bytes.data() + begin * row_bytes, count * row_bytes);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = begin + i;
    const std::size_t head = row / head_dim;
    const std::size_t within = row % head_dim;
    const std::size_t half = head_dim / 2;
    const std::size_t stored = within < half ? 2 * within : 2 * (within - half) + 1;
    std::memcpy(rows + i * row_bytes, tensor.bytes.data() + (head * head_dim + stored) * row_bytes,
                row_bytes);
  }
}

CheckpointTensors::CheckpointTensors(const Checkpoint& checkpoint, const ModelSpec& spec)
    : checkpoint_(&checkpoint), spec_(&spec) {}

std::string CheckpointTensors::name_of(const TensorKey& key) const {
  if (checkpoint_->kind() == CheckpointKind::kGguf) return gguf_name(key.role, key.layer);
  return hugging_face_name(key.role, spec_->architecture, key.layer, key.expert);
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
  const SourceTensor source = TRY(checkpoint_->weights().tensor(name_of(key)));
  TRY(check_type(source));
  const bool stacked = is_expert(key.role) && checkpoint_->kind() == CheckpointKind::kGguf;
  const std::size_t num_experts = stacked ? spec_->layers[key.layer].feed_forward.num_experts : 1;
  const Shape expected =
      stacked ? Shape{num_experts, num_rows, num_cols} : Shape{num_rows, num_cols};
  if (source.shape != expected) return wrong_shape(*this, key, source.shape, to_string(expected));
  const std::size_t one_bytes = source.bytes.size() / num_experts;
  return StoredTensor{
      .name = std::string(source.name),
      .dtype = source.dtype,
      .num_rows = num_rows,
      .num_cols = num_cols,
      .bytes = source.bytes.subspan(stacked ? key.expert * one_bytes : 0, one_bytes),
      .paired_head_dim = paired_head_dim(key),
  };
}

Result<StoredTensor> CheckpointTensors::vector(const TensorKey& key,
                                               std::size_t num_elements) const {
  const SourceTensor source = TRY(checkpoint_->weights().tensor(name_of(key)));
  TRY(check_type(source));
  const Shape expected = {num_elements};
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
  };
}

}  // namespace millrace
