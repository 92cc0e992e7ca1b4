// What every weight source answers from its list of tensors.
#include "formats/weight_source.h"

#include "formats/text_quote.h"

namespace millrace {

Result<SourceTensor> WeightSource::tensor(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) {
    return Error{ErrorCode::kNotFound, path() + ": tensor " + in_quotes(name) + " is missing"};
  }
  if (!info->refusal.empty()) {
    return Error{ErrorCode::kUnsupported,
                 path() + ": tensor " + in_quotes(name) + ": " + info->refusal};
  }
  CHECK(info->dtype.has_value());
  return SourceTensor{info->name, *info->dtype, info->shape, info->bytes};
}

std::uint64_t WeightSource::num_parameters() const {
  std::uint64_t sum = 0;
  for (const TensorInfo& info : tensors()) sum += info.shape.num_elements();
  return sum;
}

std::uint64_t WeightSource::num_bytes() const {
  std::uint64_t sum = 0;
  for (const TensorInfo& info : tensors()) sum += info.bytes.size();
  return sum;
}

}  // namespace millrace
