// Objects: named properties in their order, then others, all counted where the schema counts them.
#include <algorithm>
#include <set>

#include "constrain/schema_builder.h"

namespace millrace {
namespace {

constexpr std::size_t kPatternsMax = 4;  // names are told apart by each set of them
constexpr std::size_t kNamedMax = 5000;

}  // namespace

ExprId SchemaBuilder::member(ExprId key, ExprId value) {
  return grammar_.sequence({key, json_.colon(object_place_), value});
}

// Names that propertyNames allows.
Result<Automaton> SchemaBuilder::name_automaton(const SchemaFacts& facts) {
  Automaton names = TRY(json_.text_of_length(0, kNoMax));
  for (const SchemaNode* schema : facts.property_names) {
    const SchemaConjunction::Choices none;
    SchemaConjunction conjunction(document_, grammar_.budget(), none);
    TRY(conjunction.add(*schema));
    const SchemaFacts& found = conjunction.facts();
    if (conjunction.open_choice() != nullptr) {
      return Error{ErrorCode::kUnsupported, "propertyNames: anyOf and oneOf are not supported"};
    }
    if (conjunction.is_impossible() || (found.types & kTypeString) == 0) {
      return Automaton{.states = {Automaton::State{}}};
    }
    const Automaton text = TRY(text_automaton(found));
    names = TRY(intersected(names, text));
    if (!found.values) continue;
    const Automaton listed = TRY(listed_texts(found));
    names = TRY(intersected(names, listed));
  }
  return names;
}

Result<SchemaBuilder::Schemas> SchemaBuilder::schemas_of_property(const SchemaFacts& facts,
                                                                  const std::string& name) {
  Schemas schemas;
  for (const SchemaFacts::PropertyRule& rule : facts.properties) {
    bool is_named = false;
    if (rule.properties != nullptr && rule.properties->contains(name)) {
      schemas.push_back(&(*rule.properties)[name]);
      is_named = true;
    }
    if (rule.patterns != nullptr) {
      for (const auto& [pattern, schema] : rule.patterns->items()) {
        const Automaton* const automaton = TRY(pattern_automaton(pattern));
        if (!accepts(*automaton, name)) continue;
        schemas.push_back(&schema);
        is_named = true;
      }
    }
    if (!is_named && rule.additional != nullptr) schemas.push_back(rule.additional);
  }
  return schemas;
}

Status SchemaBuilder::add_named(const SchemaFacts& facts, const Automaton& names,
                                const std::vector<std::string>& order, MemberList& list) {
  for (const std::string& name : order) {
    const bool is_required =
        std::find(facts.required.begin(), facts.required.end(), name) != facts.required.end();
    ExprId value = grammar_.nothing();
    if (accepts(names, name)) {
      Schemas schemas = TRY(schemas_of_property(facts, name));
      value = TRY(value_of(std::move(schemas)));
    }
    if (value == grammar_.nothing() && !is_required) continue;
    if (value != grammar_.nothing()) {
      const ExprId key = TRY(json_.key(name, object_place_));
      value = member(key, value);
    }
    list.named.push_back({.expr = value, .is_required = is_required});
    TRY(grammar_.status());
  }
  return Ok{};
}

// Members whose names match exactly the patterns of `region`, a bit for each.
Status SchemaBuilder::add_region(const SchemaFacts& facts, const Automaton& names,
                                 std::uint32_t region, std::vector<ExprId>& members) {
  Automaton keys = names;
  Schemas schemas;
  std::uint32_t index = 0;
  for (const SchemaFacts::PropertyRule& rule : facts.properties) {
    bool is_matched = false;
    if (rule.patterns != nullptr) {
      for (const auto& [pattern, schema] : rule.patterns->items()) {
        const Automaton* const automaton = TRY(pattern_automaton(pattern));
        const bool is_in = (region >> index++ & 1u) != 0;
        keys = TRY(intersected(keys, is_in ? *automaton : complement(*automaton)));
        if (is_in) schemas.push_back(&schema);
        is_matched = is_matched || is_in;
      }
    }
    const bool is_closed = json_.style().unnamed_properties == UnnamedProperties::kForbidden &&
                           (rule.properties != nullptr || rule.patterns != nullptr) &&
                           rule.additional == nullptr;
    if (is_matched) continue;
    if (is_closed) return Ok{};
    if (rule.additional != nullptr) schemas.push_back(rule.additional);
  }
  if (is_empty(keys)) return Ok{};
  const ExprId value = TRY(value_of(std::move(schemas)));
  if (value == grammar_.nothing()) return Ok{};
  const ExprId key = TRY(json_.key_of(keys, object_place_));
  if (key != grammar_.nothing()) members.push_back(member(key, value));
  return Ok{};
}

Result<ExprId> SchemaBuilder::build_unnamed(const SchemaFacts& facts, const Automaton& names,
                                            const std::vector<std::string>& named) {
  std::size_t num_patterns = 0;
  for (const SchemaFacts::PropertyRule& rule : facts.properties) {
    if (rule.patterns != nullptr) num_patterns += rule.patterns->size();
  }
  if (num_patterns > kPatternsMax) {
    return Error{ErrorCode::kUnsupported,
                 "patternProperties: more than " + std::to_string(kPatternsMax) + " patterns"};
  }
  if (num_patterns == 0) {
    // Often nothing is left, and then the names of all others need not be worked out.
    for (const SchemaFacts::PropertyRule& rule : facts.properties) {
      const bool is_closed = rule.additional == nullptr
                                 ? json_.style().unnamed_properties == UnnamedProperties::kForbidden
                                 : *rule.additional == false;
      if (is_closed) return grammar_.nothing();
    }
  }
  Automaton others = names;
  if (!named.empty()) {
    std::vector<ExprId> literals;
    for (const std::string& name : named) literals.push_back(grammar_.bytes(name));
    const Automaton listed = TRY(grammar_.to_automaton(
        grammar_.alternatives(std::move(literals)), grammar_.budget().limits().pattern_states_max));
    others = TRY(intersected(others, complement(listed)));
  }
  std::vector<ExprId> members;
  for (std::uint32_t region = 0; region < (1u << num_patterns); ++region) {
    TRY(add_region(facts, others, region, members));
  }
  return grammar_.alternatives(std::move(members));
}

Result<ExprId> SchemaBuilder::build_object(const SchemaFacts& facts) {
  if (!facts.has_object_rules()) return json_.any_object(object_place_);
  std::vector<std::string> order;
  std::set<std::string> known;
  for (const SchemaFacts::PropertyRule& rule : facts.properties) {
    if (rule.properties == nullptr) continue;
    for (const auto& [name, schema] : rule.properties->items()) {
      if (known.insert(name).second) order.push_back(name);
    }
  }
  for (const std::string& name : facts.required) {
    if (known.insert(name).second) order.push_back(name);
  }
  if (order.size() > kNamedMax) {
    return Error{ErrorCode::kTooLarge, "more than " + std::to_string(kNamedMax) + " properties"};
  }
  const Automaton names = TRY(name_automaton(facts));
  MemberList list{.count_min = facts.properties_min, .count_max = facts.properties_max};
  TRY(add_named(facts, names, order, list));
  list.unnamed = TRY(build_unnamed(facts, names, order));
  return build_members(list);
}

// From the last member to the first: what may follow when so many have been written. Counts that
// the schema does not tell apart are one.
Result<ExprId> SchemaBuilder::build_members(const MemberList& list) {
  if (list.count_min > list.count_max) return grammar_.nothing();
  const auto num_named = static_cast<std::uint32_t>(list.named.size());
  const bool counts_most = list.count_max < num_named ||
                           (list.count_max != kNoMax && list.unnamed != grammar_.nothing());
  // Counts from here on are all the same; but 0 and 1 differ by the comma.
  const std::uint32_t count_last =
      std::max(1u, std::min(counts_most ? list.count_max : list.count_min, num_named));
  std::vector<ExprId> behind(count_last + 1, grammar_.nothing());
  for (std::uint32_t count = 0; count <= count_last; ++count) {
    if (counts_most && count > list.count_max) continue;
    const std::uint32_t min = list.count_min - std::min(list.count_min, count);
    const std::uint32_t max = counts_most ? list.count_max - count : kNoMax;
    // Names of their own cannot be told from each other, so two may be one.
    if (min > 1 && list.unnamed != grammar_.nothing()) {
      return Error{ErrorCode::kUnsupported,
                   "minProperties: more than one property that the schema does not name"};
    }
    if (min > max) continue;
    const ExprId more = grammar_.sequence({json_.comma(), list.unnamed});
    behind[count] =
        count == 0 ? json_.list_of(list.unnamed, min, max) : grammar_.repeat(more, min, max);
  }
  for (std::uint32_t i = num_named; i-- > 0;) {
    std::vector<ExprId> before(count_last + 1, grammar_.nothing());
    for (std::uint32_t count = 0; count <= std::min(count_last, i); ++count) {
      const std::uint32_t next = std::min(count + 1, count_last);
      const bool may_write = !counts_most || count < list.count_max;
      const ExprId comma = count == 0 ? grammar_.empty() : json_.comma();
      std::vector<ExprId> choices;
      if (may_write) {
        choices.push_back(grammar_.sequence({comma, list.named[i].expr, behind[next]}));
      }
      if (!list.named[i].is_required) choices.push_back(behind[count]);
      const RuleId rule = grammar_.add_rule("members");
      grammar_.define(rule, grammar_.alternatives(std::move(choices)));
      before[count] = grammar_.rule(rule);
    }
    behind = std::move(before);
    TRY(grammar_.status());
  }
  return grammar_.sequence(
      {json_.object_begin(object_place_), behind[0], json_.object_end(object_place_)});
}

}  // namespace millrace
