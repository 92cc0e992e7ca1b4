// Reading the files that schemas and grammars are in.
#include "cli/constraint_options.h"

#include "base/file.h"

namespace millrace {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;

}  // namespace

void add_constraint_options(CLI::App& command, ConstraintOptions& options) {
  const char* const group = "Structured output";
  CLI::Option* const schema =
      command.add_option("--json-schema", options.json_schema_file,
                         "Answer in JSON that fulfils the schema in this file");
  CLI::Option* const grammar =
      command.add_option("--grammar", options.grammar_file,
                         "Answer in the language of the grammar (GBNF) in this file");
  CLI::Option* const pattern =
      command.add_option("--regex", options.pattern, "Answer what this pattern matches as a whole");
  schema->type_name("PATH")->group(group)->excludes(grammar)->excludes(pattern);
  grammar->type_name("PATH")->group(group)->excludes(pattern);
  pattern->type_name("PATTERN")->group(group);
}

Result<std::optional<ConstraintSpec>> read_constraint(const ConstraintOptions& options) {
  if (!options.json_schema_file.empty()) {
    std::string schema = TRY(read_file(options.json_schema_file, kFileBytesMax));
    return std::optional(ConstraintSpec::json_schema(std::move(schema)));
  }
  if (!options.grammar_file.empty()) {
    std::string grammar = TRY(read_file(options.grammar_file, kFileBytesMax));
    return std::optional(ConstraintSpec::grammar(std::move(grammar)));
  }
  if (options.pattern) return std::optional(ConstraintSpec::regex(*options.pattern));
  return std::optional<ConstraintSpec>();
}

}  // namespace millrace
