// Which of a model's chat templates to use, and the variables that an operator sets for it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

using NamedTemplates = std::vector<TokenizerSpec::NamedTemplate>;

// What is asked of a model that brings several templates; empty is no preference.
struct TemplateWish {
  std::string name;        // "tool_use", "rag", …
  bool has_tools = false;  // Takes "tool_use" where there is one, as transformers does.
};

// The template of that name; without a name the nameless one or "default". kNotFound names those
// that there are.
Result<std::string> choose_template(const NamedTemplates& templates, const TemplateWish& wish);

// NAME=JSON each, as --set takes them, to an object.
Result<OrderedJson> parse_template_variables(const std::vector<std::string>& settings);

// The Jinja file that replaces the model's template.
Result<std::string> read_template_file(const std::string& path);

}  // namespace millrace
