// Typed look-ups in a config.json whose failures name file, field, found and expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

// A borrowed JSON object. A field that is null counts as absent, as in Hugging Face's configs.
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string name) : object_(&object), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  // Null when absent.
  const Json* find(std::string_view key) const;
  // Whether the field is there, be it null.
  bool has(std::string_view key) const { return object_->is_object() && object_->contains(key); }

  Result<std::uint64_t> count(std::string_view key) const;
  Result<std::uint64_t> count_or(std::string_view key, std::uint64_t fallback) const;
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text_or(std::string_view key, const std::string& fallback) const;
  // The object under `key`; nothing when absent.
  Result<std::optional<ConfigReader>> object(std::string_view key) const;

  Error wrong(std::string_view key, std::string_view expected) const;
  Error unsupported(std::string_view key, const std::string& why) const;

 private:
  const Json* object_;
  std::string name_;
};

}  // namespace millrace
