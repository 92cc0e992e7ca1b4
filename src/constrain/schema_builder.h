// Builds the grammar of a schema: a rule for each set of schemas that hold for one value.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "constrain/grammar.h"
#include "constrain/json_grammar.h"
#include "constrain/schema_conjunction.h"
#include "constrain/schema_document.h"
#include "constrain/schema_facts.h"

namespace millrace {

class SchemaBuilder {
 public:
  SchemaBuilder(const SchemaDocument& document, JsonGrammar& json)
      : document_(document), json_(json), grammar_(json.grammar()) {}

  // The rule of the whole schema, with all rules that it needs.
  Result<ExprId> build();
  // The strings that the whole schema allows; kUnsupported where it allows anything else, or leaves
  // a choice.
  Result<Automaton> build_text();

 private:
  using Schemas = std::vector<const SchemaNode*>;  // sorted, each once

  // A property that the schema names.
  struct Member {
    ExprId expr = 0;  // key, colon and value
    bool is_required = false;
  };
  struct MemberList {
    std::vector<Member> named = {};
    ExprId unnamed = 0;  // any other member; nothing where there may be none
    std::uint32_t count_min = 0;
    std::uint32_t count_max = kNoMax;
  };

  // What stands for a value for which all these hold; rules are built later.
  Result<ExprId> value_of(Schemas schemas);
  Status build_rule(const Schemas& schemas, RuleId rule);
  Result<ExprId> build_choices(const Schemas& schemas, SchemaConjunction::Choices& choices,
                               std::size_t depth);
  Result<ExprId> build_facts(const SchemaFacts& facts);
  Result<ExprId> build_values(const SchemaFacts& facts);
  Result<bool> is_allowed(const SchemaNode& value, const SchemaFacts& facts);

  bool has_text_rules(const SchemaFacts& facts) const;
  Result<Automaton> text_automaton(const SchemaFacts& facts);
  Result<Automaton> listed_texts(const SchemaFacts& facts);
  Result<ExprId> build_string(const SchemaFacts& facts);

  Result<ExprId> build_array(const SchemaFacts& facts);
  Schemas item_schemas(const SchemaFacts& facts, std::size_t index) const;

  Result<ExprId> build_object(const SchemaFacts& facts);
  Status add_named(const SchemaFacts& facts, const Automaton& names,
                   const std::vector<std::string>& order, MemberList& list);
  Result<Schemas> schemas_of_property(const SchemaFacts& facts, const std::string& name);
  Result<Automaton> name_automaton(const SchemaFacts& facts);
  Result<ExprId> build_unnamed(const SchemaFacts& facts, const Automaton& names,
                               const std::vector<std::string>& named);
  Status add_region(const SchemaFacts& facts, const Automaton& names, std::uint32_t region,
                    std::vector<ExprId>& members);
  ExprId member(ExprId key, ExprId value);
  Result<ExprId> build_members(const MemberList& list);

  Result<const Automaton*> pattern_automaton(const std::string& pattern);
  Result<Automaton> intersected(const Automaton& a, const Automaton& b);

  const SchemaDocument& document_;
  JsonGrammar& json_;
  Grammar& grammar_;
  std::map<Schemas, RuleId> rules_;
  std::deque<std::pair<Schemas, RuleId>> open_;
  std::map<std::string, Automaton> patterns_;
  const SchemaNode* place_ = nullptr;  // the first schema of the rule that is being built
  ObjectPlace object_place_ = ObjectPlace::kValue;  // of that rule
};

}  // namespace millrace
