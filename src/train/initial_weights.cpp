// Which tensors begin as what.
#include "train/initial_weights.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace millrace {
namespace {

bool writes_hidden(TensorRole role) {
  switch (role) {
    case TensorRole::kAttentionOutput:
    case TensorRole::kDown:
    case TensorRole::kExpertDown:
    case TensorRole::kSharedDown:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status InitialWeights::read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
                            std::span<std::byte> bytes) const {
  std::vector<float> values(bytes.size() / sizeof(float), 0.0f);
  if (tensor.is_matrix()) {
    TRY(random_.read(tensor, begin, count, bytes));
    if (!writes_hidden(tensor.key.role)) return Ok{};
    std::memcpy(values.data(), bytes.data(), bytes.size());
    const auto depth = static_cast<float>(std::sqrt(2.0 * static_cast<double>(num_layers_)));
    for (float& value : values) value /= depth;
  } else if (is_norm_weight(tensor.key.role)) {
    for (float& value : values) value = 1.0f - tensor.addend;
  }
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return Ok{};
}

}  // namespace millrace
