// Walking along the keywords that lead to other schemas for the same value.
#include "constrain/schema_conjunction.h"

#include <string>

#include "constrain/schema_rewrite.h"

namespace millrace {
namespace {

constexpr std::size_t kPathMax = 200;       // of $ref, allOf and branches in one another
constexpr std::size_t kExclusiveMax = 200;  // branches of a oneOf, which are compared in pairs

}  // namespace

Error SchemaConjunction::error_at(const SchemaNode& schema, const Error& error) const {
  return schema_error(error.code, document_.place_of(schema), error.message);
}

Status SchemaConjunction::add(const SchemaNode& schema) {
  TRY(budget_.spend_expressions(1));
  if (schema.is_boolean()) {
    if (schema == false) is_impossible_ = true;
    return Ok{};
  }
  if (!schema.is_object()) {
    return error_at(schema, {ErrorCode::kInvalidArgument, "expected a schema"});
  }
  if (path_.contains(&schema)) {
    return error_at(schema, {ErrorCode::kInvalidArgument, "refers to itself for the same value"});
  }
  if (!added_.insert(&schema).second) return Ok{};
  if (path_.size() > kPathMax) {
    return error_at(schema, {ErrorCode::kTooLarge, "references are nested too deeply"});
  }
  path_.insert(&schema);
  const Status status = add_object(schema);
  path_.erase(&schema);
  return status;
}

Status SchemaConjunction::add_object(const SchemaNode& schema) {
  const Status facts = add_schema_facts(schema, facts_);
  if (!facts.ok()) return error_at(schema, facts.error());
  const auto reference = schema.find("$ref");
  if (reference != schema.end()) {
    if (!reference->is_string()) {
      return error_at(schema, {ErrorCode::kInvalidArgument, "$ref: expected a string"});
    }
    const Result<const SchemaNode*> target = document_.resolve(reference->get<std::string>());
    if (!target.ok()) return error_at(schema, target.error());
    TRY(add(*target.value()));
  }
  const auto all = schema.find("allOf");
  if (all != schema.end()) {
    if (!all->is_array()) {
      return error_at(schema, {ErrorCode::kInvalidArgument, "allOf: expected an array"});
    }
    for (const SchemaNode& part : *all) TRY(add(part));
  }
  TRY(add_branches(schema, "anyOf"));
  return add_branches(schema, "oneOf");
}

Status SchemaConjunction::add_branches(const SchemaNode& schema, const char* keyword) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return Ok{};
  if (!found->is_array() || found->empty()) {
    return error_at(schema, {ErrorCode::kInvalidArgument,
                             std::string(keyword) + ": expected an array with a schema"});
  }
  const SchemaNode* branches = &*found;
  if (std::string_view(keyword) == "oneOf") {
    // What was chosen was looked at when it was open.
    const auto exclusive = schema.find(kExclusiveBranches);
    const bool has_exclusive = exclusive != schema.end();
    if (has_exclusive && choices_.contains(&*exclusive)) {
      branches = &*exclusive;
    } else if (!choices_.contains(branches)) {
      const Status status = check_disjoint(*branches);
      if (!status.ok() && (!has_exclusive || status.error().code != ErrorCode::kUnsupported)) {
        return error_at(schema, status.error());
      }
      if (!status.ok()) branches = &*exclusive;
    }
  }
  const auto chosen = choices_.find(branches);
  if (chosen != choices_.end()) return add((*branches)[chosen->second]);
  if (open_choice_ == nullptr) open_choice_ = branches;
  return Ok{};
}

// Exactly one of them holds when no two can, which is shown from what each says of itself.
Status SchemaConjunction::check_disjoint(const SchemaNode& branches) const {
  if (branches.size() == 1) return Ok{};
  if (branches.size() > kExclusiveMax) {
    return Error{ErrorCode::kTooLarge,
                 "oneOf: more than " + std::to_string(kExclusiveMax) + " branches"};
  }
  std::vector<SchemaFacts> facts;
  for (const SchemaNode& branch : branches) {
    SchemaConjunction alone(document_, budget_, choices_);
    alone.path_ = path_;
    TRY(alone.add(branch));
    facts.push_back(alone.facts());
    if (alone.is_impossible()) facts.back().types = 0;
  }
  for (std::size_t i = 0; i < facts.size(); ++i) {
    for (std::size_t j = i + 1; j < facts.size(); ++j) {
      TRY(budget_.spend_expressions(1));
      if (are_disjoint(facts[i], facts[j])) continue;
      return Error{ErrorCode::kUnsupported,
                   "oneOf: branches " + std::to_string(i) + " and " + std::to_string(j) +
                       " are not seen to exclude each other; anyOf allows both"};
    }
  }
  return Ok{};
}

}  // namespace millrace
