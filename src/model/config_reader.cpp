// Look-ups in config.json.
#include "model/config_reader.h"

#include <cmath>

namespace millrace {
namespace {

// A value short enough for a message.
std::string shown(const Json& value) {
  constexpr std::size_t kShownMax = 60;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
  return text;
}

}  // namespace

const Json* ConfigReader::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(key);
  if (found == object_->end() || found->is_null()) return nullptr;
  return &*found;
}

Error ConfigReader::wrong(std::string_view key, std::string_view expected) const {
  const Json* value = find(key);
  return Error{ErrorCode::kCorruptData, name_ + ": \"" + std::string(key) + "\" is " +
                                            (value == nullptr ? "absent" : shown(*value)) +
                                            ", expected " + std::string(expected)};
}

Error ConfigReader::unsupported(std::string_view key, const std::string& why) const {
  const Json* value = find(key);
  return Error{ErrorCode::kUnsupported, name_ + ": \"" + std::string(key) +
                                            "\": " + (value == nullptr ? "null" : shown(*value)) +
                                            " is not supported" + (why.empty() ? "" : ": " + why)};
}

Result<std::uint64_t> ConfigReader::count(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number()) return wrong(key, "a whole number");
  if (value->is_number_unsigned()) return value->get<std::uint64_t>();
  // Some configs write 4096.0.
  const double number = value->get<double>();
  constexpr double kExactMax = 9007199254740992.0;
  if (!(number >= 0.0) || number > kExactMax || number != std::floor(number)) {
    return wrong(key, "a whole number");
  }
  return static_cast<std::uint64_t>(number);
}

Result<std::uint64_t> ConfigReader::count_or(std::string_view key, std::uint64_t fallback) const {
  if (find(key) == nullptr) return fallback;
  return count(key);
}

Result<double> ConfigReader::number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number()) return wrong(key, "a number");
  return value->get<double>();
}

Result<double> ConfigReader::number_or(std::string_view key, double fallback) const {
  if (find(key) == nullptr) return fallback;
  return number(key);
}

Result<bool> ConfigReader::flag_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> ConfigReader::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_string()) return wrong(key, "a string");
  return value->get<std::string>();
}

Result<std::string> ConfigReader::text_or(std::string_view key, const std::string& fallback) const {
  if (find(key) == nullptr) return fallback;
  return text(key);
}

Result<std::optional<ConfigReader>> ConfigReader::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<ConfigReader>();
  if (!value->is_object()) return wrong(key, "an object");
  return std::optional<ConfigReader>(ConfigReader(*value, name_ + ": " + std::string(key)));
}

}  // namespace millrace
