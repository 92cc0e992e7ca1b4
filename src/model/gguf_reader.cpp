// Look-ups in GGUF metadata that need more than one line.
#include "model/gguf_reader.h"

#include <cmath>

namespace millrace {

Result<double> GgufReader::positive_or(const std::string& key, double fallback) const {
  const double number = TRY(number_or(key, fallback));
  if (number > 0.0 && std::isfinite(number)) return number;
  return Error{ErrorCode::kCorruptData,
               prefix_ + key + " is " + std::to_string(number) + ", expected a positive number"};
}

Result<std::vector<std::uint64_t>> GgufReader::per_layer(
    const std::string& key, std::size_t num_layers, std::optional<std::uint64_t> fallback) const {
  const GgufValue* value = metadata_->find(prefix_ + key);
  if (value == nullptr && fallback) return std::vector<std::uint64_t>(num_layers, *fallback);
  const std::optional<GgufArray> array = value == nullptr ? std::nullopt : value->as_array();
  if (!array) return std::vector<std::uint64_t>(num_layers, TRY(count(key)));
  std::vector<std::uint64_t> values = TRY(array->unsigned_values());
  if (values.size() != num_layers) {
    return Error{ErrorCode::kCorruptData, prefix_ + key + " has " + std::to_string(values.size()) +
                                              " values for " + std::to_string(num_layers) +
                                              " layers"};
  }
  return values;
}

}  // namespace millrace
