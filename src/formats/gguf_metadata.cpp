// Look-up of GGUF metadata by key, with errors that name key, expected and found type.
#include <algorithm>
#include <type_traits>

#include "formats/gguf.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

template <class T>
struct Kind;
template <>
struct Kind<std::uint64_t> {
  static constexpr const char* kExpected = "an integer that is not negative";
  static auto convert(const GgufValue& value) { return value.as_unsigned(); }
};
template <>
struct Kind<std::int64_t> {
  static constexpr const char* kExpected = "an integer";
  static auto convert(const GgufValue& value) { return value.as_signed(); }
};
template <>
struct Kind<double> {
  static constexpr const char* kExpected = "f32 or f64";
  static auto convert(const GgufValue& value) { return value.as_float(); }
};
template <>
struct Kind<bool> {
  static constexpr const char* kExpected = "bool";
  static auto convert(const GgufValue& value) { return value.as_bool(); }
};
template <>
struct Kind<std::string_view> {
  static constexpr const char* kExpected = "string";
  static auto convert(const GgufValue& value) { return value.as_string(); }
};
template <>
struct Kind<GgufArray> {
  static constexpr const char* kExpected = "array";
  static auto convert(const GgufValue& value) { return value.as_array(); }
};

// "u32", "i32 -1", "array of string": enough to see what is wrong.
std::string describe(const GgufValue& value) {
  std::string text(gguf_type_name(value.type));
  if (const auto number = value.as_signed()) text += " " + std::to_string(*number);
  if (const auto array = value.as_array())
    text += " of " + std::string(gguf_type_name(array->element_type()));
  return text;
}

}  // namespace

Result<GgufMetadata> GgufMetadata::create(std::string file_name, std::vector<GgufEntry> entries) {
  GgufMetadata metadata;
  metadata.file_name_ = std::move(file_name);
  metadata.entries_ = std::move(entries);
  std::vector<std::uint32_t>& order = metadata.by_key_;
  order.resize(metadata.entries_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  const auto key_of = [&metadata](std::uint32_t index) -> const std::string& {
    return metadata.entries_[index].key;
  };
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return key_of(a) < key_of(b); });
  const auto twice =
      std::adjacent_find(order.begin(), order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return key_of(a) == key_of(b); });
  if (twice == order.end()) return metadata;
  return Error{ErrorCode::kCorruptData,
               metadata.file_name_ + ": GGUF key " + in_quotes(key_of(*twice)) + " occurs twice"};
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), key,
                                   [this](std::uint32_t index, std::string_view wanted) {
                                     return entries_[index].key < wanted;
                                   });
  if (at == by_key_.end() || entries_[*at].key != key) return nullptr;
  return &entries_[*at].value;
}

template <class T>
Result<std::optional<T>> GgufMetadata::get_optional(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<T>();
  std::optional<T> converted = Kind<T>::convert(*value);
  if (converted) return converted;
  return Error{ErrorCode::kCorruptData, file_name_ + ": GGUF key " + in_quotes(key) + " holds " +
                                            describe(*value) + ", expected " + Kind<T>::kExpected};
}

template <class T>
Result<T> GgufMetadata::get(std::string_view key) const {
  std::optional<T> value = TRY(get_optional<T>(key));
  if (value) return *value;
  return Error{ErrorCode::kNotFound, file_name_ + ": GGUF key " + in_quotes(key) +
                                         " is missing, expected " + Kind<T>::kExpected};
}

template Result<std::uint64_t> GgufMetadata::get(std::string_view key) const;
template Result<std::int64_t> GgufMetadata::get(std::string_view key) const;
template Result<double> GgufMetadata::get(std::string_view key) const;
template Result<bool> GgufMetadata::get(std::string_view key) const;
template Result<std::string_view> GgufMetadata::get(std::string_view key) const;
template Result<GgufArray> GgufMetadata::get(std::string_view key) const;
template Result<std::optional<std::uint64_t>> GgufMetadata::get_optional(std::string_view) const;
template Result<std::optional<std::int64_t>> GgufMetadata::get_optional(std::string_view) const;
template Result<std::optional<double>> GgufMetadata::get_optional(std::string_view) const;
template Result<std::optional<bool>> GgufMetadata::get_optional(std::string_view) const;
template Result<std::optional<std::string_view>> GgufMetadata::get_optional(std::string_view) const;
template Result<std::optional<GgufArray>> GgufMetadata::get_optional(std::string_view) const;

}  // namespace millrace
