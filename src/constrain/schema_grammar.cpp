// Reading a schema and building its grammar.
#include "constrain/schema_grammar.h"

#include "constrain/json_grammar.h"
#include "constrain/schema_builder.h"
#include "constrain/schema_document.h"

namespace millrace {

Result<ExprId> build_schema_grammar(Grammar& grammar, const std::string& schema,
                                    const JsonStyle& style, const std::string& quote) {
  const GrammarLimits& limits = grammar.budget().limits();
  const SchemaDocument document = TRY(SchemaDocument::parse(
      schema, {.bytes_max = limits.spec_bytes_max, .depth_max = limits.depth_max}));
  JsonGrammar json(grammar, style, quote);
  return SchemaBuilder(document, json).build();
}

Result<ExprId> build_schema_text(Grammar& grammar, const std::string& schema,
                                 const std::string& without) {
  const GrammarLimits& limits = grammar.budget().limits();
  const SchemaDocument document = TRY(SchemaDocument::parse(
      schema, {.bytes_max = limits.spec_bytes_max, .depth_max = limits.depth_max}));
  JsonGrammar json(grammar, {});
  const Automaton text = TRY(SchemaBuilder(document, json).build_text());
  const ExprId any = grammar.repeat(grammar.any_char(), 0, kNoMax);
  const Automaton with = TRY(grammar.to_automaton(
      grammar.sequence({any, grammar.bytes(without), any}), limits.pattern_states_max));
  return grammar.automaton(
      TRY(intersect(text, complement(with), limits.pattern_states_max, grammar.budget())));
}

}  // namespace millrace
