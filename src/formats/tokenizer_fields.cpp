// Every access checks the kind first, so that nlohmann never has a reason to throw.
#include "formats/tokenizer_fields.h"

#include "formats/text_quote.h"

namespace millrace {

const Json* JsonObject::find(const char* key) const {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

Error JsonObject::wrong(const char* key, const char* expected) const {
  const auto found = json.find(key);
  const std::string what = found == json.end() ? "absent" : found->type_name();
  return Error{ErrorCode::kCorruptData,
               name + ": field " + in_quotes(key) + " is " + what + "; expected " + expected};
}

Result<std::string> JsonObject::get_string(const char* key) const {
  const Json* field = find(key);
  if (field == nullptr || !field->is_string()) return wrong(key, "a string");
  return *field->get_ptr<const std::string*>();
}

Result<std::string> JsonObject::get_string_or(const char* key, const std::string& fallback) const {
  return find(key) == nullptr ? fallback : get_string(key);
}

Result<JsonObject> JsonObject::get_object(const char* key) const {
  const Json* field = find(key);
  if (field == nullptr || !field->is_object()) return wrong(key, "an object");
  return JsonObject{*field, name + ": " + key};
}

Result<const Json*> JsonObject::get_array(const char* key) const {
  const Json* field = find(key);
  if (field == nullptr || !field->is_array()) return wrong(key, "an array");
  return field;
}

Result<TokenId> JsonObject::get_token_id(const char* key) const {
  const Json* field = find(key);
  if (field == nullptr) return wrong(key, "a token id");
  const std::optional<TokenId> id = as_token_id(*field);
  if (!id) return wrong(key, "a token id below 2^24");
  return *id;
}

Result<bool> JsonObject::get_bool_or(const char* key, bool fallback) const {
  const Json* field = find(key);
  if (field == nullptr) return fallback;
  if (!field->is_boolean()) return wrong(key, "true or false");
  return *field->get_ptr<const bool*>();
}

Result<std::uint32_t> JsonObject::get_count_or(const char* key, std::uint32_t fallback) const {
  const Json* field = find(key);
  if (field == nullptr) return fallback;
  const auto* count = field->get_ptr<const std::uint64_t*>();
  if (count == nullptr || *count > 0xFFFFFFFFu) return wrong(key, "a count below 2^32");
  return static_cast<std::uint32_t>(*count);
}

Result<JsonObject> as_json_object(const Json& json, const std::string& name) {
  if (!json.is_object()) {
    return Error{ErrorCode::kCorruptData,
                 name + ": found " + json.type_name() + "; expected an object"};
  }
  return JsonObject{json, name};
}

std::optional<TokenId> as_token_id(const Json& json) {
  constexpr std::uint64_t kIdEnd = 1u << 24;
  const auto* id = json.get_ptr<const std::uint64_t*>();
  if (id == nullptr || *id >= kIdEnd) return std::nullopt;
  return static_cast<TokenId>(*id);
}

}  // namespace millrace
