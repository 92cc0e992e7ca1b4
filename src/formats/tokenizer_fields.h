// Typed look-ups in the JSON of tokenizer files, with errors that name file and field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/token_id.h"

namespace millrace {

// An object inside a JSON file and how to name it in a message, for instance
// "tokenizer.json: pre_tokenizer". Borrowed from the parsed file.
struct JsonObject {
  const Json& json;
  std::string name;

  // nullptr when the field is absent or null.
  const Json* find(const char* key) const;

  // kCorruptData when the field is absent or of another kind.
  Result<std::string> get_string(const char* key) const;
  Result<JsonObject> get_object(const char* key) const;
  Result<TokenId> get_token_id(const char* key) const;
  Result<const Json*> get_array(const char* key) const;

  // The fallback when the field is absent or null; kCorruptData when it is of another kind.
  Result<std::string> get_string_or(const char* key, const std::string& fallback) const;
  Result<bool> get_bool_or(const char* key, bool fallback) const;
  Result<std::uint32_t> get_count_or(const char* key, std::uint32_t fallback) const;

  Error wrong(const char* key, const char* expected) const;
};

// kCorruptData when `json` is no object.
Result<JsonObject> as_json_object(const Json& json, const std::string& name);

// An id in 0 .. 2^24 - 1, the largest vocabulary that we take.
std::optional<TokenId> as_token_id(const Json& json);

}  // namespace millrace
