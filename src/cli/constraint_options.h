// Options that hold an answer to a schema, a grammar or a pattern.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "constrain/constraint_spec.h"

namespace millrace {

// At most one is given.
struct ConstraintOptions {
  std::string json_schema_file;
  std::string grammar_file;
  std::optional<std::string> pattern;
};

void add_constraint_options(CLI::App& command, ConstraintOptions& options);

// What the options ask for, with the files read; nothing where they ask for nothing.
Result<std::optional<ConstraintSpec>> read_constraint(const ConstraintOptions& options);

}  // namespace millrace
