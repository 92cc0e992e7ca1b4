// Names, types and shapes of the tensors that an export writes.
#include "model/export_tensors.h"

#include <array>
#include <cmath>
#include <map>

#include "formats/encode.h"
#include "model/export_gguf.h"

namespace millrace {
namespace {

bool is_rotated(TensorRole role) {
  return role == TensorRole::kQuery || role == TensorRole::kKey || role == TensorRole::kQueryBias ||
         role == TensorRole::kKeyBias;
}

bool is_expert(TensorRole role) {
  return role == TensorRole::kExpertGate || role == TensorRole::kExpertUp ||
         role == TensorRole::kExpertDown;
}

bool fits(DType dtype, const RequiredTensor& tensor) {
  return tensor.shape[tensor.shape.rank() - 1] % quant_format(dtype).group_size == 0;
}

class Planner {
 public:
  Planner(const ModelSpec& spec, const ExportSource& source, ExportLayout layout,
          std::optional<DType> format)
      : spec_(&spec), source_(&source), layout_(layout), format_(format) {}

  Result<ExportTensors> plan() {
    if (layout_ == ExportLayout::kGguf) add_rope_factors();
    for (const RequiredTensor& tensor : required_tensors(*spec_)) {
      if (layout_ == ExportLayout::kGguf && is_expert(tensor.key.role)) {
        TRY(add_stacked(tensor));
      } else {
        TRY(add(tensor));
      }
    }
    choose_main_dtype();
    return std::move(plan_);
  }

 private:
  std::string name_of(const TensorKey& key) const {
    if (layout_ == ExportLayout::kGguf) return gguf_name(key.role, key.layer);
    return hugging_face_name(key.role, spec_->architecture, key.layer, key.expert);
  }

  Result<DType> dtype_of(const RequiredTensor& tensor) {
    const DType stored = TRY(source_->dtype(tensor));
    if (layout_ == ExportLayout::kHuggingFace) {
      const DType wanted = format_.value_or(stored);
      if (!is_block_type(wanted)) return wanted;
      return Error{ErrorCode::kUnsupported,
                   "tensor " + name_of(tensor.key) + " would be " +
                       std::string(dtype_name(wanted)) +
                       ", which Hugging Face folders do not have: ask for f32, f16 or bf16, or "
                       "write GGUF"};
    }
    if (!tensor.is_matrix() || tensor.key.role == TensorRole::kRouter) return DType::kF32;
    const DType wanted = format_.value_or(stored);
    if (fits(wanted, tensor)) return wanted;
    ++plan_.num_kept;
    return stored;
  }

  Status add(const RequiredTensor& tensor) {
    ExportTensor added;
    const DType dtype = TRY(dtype_of(tensor));
    added.declaration = {name_of(tensor.key), dtype, tensor.shape};
    added.parts = {tensor};
    if (is_rotated(tensor.key.role) && layout_ == ExportLayout::kGguf && has_paired_rows(*spec_)) {
      added.paired_head_dim = spec_->layers[tensor.key.layer].attention.head_dim;
    }
    count(added);
    plan_.tensors.push_back(std::move(added));
    return Ok{};
  }

  // The first expert opens the stack, the others join it; all are written in one type.
  Status add_stacked(const RequiredTensor& tensor) {
    const std::string name = name_of(tensor.key);
    if (tensor.key.expert > 0) {
      ExportTensor& stack = plan_.tensors[stacks_.at(name)];
      stack.parts.push_back(tensor);
      return source_->dtype(tensor).ok() ? Status(Ok{}) : Status(source_->dtype(tensor).error());
    }
    ExportTensor stack;
    const std::size_t num_experts = spec_->layers[tensor.key.layer].feed_forward.num_experts;
    const DType dtype = TRY(dtype_of(tensor));
    stack.declaration = {name, dtype, Shape{num_experts, tensor.shape[0], tensor.shape[1]}};
    stack.parts = {tensor};
    count(stack);
    stacks_[name] = plan_.tensors.size();
    plan_.tensors.push_back(std::move(stack));
    return Ok{};
  }

  void add_rope_factors() {
    ExportTensor factors;
    factors.values = gguf_rope_factors(*spec_);
    if (factors.values.empty()) return;
    factors.declaration = {"rope_freqs.weight", DType::kF32, Shape{factors.values.size()}};
    plan_.tensors.push_back(std::move(factors));
  }

  void count(const ExportTensor& tensor) {
    if (!tensor.parts.front().is_matrix()) return;
    elements_[static_cast<std::size_t>(tensor.declaration.dtype)] +=
        tensor.declaration.shape.num_elements();
  }

  void choose_main_dtype() {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kNumDTypes; ++i) {
      if (elements_[i] > elements_[best]) best = i;
    }
    plan_.main_dtype = static_cast<DType>(best);
  }

  const ModelSpec* spec_;
  const ExportSource* source_;
  ExportLayout layout_;
  std::optional<DType> format_;
  ExportTensors plan_;
  std::map<std::string, std::size_t> stacks_;
  std::array<std::uint64_t, kNumDTypes> elements_{};
};

}  // namespace

std::uint64_t ExportTensors::num_bytes() const {
  std::uint64_t sum = 0;
  for (const ExportTensor& tensor : tensors) {
    const TensorDeclaration& declared = tensor.declaration;
    sum += storage_bytes(declared.dtype, declared.shape.num_elements()).value_or(0);
  }
  return sum;
}

Result<ExportTensors> plan_export_tensors(const ModelSpec& spec, const ExportSource& source,
                                          ExportLayout layout, std::optional<DType> format) {
  return Planner(spec, source, layout, format).plan();
}

}  // namespace millrace
