// YAML from outside as a plain tree with the line of each part, within limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kText, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;               // of kText
  std::vector<YamlNode> items;    // of kList; of kMap the values
  std::vector<std::string> keys;  // of kMap, one per item, none twice
  std::vector<std::size_t> key_lines;
  std::size_t line = 0;  // from 1
};

struct YamlLimits {
  std::uint64_t bytes_max = std::uint64_t{1} << 20;
  std::size_t depth_max = 16;
  std::size_t nodes_max = 200'000;
};

// One document. kInvalidArgument "name:line: …", or kTooLarge. Refused: keys that come twice, keys
// that are no plain text, anchors and aliases (which make bombs), tags, and a second document.
Result<YamlNode> parse_yaml(std::string_view text, const std::string& name,
                            const YamlLimits& limits = {});

}  // namespace millrace
