// Bounds on size and nesting before nlohmann's parser sees the text, and its exceptions turned to
// values.
#include "base/json.h"

#include "base/file.h"

namespace millrace {
namespace {

// The deepest nesting of brackets outside strings. A linear scan, so hostile depth costs no stack.
std::size_t nesting_depth(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

template <class AnyJson>
Result<AnyJson> parse_within(std::string_view text, const std::string& name,
                             const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error{ErrorCode::kTooLarge, name + ": JSON of " + std::to_string(text.size()) +
                                           " bytes exceeds " + std::to_string(limits.bytes_max)};
  }
  // nlohmann's parser takes a zero byte for the end of the text and ignores what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Error{ErrorCode::kCorruptData,
                 name + ": not valid JSON: zero at byte " + std::to_string(zero)};
  }
  const std::size_t depth = nesting_depth(text);
  if (depth > limits.depth_max) {
    return Error{ErrorCode::kTooLarge, name + ": JSON nested " + std::to_string(depth) +
                                           " deep exceeds " + std::to_string(limits.depth_max)};
  }
  try {
    return AnyJson::parse(text);
  } catch (const nlohmann::json::exception& exception) {
    return Error{ErrorCode::kCorruptData, name + ": not valid JSON: " + exception.what()};
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  return parse_within<Json>(text, name, limits);
}

Result<OrderedJson> parse_ordered_json(std::string_view text, const std::string& name,
                                       const JsonLimits& limits) {
  return parse_within<OrderedJson>(text, name, limits);
}

Result<Json> read_json_file(const std::string& path, const JsonLimits& limits) {
  const std::string text = TRY(read_file(path, limits.bytes_max));
  return parse_json(text, path, limits);
}

}  // namespace millrace
