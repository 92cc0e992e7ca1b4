// The properties of a schema of parameters, each with its tags.
#include "constrain/tagged_arguments.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace millrace {
namespace {

using Spec = ConstraintSpec;

constexpr std::size_t kSchemaBytesMax = std::size_t{1} << 20;
constexpr std::size_t kSchemaDepthMax = 64;

// What an object of arguments may say that such a form can hold it to.
bool is_kept(std::string_view keyword) {
  static constexpr std::string_view kKept[] = {
      "type",        "properties",  "required", "additionalProperties",
      "$defs",       "definitions", "$schema",  "title",
      "description", "strict",      "default",  "examples"};
  return std::find(std::begin(kKept), std::end(kKept), keyword) != std::end(kKept);
}

std::string dumped(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// A part of a schema that can stand alone: the definitions that it may refer to go with it.
std::string standing_alone(const OrderedJson& part, const OrderedJson& whole) {
  if (!part.is_object()) return dumped(part);
  OrderedJson schema = part;
  for (const char* const key : {"$defs", "definitions"}) {
    if (whole.contains(key) && !schema.contains(key)) schema[key] = whole[key];
  }
  return dumped(schema);
}

bool says_string(const OrderedJson& schema) {
  return schema.is_object() && schema.contains("type") && schema["type"] == "string";
}

Error unsupported(const ToolFunction& tool, const std::string& what) {
  return Error{ErrorCode::kUnsupported, "tools: parameters of '" + tool.name + "': " + what +
                                            " cannot be enforced in this model's format of calls"};
}

Status check(const ToolFunction& tool, const OrderedJson& schema) {
  if (!schema.is_object()) {
    return Error{ErrorCode::kInvalidArgument,
                 "tools: parameters of '" + tool.name + "': expected a schema of objects"};
  }
  for (const auto& [key, unused] : schema.items()) {
    if (!is_kept(key) && !key.starts_with("x-")) {
      return unsupported(tool, "keyword '" + key.substr(0, 64) + "'");
    }
  }
  const auto properties = schema.find("properties");
  const auto required = schema.find("required");
  const bool is_whole = (properties == schema.end() || properties->is_object()) &&
                        (required == schema.end() || required->is_array());
  if (!is_whole || (schema.contains("type") && schema["type"] != "object")) {
    return Error{ErrorCode::kInvalidArgument,
                 "tools: parameters of '" + tool.name +
                     "': expected type object, properties as an object, required as an array"};
  }
  return Ok{};
}

}  // namespace

Result<ConstraintSpec> tagged_arguments(const ToolFunction& tool, const TagStyle& tags,
                                        const JsonStyle& style) {
  if (tool.parameters.empty()) return Spec::literal("");
  const OrderedJson schema = TRY(parse_ordered_json(
      tool.parameters, "parameters", {.bytes_max = kSchemaBytesMax, .depth_max = kSchemaDepthMax}));
  TRY(check(tool, schema));
  const OrderedJson properties = schema.value("properties", OrderedJson::object());
  std::set<std::string> required;
  for (const OrderedJson& name : schema.value("required", OrderedJson::array())) {
    if (name.is_string()) required.insert(name.get<std::string>());
  }
  std::vector<Spec> parts;
  for (const auto& [name, property] : properties.items()) {
    const std::string text = standing_alone(property, schema);
    const bool is_text = says_string(property);
    Spec value = is_text ? Spec::schema_text(text, tags.value_end) : Spec::json_schema(text, style);
    const Spec& key_close = is_text && tags.text_key_close ? *tags.text_key_close : tags.key_close;
    Spec argument = Spec::sequence(
        {tags.key_open, Spec::literal(name), key_close, std::move(value), tags.value_close});
    const bool is_required = required.erase(name) > 0;
    parts.push_back(is_required ? std::move(argument) : Spec::repeat(std::move(argument), 0, 1));
  }
  if (!required.empty()) {
    return unsupported(tool, "required '" + *required.begin() + "', which has no schema,");
  }
  return Spec::sequence(std::move(parts));
}

}  // namespace millrace
