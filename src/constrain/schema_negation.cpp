// De Morgan's laws, keyword by keyword.
#include "constrain/schema_negation.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t kDepthMax = 16;
constexpr std::size_t kChoicesMax = 64;  // of one negation

using Choices = std::vector<SchemaNode>;  // one of which holds
using Negation = std::optional<Choices>;

SchemaNode object_with(SchemaNode schema) {
  schema["type"] = "object";
  return schema;
}

Negation not_types(const SchemaNode& type) {
  static constexpr std::array<std::string_view, 6> kTypes = {"null",  "boolean", "object",
                                                             "array", "string",  "number"};
  const SchemaNode names = type.is_array() ? type : SchemaNode::array({type});
  SchemaNode others = SchemaNode::array();
  for (const SchemaNode& name : names) {
    // What is left of numbers without the integers has no grammar.
    if (!name.is_string() || name == "integer") return std::nullopt;
  }
  for (const std::string_view known : kTypes) {
    bool is_named = false;
    for (const SchemaNode& name : names) is_named = is_named || name == known;
    if (!is_named) others.push_back(known);
  }
  if (others.empty()) return Choices{};
  return Choices{{{"type", others}}};
}

Negation not_values(const SchemaNode& values) {
  if (!values.is_array()) return std::nullopt;
  for (const SchemaNode& value : values) {
    if (value.is_structured() || value.is_number()) return std::nullopt;
  }
  return Choices{{{"not", {{"enum", values}}}}};
}

Negation not_required(const SchemaNode& names) {
  if (!names.is_array()) return std::nullopt;
  Choices choices;
  for (const SchemaNode& name : names) {
    if (!name.is_string()) return std::nullopt;
    choices.push_back(object_with({{"properties", {{name.get<std::string>(), false}}}}));
  }
  return choices;
}

// "minLength" and so on: the keyword of the other side, one further.
struct CountPair {
  std::string_view keyword;
  const char* other;
  const char* type;
  bool is_least;
};
constexpr CountPair kCounts[] = {{"minLength", "maxLength", "string", true},
                                 {"maxLength", "minLength", "string", false},
                                 {"minItems", "maxItems", "array", true},
                                 {"maxItems", "minItems", "array", false},
                                 {"minProperties", "maxProperties", "object", true},
                                 {"maxProperties", "minProperties", "object", false}};

struct BoundPair {
  std::string_view keyword;
  const char* other;
};
constexpr BoundPair kBounds[] = {{"minimum", "exclusiveMaximum"},
                                 {"maximum", "exclusiveMinimum"},
                                 {"exclusiveMinimum", "maximum"},
                                 {"exclusiveMaximum", "minimum"}};

bool says_nothing(std::string_view keyword) {
  static constexpr std::string_view kNames[] = {
      "title", "description", "$comment",    "default", "examples", "example",
      "$defs", "$id",         "definitions", "$schema", "$anchor",  "deprecated"};
  for (const std::string_view name : kNames) {
    if (name == keyword) return true;
  }
  return keyword.starts_with("x-");
}

class Negator {
 public:
  Negator(const SchemaNode& root, std::size_t& steps_left) : root_(root), steps_left_(steps_left) {}

  std::optional<SchemaNode> run(const SchemaNode& schema, std::size_t depth) const {
    if (depth > kDepthMax || steps_left_ == 0) return std::nullopt;
    steps_left_ -= std::min(steps_left_, 1 + schema.size());
    if (schema.is_boolean()) return SchemaNode(!schema.get<bool>());
    if (!schema.is_object()) return std::nullopt;
    Choices all;
    for (const auto& [key, value] : schema.items()) {
      if (says_nothing(key)) continue;
      const Negation choices = not_keyword(key, value, depth);
      if (!choices) return std::nullopt;
      all.insert(all.end(), choices->begin(), choices->end());
      if (all.size() > kChoicesMax) return std::nullopt;
    }
    if (all.empty()) return SchemaNode(false);
    if (all.size() == 1) return all.front();
    return SchemaNode{{"anyOf", all}};
  }

 private:
  Negation not_keyword(const std::string& key, const SchemaNode& value, std::size_t depth) const {
    if (key == "type") return not_types(value);
    if (key == "enum") return not_values(value);
    if (key == "const") return not_values(SchemaNode::array({value}));
    if (key == "required") return not_required(value);
    if (key == "properties") return not_properties(value, depth);
    if (key == "not") return Choices{value};
    if (key == "allOf") return any_denied(value, depth);
    if (key == "anyOf") return all_denied(value, depth);
    if (key == "$ref") return not_reference(value, depth);
    for (const BoundPair& pair : kBounds) {
      if (key != pair.keyword || !value.is_number()) continue;
      return Choices{{{"type", "number"}, {pair.other, value}}};
    }
    for (const CountPair& pair : kCounts) {
      if (key == pair.keyword) return not_count(pair, value);
    }
    return std::nullopt;
  }

  static Negation not_count(const CountPair& pair, const SchemaNode& value) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 0xFFFF'FFF0u) {
      return std::nullopt;
    }
    const auto count = value.get<std::uint64_t>();
    if (pair.is_least && count == 0) return Choices{};
    return Choices{{{"type", pair.type}, {pair.other, pair.is_least ? count - 1 : count + 1}}};
  }

  // A property that is there, and not as it should be.
  Negation not_properties(const SchemaNode& properties, std::size_t depth) const {
    if (!properties.is_object()) return std::nullopt;
    Choices choices;
    for (const auto& [name, schema] : properties.items()) {
      const std::optional<SchemaNode> denied = run(schema, depth + 1);
      if (!denied) return std::nullopt;
      if (*denied == false) continue;
      choices.push_back(object_with(
          {{"properties", {{name, *denied}}}, {"required", SchemaNode::array({name})}}));
    }
    return choices;
  }

  Negation any_denied(const SchemaNode& parts, std::size_t depth) const {
    if (!parts.is_array()) return std::nullopt;
    Choices choices;
    for (const SchemaNode& part : parts) {
      std::optional<SchemaNode> denied = run(part, depth + 1);
      if (!denied) return std::nullopt;
      choices.push_back(*std::move(denied));
    }
    return choices;
  }

  Negation all_denied(const SchemaNode& parts, std::size_t depth) const {
    const Negation each = any_denied(parts, depth);
    if (!each) return std::nullopt;
    return Choices{{{"allOf", *each}}};
  }

  Negation not_reference(const SchemaNode& reference, std::size_t depth) const {
    if (!reference.is_string()) return std::nullopt;
    const std::string text = reference.get<std::string>();
    if (!text.starts_with("#/") || text.find('%') != std::string::npos) return std::nullopt;
    const SchemaNode* node = follow_pointer(root_, text.substr(1));
    if (node == nullptr) return std::nullopt;
    std::optional<SchemaNode> denied = run(*node, depth + 1);
    if (!denied) return std::nullopt;
    return Choices{*std::move(denied)};
  }

  const SchemaNode& root_;
  std::size_t& steps_left_;
};

}  // namespace

std::optional<SchemaNode> negated(const SchemaNode& schema, const SchemaNode& root,
                                  std::size_t& steps_left) {
  return Negator(root, steps_left).run(schema, 0);
}

}  // namespace millrace
