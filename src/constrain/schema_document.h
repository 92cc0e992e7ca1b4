// A schema as it was sent: where its references lead, and where in it a thing stands.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace millrace {

using SchemaNode = OrderedJson;

// Immutable. Nodes live as long as it does.
class SchemaDocument {
 public:
  static Result<SchemaDocument> parse(const std::string& text, const JsonLimits& limits);

  const SchemaNode& root() const { return *root_; }
  // Where $ref leads: "#", "#/pointer", "#anchor", or the same behind the $id of a part.
  Result<const SchemaNode*> resolve(const std::string& reference) const;
  // The JSON pointer of a node, as "#/properties/a". Takes a search.
  std::string place_of(const SchemaNode& node) const;

 private:
  void collect_names(const SchemaNode& node, const std::string& id);

  std::unique_ptr<const SchemaNode> root_;
  std::string root_id_;
  std::map<std::string, const SchemaNode*> names_;  // ids, and id#anchor
};

// Where a JSON pointer, decoded but for ~0 and ~1, leads; null where nowhere.
const SchemaNode* follow_pointer(const SchemaNode& from, const std::string& pointer);

// "#/properties/a: keyword: what".
Error schema_error(ErrorCode code, const std::string& place, const std::string& what);

}  // namespace millrace
