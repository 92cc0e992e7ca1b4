// What several schemas together ask of one value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/schema_document.h"

namespace millrace {

// Bits of SchemaFacts::types. An integer is written without a point or exponent.
enum SchemaType : std::uint32_t {
  kTypeNull = 1,
  kTypeBoolean = 2,
  kTypeObject = 4,
  kTypeArray = 8,
  kTypeString = 16,
  kTypeInteger = 32,
  kTypeFraction = 64,
  kTypeNumber = kTypeInteger | kTypeFraction,
  kTypeAny = 127,
};

struct NumberBound {
  SchemaNode value;
  bool is_exclusive = false;
};

struct SchemaFacts {
  std::uint32_t types = kTypeAny;
  std::optional<std::vector<SchemaNode>> values;  // of enum and const
  std::vector<SchemaNode> excluded_values;        // of not: {const, enum}

  std::vector<NumberBound> at_least, at_most;
  std::vector<SchemaNode> multiples_of;

  std::uint32_t length_min = 0, length_max = kNoMax;
  std::vector<std::string> patterns, formats;

  std::uint32_t items_min = 0, items_max = kNoMax;
  bool has_unique_items = false;
  struct ItemRule {
    const SchemaNode* prefix = nullptr;  // an array of schemas, or null
    const SchemaNode* rest = nullptr;    // of items behind the prefix, or null
  };
  std::vector<ItemRule> items;

  std::uint32_t properties_min = 0, properties_max = kNoMax;
  std::vector<std::string> required;  // in their order, each once
  struct PropertyRule {
    const SchemaNode* properties = nullptr;
    const SchemaNode* patterns = nullptr;
    const SchemaNode* additional = nullptr;
  };
  std::vector<PropertyRule> properties;
  std::vector<const SchemaNode*> property_names;

  bool has_array_rules() const { return !items.empty() || items_min > 0 || items_max != kNoMax; }
  bool has_object_rules() const {
    return !properties.empty() || !required.empty() || !property_names.empty() ||
           properties_min > 0 || properties_max != kNoMax;
  }
};

// Reads the keywords of one schema object that say something of the value itself, and adds them.
// Refuses by name what it does not know; annotations, and what leads to other schemas ($ref,
// allOf, anyOf, oneOf), are left alone.
Status add_schema_facts(const SchemaNode& schema, SchemaFacts& facts);

// Whether no value can be both, as far as their types, values and the kinds of their required
// properties tell; false where that is not known.
bool are_disjoint(const SchemaFacts& a, const SchemaFacts& b);

std::uint32_t type_of_value(const SchemaNode& value);

}  // namespace millrace
