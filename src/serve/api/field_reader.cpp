// Types, ranges and messages of fields.
#include "serve/api/field_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace {
namespace {

constexpr std::size_t kShownBytesMax = 48;

std::string shown(const OrderedJson& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array of " + std::to_string(value.size());
  std::string text = value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "...";
  return text;
}

// A whole number, also when it is written as 16.0.
std::optional<std::uint64_t> whole_number(const OrderedJson& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (!(number >= 0 && number <= kExactMax) || std::floor(number) != number) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

}  // namespace

Error unexpected(const std::string& path, const OrderedJson& value, std::string_view expected) {
  return {ErrorCode::kInvalidArgument,
          path + " is " + shown(value) + ", expected " + std::string(expected)};
}

Error missing(const std::string& path, std::string_view expected) {
  return {ErrorCode::kInvalidArgument, path + " is missing, expected " + std::string(expected)};
}

Error too_many(const std::string& path, std::size_t found, std::size_t allowed,
               std::string_view what) {
  return {ErrorCode::kTooLarge, path + " has " + std::to_string(found) + " " + std::string(what) +
                                    ", at most " + std::to_string(allowed) + " are allowed"};
}

Error unsupported(const std::string& path, std::string_view what) {
  return {ErrorCode::kUnsupported, path + " " + std::string(what) + " not supported"};
}

Result<TokenId> token_id(const OrderedJson& value, const std::string& path) {
  const std::optional<std::uint64_t> id = whole_number(value);
  if (!id || *id > std::numeric_limits<TokenId>::max()) {
    return unexpected(path, value, "a token id");
  }
  return static_cast<TokenId>(*id);
}

Result<FieldReader> FieldReader::of(const OrderedJson& value, std::string path) {
  if (!value.is_object()) {
    return unexpected(path.empty() ? "the body" : path, value, "an object");
  }
  return FieldReader(value, std::move(path));
}

std::string FieldReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

std::string FieldReader::path_of(std::string_view name, std::size_t index) const {
  return path_of(name) + "[" + std::to_string(index) + "]";
}

const OrderedJson* FieldReader::find(std::string_view name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

Result<std::optional<bool>> FieldReader::flag(std::string_view name) const {
  const OrderedJson* const value = find(name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return unexpected(path_of(name), *value, "true or false");
  return std::optional<bool>(value->get<bool>());
}

Result<std::optional<double>> FieldReader::number(std::string_view name) const {
  const OrderedJson* const value = find(name);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number()) return unexpected(path_of(name), *value, "a number");
  return std::optional<double>(value->get<double>());
}

Result<std::optional<std::uint64_t>> FieldReader::count(std::string_view name, std::uint64_t min,
                                                        std::uint64_t max) const {
  const OrderedJson* const value = find(name);
  if (value == nullptr) return std::optional<std::uint64_t>();
  const std::optional<std::uint64_t> number = whole_number(*value);
  if (!number || *number < min || *number > max) {
    return unexpected(path_of(name), *value,
                      "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

Result<std::optional<std::string>> FieldReader::text(std::string_view name,
                                                     std::size_t bytes_max) const {
  const OrderedJson* const value = find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return unexpected(path_of(name), *value, "a string");
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > bytes_max) return too_many(path_of(name), text.size(), bytes_max, "bytes");
  return std::optional<std::string>(text);
}

Result<std::string> FieldReader::required_text(std::string_view name, std::size_t bytes_max) const {
  std::optional<std::string> value = TRY(text(name, bytes_max));
  if (!value) return missing(path_of(name), "a string");
  return *std::move(value);
}

Result<const OrderedJson*> FieldReader::array(std::string_view name, std::size_t num_max) const {
  const OrderedJson* const value = find(name);
  if (value == nullptr) return value;
  if (!value->is_array()) return unexpected(path_of(name), *value, "an array");
  if (value->size() > num_max) return too_many(path_of(name), value->size(), num_max, "elements");
  return value;
}

Result<std::vector<std::string>> FieldReader::texts(std::string_view name, std::size_t num_max,
                                                    std::size_t bytes_max) const {
  std::vector<std::string> texts;
  const OrderedJson* const value = find(name);
  if (value == nullptr) return texts;
  if (value->is_string()) {
    std::optional<std::string> only = TRY(text(name, bytes_max));
    texts.push_back(*std::move(only));
    return texts;
  }
  if (!value->is_array()) {
    return unexpected(path_of(name), *value, "a string or an array of strings");
  }
  if (value->size() > num_max) return too_many(path_of(name), value->size(), num_max, "strings");
  for (std::size_t i = 0; i < value->size(); ++i) {
    const OrderedJson& element = (*value)[i];
    if (!element.is_string()) return unexpected(path_of(name, i), element, "a string");
    const auto& text = element.get_ref<const std::string&>();
    if (text.size() > bytes_max) {
      return too_many(path_of(name, i), text.size(), bytes_max, "bytes");
    }
    texts.push_back(text);
  }
  return texts;
}

Result<std::vector<TokenId>> FieldReader::tokens(std::string_view name, std::size_t num_max) const {
  std::vector<TokenId> tokens;
  const OrderedJson* const value = TRY(array(name, num_max));
  if (value == nullptr) return tokens;
  tokens.reserve(value->size());
  for (std::size_t i = 0; i < value->size(); ++i) {
    const TokenId id = TRY(token_id((*value)[i], path_of(name, i)));
    tokens.push_back(id);
  }
  return tokens;
}

Status FieldReader::check_only(std::initializer_list<std::string_view> names) const {
  for (const auto& [name, value] : object_->items()) {
    if (value.is_null() || std::find(names.begin(), names.end(), name) != names.end()) continue;
    return unsupported(path_of(name.substr(0, kShownBytesMax)), "is");
  }
  return Ok{};
}

}  // namespace millrace
