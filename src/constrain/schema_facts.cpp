// One small function for each keyword.
#include "constrain/schema_facts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "constrain/string_format.h"

namespace millrace {
namespace {

using Reader = Status (*)(const SchemaNode& value, const SchemaNode& schema, SchemaFacts& facts);

Error expected(const char* what) {
  return Error{ErrorCode::kInvalidArgument, std::string("expected ") + what};
}

Error unsupported(const std::string& what) {
  return Error{ErrorCode::kUnsupported, what};
}

Result<std::uint32_t> read_count(const SchemaNode& value) {
  const bool is_count = value.is_number() && value.get<double>() >= 0 &&
                        value.get<double>() == std::floor(value.get<double>());
  if (!is_count) return expected("a whole number of at least 0");
  return static_cast<std::uint32_t>(std::min(value.get<double>(), double{kNoMax}));
}

Result<std::uint32_t> read_type(const SchemaNode& name) {
  static constexpr std::array<std::pair<std::string_view, std::uint32_t>, 7> kTypes = {
      {{"null", kTypeNull},
       {"boolean", kTypeBoolean},
       {"object", kTypeObject},
       {"array", kTypeArray},
       {"string", kTypeString},
       {"integer", kTypeInteger},
       {"number", kTypeNumber}}};
  for (const auto& [known, type] : kTypes) {
    if (name.is_string() && name.get_ref<const std::string&>() == known) return type;
  }
  return expected("the name of a type");
}

Result<std::uint32_t> read_types(const SchemaNode& value) {
  if (!value.is_array()) return read_type(value);
  std::uint32_t types = 0;
  for (const SchemaNode& name : value) types |= TRY(read_type(name));
  return types;
}

Status add_type(const SchemaNode& value, const SchemaNode& schema, SchemaFacts& facts) {
  std::uint32_t types = TRY(read_types(value));
  const auto nullable = schema.find("nullable");  // OpenAPI 3.0
  if (nullable != schema.end() && *nullable == true) types |= kTypeNull;
  facts.types &= types;
  return Ok{};
}

void keep_values(const std::vector<SchemaNode>& values, SchemaFacts& facts) {
  if (!facts.values) {
    facts.values = values;
    return;
  }
  std::erase_if(*facts.values, [&](const SchemaNode& value) {
    return std::find(values.begin(), values.end(), value) == values.end();
  });
}

Status add_enum(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (!value.is_array()) return expected("an array");
  keep_values(std::vector<SchemaNode>(value.begin(), value.end()), facts);
  return Ok{};
}

Status add_const(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  keep_values({value}, facts);
  return Ok{};
}

// {}, true, types and values of scalars: what else is not something would be has no grammar.
Status add_not(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (value.is_boolean()) {
    if (value == true) facts.types = 0;
    return Ok{};
  }
  if (!value.is_object()) return expected("a schema");
  if (value.empty()) {
    facts.types = 0;
    return Ok{};
  }
  if (value.size() == 1 && value.contains("type")) {
    const std::uint32_t types = TRY(read_types(value["type"]));
    // 1.0 is an integer too, so what is left of numbers could not be told.
    if ((types & kTypeNumber) == kTypeInteger) facts.types &= ~std::uint32_t{kTypeNumber};
    facts.types &= ~types;
    return Ok{};
  }
  if (value.size() != 1 || (!value.contains("const") && !value.contains("enum"))) {
    return unsupported("is supported of type, const and enum only");
  }
  const SchemaNode values =
      value.contains("const") ? SchemaNode::array({value["const"]}) : value["enum"];
  if (!values.is_array()) return expected("an array");
  for (const SchemaNode& excluded : values) {
    if (excluded.is_structured() || excluded.is_number()) {
      return unsupported("is supported of strings, booleans and null only");
    }
    facts.excluded_values.push_back(excluded);
  }
  return Ok{};
}

Status add_bound(std::vector<NumberBound>& bounds, const SchemaNode& value, bool is_exclusive) {
  if (!value.is_number()) return expected("a number");
  bounds.push_back({value, is_exclusive});
  return Ok{};
}

// In draft 4 exclusiveMinimum and exclusiveMaximum are booleans beside the bound.
bool is_made_exclusive(const SchemaNode& schema, const char* keyword) {
  const auto found = schema.find(keyword);
  return found != schema.end() && *found == true;
}

Status add_minimum(const SchemaNode& value, const SchemaNode& schema, SchemaFacts& facts) {
  return add_bound(facts.at_least, value, is_made_exclusive(schema, "exclusiveMinimum"));
}

Status add_maximum(const SchemaNode& value, const SchemaNode& schema, SchemaFacts& facts) {
  return add_bound(facts.at_most, value, is_made_exclusive(schema, "exclusiveMaximum"));
}

Status add_exclusive_minimum(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (value.is_boolean()) return Ok{};
  return add_bound(facts.at_least, value, true);
}

Status add_exclusive_maximum(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (value.is_boolean()) return Ok{};
  return add_bound(facts.at_most, value, true);
}

Status add_multiple_of(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (!value.is_number() || value.get<double>() <= 0) return expected("a number above 0");
  facts.multiples_of.push_back(value);
  return Ok{};
}

template <std::uint32_t SchemaFacts::*field>
Status raise(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  facts.*field = std::max(facts.*field, TRY(read_count(value)));
  return Ok{};
}

template <std::uint32_t SchemaFacts::*field>
Status lower(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  facts.*field = std::min(facts.*field, TRY(read_count(value)));
  return Ok{};
}

Status add_pattern(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (!value.is_string()) return expected("a string");
  facts.patterns.push_back(value.get<std::string>());
  return Ok{};
}

Status add_format(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (!value.is_string()) return expected("a string");
  const std::string& format = value.get_ref<const std::string&>();
  if (is_annotation_format(format)) return Ok{};
  if (!format_pattern(format)) return unsupported("'" + format + "' is not supported");
  facts.formats.push_back(format);
  return Ok{};
}

Status add_unique_items(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (!value.is_boolean()) return expected("a boolean");
  if (value == true) facts.has_unique_items = true;
  return Ok{};
}

Status add_required(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  if (value.is_boolean()) return Ok{};  // draft 3, beside a property
  if (!value.is_array()) return expected("an array");
  std::set<std::string> known(facts.required.begin(), facts.required.end());
  for (const SchemaNode& name : value) {
    if (!name.is_string()) return expected("an array of strings");
    if (known.insert(name.get<std::string>()).second) {
      facts.required.push_back(name.get<std::string>());
    }
  }
  return Ok{};
}

Status add_property_names(const SchemaNode& value, const SchemaNode&, SchemaFacts& facts) {
  facts.property_names.push_back(&value);
  return Ok{};
}

struct Keyword {
  std::string_view name;
  Reader read;  // null: nothing to do here
};

constexpr Keyword kKeywords[] = {
    {"type", add_type},
    {"enum", add_enum},
    {"const", add_const},
    {"not", add_not},
    {"minimum", add_minimum},
    {"maximum", add_maximum},
    {"exclusiveMinimum", add_exclusive_minimum},
    {"exclusiveMaximum", add_exclusive_maximum},
    {"multipleOf", add_multiple_of},
    {"minLength", raise<&SchemaFacts::length_min>},
    {"maxLength", lower<&SchemaFacts::length_max>},
    {"pattern", add_pattern},
    {"format", add_format},
    {"minItems", raise<&SchemaFacts::items_min>},
    {"maxItems", lower<&SchemaFacts::items_max>},
    {"uniqueItems", add_unique_items},
    {"minProperties", raise<&SchemaFacts::properties_min>},
    {"maxProperties", lower<&SchemaFacts::properties_max>},
    {"required", add_required},
    {"propertyNames", add_property_names},
    // Read together, below.
    {"properties", nullptr},
    {"patternProperties", nullptr},
    {"additionalProperties", nullptr},
    {"prefixItems", nullptr},
    {"items", nullptr},
    {"additionalItems", nullptr},
    // These lead to other schemas.
    {"$ref", nullptr},
    {"allOf", nullptr},
    {"anyOf", nullptr},
    {"oneOf", nullptr},
    {"$defs", nullptr},
    {"definitions", nullptr},
    // Annotations, and what names the schema.
    {"nullable", nullptr},
    {"$schema", nullptr},
    {"$id", nullptr},
    {"id", nullptr},
    {"$anchor", nullptr},
    {"$comment", nullptr},
    {"$vocabulary", nullptr},
    {"title", nullptr},
    {"description", nullptr},
    {"default", nullptr},
    {"examples", nullptr},
    {"example", nullptr},
    {"deprecated", nullptr},
    {"readOnly", nullptr},
    {"writeOnly", nullptr},
    {"contentEncoding", nullptr},
    {"contentMediaType", nullptr},
    {"contentSchema", nullptr},
    {"discriminator", nullptr},
    {"externalDocs", nullptr},
    {"xml", nullptr},
    {"strict", nullptr},
};

const SchemaNode* member_of(const SchemaNode& schema, const char* key) {
  const auto found = schema.find(key);
  return found == schema.end() ? nullptr : &*found;
}

// Up to draft 2019 `items` may be an array, with additionalItems behind it.
Status add_items(const SchemaNode& schema, SchemaFacts& facts) {
  SchemaFacts::ItemRule rule{.prefix = member_of(schema, "prefixItems"),
                             .rest = member_of(schema, "items")};
  if (rule.rest != nullptr && rule.rest->is_array()) {
    rule.prefix = rule.rest;
    rule.rest = member_of(schema, "additionalItems");
  }
  if (rule.prefix != nullptr && !rule.prefix->is_array()) {
    return with_context(expected("an array"), "prefixItems");
  }
  if (rule.prefix != nullptr || rule.rest != nullptr) facts.items.push_back(rule);
  return Ok{};
}

Status add_properties(const SchemaNode& schema, SchemaFacts& facts) {
  const SchemaFacts::PropertyRule rule{.properties = member_of(schema, "properties"),
                                       .patterns = member_of(schema, "patternProperties"),
                                       .additional = member_of(schema, "additionalProperties")};
  if (rule.properties != nullptr && !rule.properties->is_object()) {
    return with_context(expected("an object"), "properties");
  }
  if (rule.patterns != nullptr && !rule.patterns->is_object()) {
    return with_context(expected("an object"), "patternProperties");
  }
  if (rule.properties != nullptr || rule.patterns != nullptr || rule.additional != nullptr) {
    facts.properties.push_back(rule);
  }
  return Ok{};
}

// What a required property must be, for telling schemas apart; nothing where that is not plain.
std::optional<SchemaFacts> property_facts(const SchemaFacts& facts, const std::string& name) {
  SchemaFacts property;
  bool is_known = false;
  for (const SchemaFacts::PropertyRule& rule : facts.properties) {
    if (rule.properties == nullptr || !rule.properties->contains(name)) continue;
    const SchemaNode& schema = (*rule.properties)[name];
    if (!schema.is_object() || !add_schema_facts(schema, property).ok()) return std::nullopt;
    is_known = true;
  }
  return is_known ? std::optional(std::move(property)) : std::nullopt;
}

bool forbids_property(const SchemaFacts& facts, const std::string& name) {
  return std::any_of(facts.properties.begin(), facts.properties.end(), [&](const auto& rule) {
    const bool is_named = rule.properties != nullptr && rule.properties->contains(name);
    return !is_named && rule.patterns == nullptr && rule.additional != nullptr &&
           *rule.additional == false;
  });
}

bool are_objects_disjoint(const SchemaFacts& a, const SchemaFacts& b) {
  const auto is_apart = [](const SchemaFacts& with, const SchemaFacts& without) {
    return std::any_of(with.required.begin(), with.required.end(),
                       [&](const std::string& name) { return forbids_property(without, name); });
  };
  if (is_apart(a, b) || is_apart(b, a)) return true;
  return std::any_of(a.required.begin(), a.required.end(), [&](const std::string& name) {
    if (std::find(b.required.begin(), b.required.end(), name) == b.required.end()) return false;
    const std::optional<SchemaFacts> x = property_facts(a, name);
    const std::optional<SchemaFacts> y = property_facts(b, name);
    if (!x || !y) return false;
    return (x->types & y->types) == 0 || (x->values && y->values && are_disjoint(*x, *y));
  });
}

bool are_numbers_apart(const SchemaFacts& low, const SchemaFacts& high) {
  for (const NumberBound& most : low.at_most) {
    for (const NumberBound& least : high.at_least) {
      const double x = most.value.get<double>();
      const double y = least.value.get<double>();
      if (x < y || (x == y && (most.is_exclusive || least.is_exclusive))) return true;
    }
  }
  return false;
}

}  // namespace

std::uint32_t type_of_value(const SchemaNode& value) {
  switch (value.type()) {
    case SchemaNode::value_t::null:
      return kTypeNull;
    case SchemaNode::value_t::boolean:
      return kTypeBoolean;
    case SchemaNode::value_t::object:
      return kTypeObject;
    case SchemaNode::value_t::array:
      return kTypeArray;
    case SchemaNode::value_t::string:
      return kTypeString;
    case SchemaNode::value_t::number_integer:
    case SchemaNode::value_t::number_unsigned:
      return kTypeInteger;
    default:
      break;
  }
  const double number = value.get<double>();
  return number == std::floor(number) ? kTypeInteger : kTypeFraction;
}

Status add_schema_facts(const SchemaNode& schema, SchemaFacts& facts) {
  for (const auto& [key, value] : schema.items()) {
    const auto* const found =
        std::find_if(std::begin(kKeywords), std::end(kKeywords),
                     [&name = key](const Keyword& keyword) { return keyword.name == name; });
    if (found == std::end(kKeywords)) {
      if (key.starts_with("x-")) continue;
      return unsupported("keyword '" + key.substr(0, 64) + "' is not supported");
    }
    if (found->read == nullptr) continue;
    const Status status = found->read(value, schema, facts);
    if (!status.ok()) return with_context(status.error(), key);
  }
  TRY(add_items(schema, facts));
  return add_properties(schema, facts);
}

bool are_disjoint(const SchemaFacts& a, const SchemaFacts& b) {
  if ((a.types & b.types) == 0) return true;
  if (a.values && b.values) {
    return std::none_of(a.values->begin(), a.values->end(), [&](const SchemaNode& value) {
      return std::find(b.values->begin(), b.values->end(), value) != b.values->end();
    });
  }
  const auto has_no_value_for = [](const SchemaFacts& facts, std::uint32_t types) {
    return facts.values &&
           std::none_of(facts.values->begin(), facts.values->end(),
                        [&](const SchemaNode& v) { return (type_of_value(v) & types) != 0; });
  };
  if (has_no_value_for(a, b.types) || has_no_value_for(b, a.types)) return true;
  const std::uint32_t both = a.types & b.types;
  if ((both & ~std::uint32_t{kTypeNumber}) == 0) {
    return are_numbers_apart(a, b) || are_numbers_apart(b, a);
  }
  return both == kTypeObject && are_objects_disjoint(a, b);
}

}  // namespace millrace
