// What an adapter_config.json says, checked: which modules, with which rank and scale.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/name_pattern.h"

namespace millrace {

// How an adapter's product is scaled: alpha / rank, or alpha / sqrt(rank) as Kalajdzievski 2023,
// arXiv:2312.03732, has it.
enum class LoraScaling : std::uint8_t { kByRank, kByRootOfRank };

// PEFT's LoraConfig, as far as it says what a finished adapter computes.
struct LoraConfig {
  std::size_t rank = 0;
  double alpha = 0;
  LoraScaling scaling = LoraScaling::kByRank;
  // Of modules whose name ends with the pattern, after a dot; the first that matches counts.
  std::vector<std::pair<NamePattern, std::size_t>> rank_pattern;
  std::vector<std::pair<NamePattern, double>> alpha_pattern;
  // Names, or ends of names after a dot, of the modules that are adapted; or a pattern of whole
  // names. With neither, every linear one.
  std::vector<std::string> target_names;
  std::optional<NamePattern> target_pattern;

  bool targets(std::string_view module) const;
  std::size_t rank_of(std::string_view module) const;
  double scale_of(std::string_view module) const;
};

inline constexpr std::uint64_t kLoraConfigBytesMax = 256 << 10;
inline constexpr std::size_t kLoraPatternsMax = 4096;

// kUnsupported naming the option that changes what is computed in a way that is not implemented
// (DoRA, modules_to_save, biases, other kinds of adapters, fields that are not known and say
// something); kCorruptData naming field, found and expected. `name` is for messages.
Result<LoraConfig> parse_lora_config(std::string_view text, const std::string& name);

}  // namespace millrace
