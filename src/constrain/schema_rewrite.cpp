// One pass over all schemas in a schema, the inner ones first.
#include "constrain/schema_rewrite.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "constrain/schema_negation.h"

namespace millrace {
namespace {

constexpr std::size_t kBranchesMax = 8;                  // of a oneOf that is rewritten
constexpr std::size_t kStepsMax = 100'000;               // of all negations of a schema
constexpr std::size_t kBytesMax = std::size_t{1} << 17;  // that rewriting adds to a schema

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

SchemaNode any_of(SchemaNode first, SchemaNode second) {
  return {{"anyOf", SchemaNode::array({std::move(first), std::move(second)})}};
}

SchemaNode all_of(std::vector<SchemaNode> parts) {
  return {{"allOf", std::move(parts)}};
}

SchemaNode without(const std::string& name) {
  return {{"properties", {{name, false}}}};
}

class Rewriter {
 public:
  explicit Rewriter(const SchemaNode& original) : original_(original) {}

  void rewrite(SchemaNode& schema) {
    if (!schema.is_object()) return;
    for (auto& [key, value] : schema.items()) {
      if (is_one_of(key, {"properties", "patternProperties", "$defs", "definitions",
                          "dependentSchemas", "dependencies"})) {
        rewrite_each(value);
      } else if (is_one_of(key, {"allOf", "anyOf", "oneOf", "prefixItems"})) {
        rewrite_each(value);
      } else if (is_one_of(key, {"additionalProperties", "additionalItems", "not", "if", "then",
                                 "else", "propertyNames"})) {
        rewrite(value);
      } else if (key == "items") {
        value.is_array() ? rewrite_each(value) : rewrite(value);
      }
    }
    schema.erase(kExclusiveBranches);
    std::vector<SchemaNode> added;
    take_condition(schema, added);
    take_dependents(schema, "dependentRequired", added);
    take_dependents(schema, "dependentSchemas", added);
    take_dependents(schema, "dependencies", added);
    take_not(schema, added);
    if (!added.empty()) {
      SchemaNode& all = schema["allOf"];
      if (!all.is_array()) all = SchemaNode::array();
      for (SchemaNode& part : added) all.push_back(std::move(part));
    }
    add_exclusive(schema);
  }

 private:
  void rewrite_each(SchemaNode& schemas) {
    if (!schemas.is_structured()) return;
    for (SchemaNode& schema : schemas) rewrite(schema);
  }

  // Whether so much may be added.
  bool may_add(const SchemaNode& schema) {
    num_bytes_ += schema.dump(-1, ' ', false, SchemaNode::error_handler_t::replace).size();
    return num_bytes_ <= kBytesMax;
  }

  void take_condition(SchemaNode& schema, std::vector<SchemaNode>& added) {
    const auto found = schema.find("if");
    if (found == schema.end()) {  // Alone the others say nothing.
      schema.erase("then");
      schema.erase("else");
      return;
    }
    const SchemaNode then = schema.value("then", SchemaNode(true));
    const SchemaNode otherwise = schema.value("else", SchemaNode(true));
    const std::optional<SchemaNode> denied = negated(*found, original_, steps_left_);
    if (!denied) return;
    SchemaNode made = any_of(all_of({*found, then}), all_of({*denied, otherwise}));
    if (!may_add(made)) return;
    if (then != true || otherwise != true) added.push_back(std::move(made));
    for (const char* const key : {"if", "then", "else"}) schema.erase(key);
  }

  void take_dependents(SchemaNode& schema, const char* keyword, std::vector<SchemaNode>& added) {
    const auto found = schema.find(keyword);
    if (found == schema.end() || !found->is_object()) return;
    std::vector<SchemaNode> made;
    for (const auto& [name, asked] : found->items()) {
      SchemaNode with = {{"required", SchemaNode::array({name})}};
      if (asked.is_array()) {
        for (const SchemaNode& more : asked) {
          if (!more.is_string()) return;
          if (more != name) with["required"].push_back(more);
        }
      } else {
        with["allOf"] = SchemaNode::array({asked});
      }
      made.push_back(any_of(without(name), std::move(with)));
      if (!may_add(made.back())) return;
    }
    added.insert(added.end(), made.begin(), made.end());
    schema.erase(keyword);
  }

  // What schema_facts.cpp reads itself is left to it.
  void take_not(SchemaNode& schema, std::vector<SchemaNode>& added) {
    const auto found = schema.find("not");
    if (found == schema.end() || !found->is_object() || found->empty()) return;
    if (found->size() == 1 &&
        (found->contains("type") || found->contains("const") || found->contains("enum"))) {
      return;
    }
    std::optional<SchemaNode> denied = negated(*found, original_, steps_left_);
    if (!denied || !may_add(*denied)) return;
    added.push_back(*std::move(denied));
    schema.erase("not");
  }

  void add_exclusive(SchemaNode& schema) {
    const auto found = schema.find("oneOf");
    if (found == schema.end() || !found->is_array() || found->size() < 2 ||
        found->size() > kBranchesMax) {
      return;
    }
    std::vector<SchemaNode> denied;
    for (const SchemaNode& branch : *found) {
      std::optional<SchemaNode> one = negated(branch, original_, steps_left_);
      if (!one) return;
      denied.push_back(*std::move(one));
    }
    SchemaNode exclusive = SchemaNode::array();
    for (std::size_t i = 0; i < found->size(); ++i) {
      std::vector<SchemaNode> parts = {(*found)[i]};
      for (std::size_t j = 0; j < found->size(); ++j) {
        if (j != i) parts.push_back(denied[j]);
      }
      exclusive.push_back(all_of(std::move(parts)));
    }
    if (may_add(exclusive)) schema[kExclusiveBranches] = std::move(exclusive);
  }

  const SchemaNode& original_;
  std::size_t num_bytes_ = 0;
  std::size_t steps_left_ = kStepsMax;
};

}  // namespace

void rewrite_conditions(SchemaNode& root) {
  const SchemaNode original = root;
  Rewriter(original).rewrite(root);
}

}  // namespace millrace
