// Schemas that hold together, with the choices among them made one by one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "constrain/compile_budget.h"
#include "constrain/schema_document.h"
#include "constrain/schema_facts.h"

namespace millrace {

// Follows $ref and allOf from some schemas, and anyOf and oneOf where the branch was chosen, and
// collects what all of them say.
class SchemaConjunction {
 public:
  // By the array of an anyOf or oneOf: which of its branches.
  using Choices = std::map<const SchemaNode*, std::size_t>;

  SchemaConjunction(const SchemaDocument& document, CompileBudget& budget, const Choices& choices)
      : document_(document), budget_(budget), choices_(choices) {}

  Status add(const SchemaNode& schema);

  // The first anyOf or oneOf for which nothing was chosen; null: all is in facts().
  const SchemaNode* open_choice() const { return open_choice_; }
  const SchemaFacts& facts() const { return facts_; }
  // One of the schemas is false.
  bool is_impossible() const { return is_impossible_; }

 private:
  Status add_object(const SchemaNode& schema);
  Status add_branches(const SchemaNode& schema, const char* keyword);
  Status check_disjoint(const SchemaNode& branches) const;
  Error error_at(const SchemaNode& schema, const Error& error) const;

  const SchemaDocument& document_;
  CompileBudget& budget_;
  const Choices& choices_;
  std::set<const SchemaNode*> added_;
  std::set<const SchemaNode*> path_;  // schemas that are being added
  const SchemaNode* open_choice_ = nullptr;
  SchemaFacts facts_;
  bool is_impossible_ = false;
};

}  // namespace millrace
