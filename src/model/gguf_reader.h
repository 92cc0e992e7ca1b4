// Typed look-ups among the metadata of one architecture: "llama.block_count" and the like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"

namespace millrace {

// Borrows the metadata.
class GgufReader {
 public:
  GgufReader(const GgufMetadata& metadata, std::string architecture)
      : metadata_(&metadata), prefix_(std::move(architecture) + ".") {}

  bool has(const std::string& key) const { return metadata_->find(prefix_ + key) != nullptr; }
  Result<std::uint64_t> count(const std::string& key) const {
    return metadata_->get<std::uint64_t>(prefix_ + key);
  }
  Result<std::uint64_t> count_or(const std::string& key, std::uint64_t fallback) const {
    return TRY(metadata_->get_optional<std::uint64_t>(prefix_ + key)).value_or(fallback);
  }
  Result<double> number_or(const std::string& key, double fallback) const {
    return TRY(metadata_->get_optional<double>(prefix_ + key)).value_or(fallback);
  }
  Result<bool> flag_or(const std::string& key, bool fallback) const {
    return TRY(metadata_->get_optional<bool>(prefix_ + key)).value_or(fallback);
  }
  Result<std::string> text_or(const std::string& key, const std::string& fallback) const {
    const auto text = TRY(metadata_->get_optional<std::string_view>(prefix_ + key));
    return text ? std::string(*text) : fallback;
  }
  // A number greater than zero.
  Result<double> positive_or(const std::string& key, double fallback) const;
  // A number for all layers, or an array with one for each.
  Result<std::vector<std::uint64_t>> per_layer(const std::string& key, std::size_t num_layers,
                                               std::optional<std::uint64_t> fallback = {}) const;

 private:
  const GgufMetadata* metadata_;
  std::string prefix_;
};

}  // namespace millrace
