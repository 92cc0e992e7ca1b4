// Rules, choices, enumerated values, strings and arrays.
#include "constrain/schema_builder.h"

#include <algorithm>

#include "constrain/number_grammar.h"
#include "constrain/regex_grammar.h"
#include "constrain/string_format.h"

namespace millrace {
namespace {

constexpr std::size_t kChoicesMax = 32;  // anyOf and oneOf that hold for one value

Error unsupported(const std::string& what) {
  return Error{ErrorCode::kUnsupported, what};
}

}  // namespace

Result<ExprId> SchemaBuilder::build() {
  const ExprId root = TRY(value_of({&document_.root()}));
  // Only the notation of Python writes the outermost object unlike others.
  const bool has_arguments = json_.style().notation == JsonNotation::kPython;
  if (has_arguments && open_.empty() && root != grammar_.nothing()) {
    return json_.any_object(ObjectPlace::kArguments);
  }
  object_place_ = has_arguments ? ObjectPlace::kArguments : ObjectPlace::kValue;
  while (!open_.empty()) {
    const auto [schemas, rule] = std::move(open_.front());
    open_.pop_front();
    place_ = schemas.front();
    const Status status = build_rule(schemas, rule);
    if (!status.ok()) {
      if (status.error().message.starts_with("schema at ")) return status.error();
      return schema_error(status.error().code, document_.place_of(*place_), status.error().message);
    }
    object_place_ = ObjectPlace::kValue;
  }
  TRY(json_.status());
  return root;
}

Result<Automaton> SchemaBuilder::build_text() {
  const SchemaConjunction::Choices none;
  SchemaConjunction conjunction(document_, grammar_.budget(), none);
  TRY(conjunction.add(document_.root()));
  const SchemaFacts& facts = conjunction.facts();
  if (conjunction.open_choice() != nullptr || facts.types != kTypeString) {
    return unsupported("expected a schema of nothing but strings, without anyOf and oneOf");
  }
  if (conjunction.is_impossible()) return Automaton{.states = {Automaton::State{}}};
  const Automaton text = TRY(text_automaton(facts));
  if (!facts.values) return text;
  const Automaton listed = TRY(listed_texts(facts));
  return intersected(text, listed);
}

// The strings among the values that are listed.
Result<Automaton> SchemaBuilder::listed_texts(const SchemaFacts& facts) {
  std::vector<ExprId> texts;
  for (const SchemaNode& value : *facts.values) {
    if (value.is_string()) texts.push_back(grammar_.bytes(value.get_ref<const std::string&>()));
  }
  return grammar_.to_automaton(grammar_.alternatives(std::move(texts)),
                               grammar_.budget().limits().pattern_states_max);
}

Result<ExprId> SchemaBuilder::value_of(Schemas schemas) {
  for (const SchemaNode* schema : schemas) {
    if (schema->is_boolean() && *schema == false) return grammar_.nothing();
  }
  std::erase_if(schemas, [](const SchemaNode* schema) {
    return *schema == true || (schema->is_object() && schema->empty());
  });
  std::sort(schemas.begin(), schemas.end());
  schemas.erase(std::unique(schemas.begin(), schemas.end()), schemas.end());
  if (schemas.empty()) return json_.any_value();
  const auto [at, is_new] = rules_.try_emplace(std::move(schemas), 0);
  if (is_new) {
    at->second = grammar_.add_rule("schema");
    open_.emplace_back(at->first, at->second);
  }
  TRY(grammar_.status());
  return grammar_.rule(at->second);
}

Status SchemaBuilder::build_rule(const Schemas& schemas, RuleId rule) {
  SchemaConjunction::Choices choices;
  const ExprId body = TRY(build_choices(schemas, choices, 0));
  grammar_.define(rule, body);
  return grammar_.status();
}

// Takes each branch of the first choice that is open, with all that holds beside it.
Result<ExprId> SchemaBuilder::build_choices(const Schemas& schemas,
                                            SchemaConjunction::Choices& choices,
                                            std::size_t depth) {
  if (depth > kChoicesMax) {
    return Error{ErrorCode::kTooLarge, "more than " + std::to_string(kChoicesMax) +
                                           " of anyOf and oneOf hold for one value"};
  }
  SchemaConjunction conjunction(document_, grammar_.budget(), choices);
  for (const SchemaNode* schema : schemas) TRY(conjunction.add(*schema));
  if (conjunction.is_impossible()) return grammar_.nothing();
  const SchemaNode* const branches = conjunction.open_choice();
  if (branches == nullptr) return build_facts(conjunction.facts());
  std::vector<ExprId> parts;
  for (std::size_t i = 0; i < branches->size(); ++i) {
    choices[branches] = i;
    parts.push_back(TRY(build_choices(schemas, choices, depth + 1)));
  }
  choices.erase(branches);
  return grammar_.alternatives(std::move(parts));
}

Result<ExprId> SchemaBuilder::build_facts(const SchemaFacts& facts) {
  TRY(grammar_.status());
  if (object_place_ == ObjectPlace::kArguments) {
    if (facts.values) return unsupported("enum and const of all arguments of a call");
    return (facts.types & kTypeObject) != 0 ? build_object(facts)
                                            : Result<ExprId>(grammar_.nothing());
  }
  if (facts.values) return build_values(facts);
  const auto is_excluded = [&](const SchemaNode& value) {
    return std::find(facts.excluded_values.begin(), facts.excluded_values.end(), value) !=
           facts.excluded_values.end();
  };
  std::vector<ExprId> choices;
  if ((facts.types & kTypeNull) != 0 && !is_excluded(nullptr)) {
    choices.push_back(json_.word(nullptr));
  }
  if ((facts.types & kTypeBoolean) != 0) {
    if (!is_excluded(true)) choices.push_back(json_.word(true));
    if (!is_excluded(false)) choices.push_back(json_.word(false));
  }
  if ((facts.types & kTypeString) != 0) choices.push_back(TRY(build_string(facts)));
  if ((facts.types & kTypeNumber) != 0) choices.push_back(TRY(number_grammar(json_, facts)));
  if ((facts.types & kTypeArray) != 0) choices.push_back(TRY(build_array(facts)));
  if ((facts.types & kTypeObject) != 0) choices.push_back(TRY(build_object(facts)));
  return grammar_.alternatives(std::move(choices));
}

Result<ExprId> SchemaBuilder::build_values(const SchemaFacts& facts) {
  std::vector<ExprId> choices;
  for (const SchemaNode& value : *facts.values) {
    if (TRY(is_allowed(value, facts))) choices.push_back(json_.value(value));
    TRY(grammar_.status());
  }
  return grammar_.alternatives(std::move(choices));
}

// Whether an enumerated value passes what else holds.
Result<bool> SchemaBuilder::is_allowed(const SchemaNode& value, const SchemaFacts& facts) {
  const std::uint32_t type = type_of_value(value);
  if ((facts.types & type) == 0) return false;
  if (std::find(facts.excluded_values.begin(), facts.excluded_values.end(), value) !=
      facts.excluded_values.end()) {
    return false;
  }
  if (value.is_string() && has_text_rules(facts)) {
    const Automaton text = TRY(text_automaton(facts));
    return accepts(text, value.get_ref<const std::string&>());
  }
  if (value.is_number() &&
      (!facts.at_least.empty() || !facts.at_most.empty() || !facts.multiples_of.empty())) {
    const Automaton numbers = TRY(number_automaton(json_, facts));
    return accepts(numbers, value.dump());
  }
  if ((value.is_array() && (facts.has_array_rules() || facts.has_unique_items)) ||
      (value.is_object() && facts.has_object_rules())) {
    return unsupported("enum or const of arrays or objects beside other rules for them");
  }
  return true;
}

bool SchemaBuilder::has_text_rules(const SchemaFacts& facts) const {
  return facts.length_min > 0 || facts.length_max != kNoMax || !facts.patterns.empty() ||
         !facts.formats.empty();
}

Result<const Automaton*> SchemaBuilder::pattern_automaton(const std::string& pattern) {
  auto found = patterns_.find(pattern);
  if (found == patterns_.end()) {
    Automaton automaton = TRY(regex_automaton(grammar_, pattern, RegexMatch::kSearch, "pattern"));
    found = patterns_.emplace(pattern, std::move(automaton)).first;
  }
  return &found->second;
}

Result<Automaton> SchemaBuilder::intersected(const Automaton& a, const Automaton& b) {
  return intersect(a, b, grammar_.budget().limits().pattern_states_max, grammar_.budget());
}

// Texts by length, patterns, formats and what is excluded.
Result<Automaton> SchemaBuilder::text_automaton(const SchemaFacts& facts) {
  if (facts.length_min > facts.length_max) return Automaton{.states = {Automaton::State{}}};
  Automaton text = TRY(json_.text_of_length(facts.length_min, facts.length_max));
  for (const std::string& pattern : facts.patterns) {
    const Automaton* const automaton = TRY(pattern_automaton(pattern));
    text = TRY(intersected(text, *automaton));
  }
  for (const std::string& format : facts.formats) {
    const Automaton automaton =
        TRY(regex_automaton(grammar_, *format_pattern(format), RegexMatch::kWhole, "format"));
    text = TRY(intersected(text, automaton));
  }
  std::vector<ExprId> excluded;
  for (const SchemaNode& value : facts.excluded_values) {
    if (value.is_string()) excluded.push_back(grammar_.bytes(value.get_ref<const std::string&>()));
  }
  if (excluded.empty()) return text;
  const Automaton others = TRY(grammar_.to_automaton(
      grammar_.alternatives(std::move(excluded)), grammar_.budget().limits().pattern_states_max));
  return intersected(text, complement(others));
}

Result<ExprId> SchemaBuilder::build_string(const SchemaFacts& facts) {
  const bool has_excluded = std::any_of(facts.excluded_values.begin(), facts.excluded_values.end(),
                                        [](const SchemaNode& value) { return value.is_string(); });
  if (facts.patterns.empty() && facts.formats.empty() && !has_excluded) {
    if (facts.length_min > facts.length_max) return grammar_.nothing();
    return json_.string(facts.length_min, facts.length_max);
  }
  const Automaton text = TRY(text_automaton(facts));
  return json_.string_of(text);
}

SchemaBuilder::Schemas SchemaBuilder::item_schemas(const SchemaFacts& facts,
                                                   std::size_t index) const {
  Schemas schemas;
  for (const SchemaFacts::ItemRule& rule : facts.items) {
    const bool is_in_prefix = rule.prefix != nullptr && index < rule.prefix->size();
    const SchemaNode* const schema = is_in_prefix ? &(*rule.prefix)[index] : rule.rest;
    if (schema != nullptr) schemas.push_back(schema);
  }
  return schemas;
}

// The items that have a place of their own, from the last to the first, and a list behind them.
Result<ExprId> SchemaBuilder::build_array(const SchemaFacts& facts) {
  std::size_t num_placed = 0;
  for (const SchemaFacts::ItemRule& rule : facts.items) {
    if (rule.prefix != nullptr) num_placed = std::max(num_placed, rule.prefix->size());
  }
  std::uint32_t items_max = facts.items_max;
  std::vector<ExprId> placed;
  for (std::size_t i = 0; i < num_placed && i < items_max; ++i) {
    placed.push_back(TRY(value_of(item_schemas(facts, i))));
    if (placed.back() == grammar_.nothing()) items_max = static_cast<std::uint32_t>(i);
  }
  const ExprId rest = TRY(value_of(item_schemas(facts, num_placed)));
  if (rest == grammar_.nothing()) {
    items_max = std::min(items_max, static_cast<std::uint32_t>(num_placed));
  }
  if (facts.items_min > items_max) return grammar_.nothing();
  if (facts.has_unique_items && items_max > 1) {
    return unsupported("uniqueItems cannot be enforced");
  }
  num_placed = std::min<std::size_t>(num_placed, items_max);
  if (num_placed == 0) return json_.array_of(rest, facts.items_min, items_max);

  const auto past = [](std::uint32_t count, std::size_t num) {
    return count == kNoMax ? kNoMax
                           : count - static_cast<std::uint32_t>(std::min<std::size_t>(count, num));
  };
  ExprId tail = grammar_.repeat(grammar_.sequence({json_.comma(), rest}),
                                past(facts.items_min, num_placed), past(items_max, num_placed));
  for (std::size_t i = num_placed; i-- > 0;) {
    const ExprId comma = i == 0 ? grammar_.empty() : json_.comma();
    const ExprId some = grammar_.sequence({comma, placed[i], tail});
    const RuleId rule = grammar_.add_rule("items");
    grammar_.define(rule, i < facts.items_min ? some : grammar_.optional(some));
    tail = grammar_.rule(rule);
  }
  return grammar_.sequence({json_.array_begin(), tail, json_.array_end()});
}

}  // namespace millrace
