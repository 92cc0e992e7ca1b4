// json.dumps: values as JSON text, byte for byte as Python writes it.
#pragma once

#include <optional>
#include <string>

#include "text/jinja/sandbox.h"

namespace millrace::jinja {

enum class JsonCharacters : std::uint8_t { kUnicode, kAscii };
enum class JsonKeys : std::uint8_t { kInOrder, kSorted };

struct JsonStyle {
  JsonCharacters characters = JsonCharacters::kUnicode;
  JsonKeys keys = JsonKeys::kInOrder;
  std::optional<std::string> indent;  // Without one everything is on one line.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// Fails for what JSON has no form for: undefined values, functions, iterators, …
Result<std::string> write_json(Sandbox& sandbox, const Value& value, const JsonStyle& style);

}  // namespace millrace::jinja
