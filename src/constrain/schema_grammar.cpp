// Reading a schema and building its grammar.
#include "constrain/schema_grammar.h"

#include "constrain/json_grammar.h"
#include "constrain/schema_builder.h"
#include "constrain/schema_document.h"

namespace millrace {

Result<ExprId> build_schema_grammar(Grammar& grammar, const std::string& schema,
                                    const JsonStyle& style) {
  const GrammarLimits& limits = grammar.budget().limits();
  const SchemaDocument document = TRY(SchemaDocument::parse(
      schema, {.bytes_max = limits.spec_bytes_max, .depth_max = limits.depth_max}));
  JsonGrammar json(grammar, style);
  return SchemaBuilder(document, json).build();
}

}  // namespace millrace
