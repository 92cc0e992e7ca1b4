// JSON from outside, parsed within limits: nlohmann's DOM behind bounds on size and nesting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

using Json = nlohmann::json;
// Keeps the order of keys: for what people read and for templates that iterate over objects.
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  std::uint64_t bytes_max = 256ull
                            << 20;  // The largest tokenizer.json in circulation is about 35 MB.
  std::size_t depth_max = 64;       // Real configs and schemas stay under 20.
};

// Fails with kCorruptData naming `name` (a file, "request") and the byte, or kTooLarge over a
// limit. Rejects NaN, comments, trailing text and invalid UTF-8. Never throws.
Result<Json> parse_json(std::string_view text, const std::string& name,
                        const JsonLimits& limits = {});
Result<OrderedJson> parse_ordered_json(std::string_view text, const std::string& name,
                                       const JsonLimits& limits = {});

// read_file and parse_json.
Result<Json> read_json_file(const std::string& path, const JsonLimits& limits = {});

}  // namespace millrace
