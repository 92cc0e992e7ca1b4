// Choosing a template by transformers' rules, and reading settings.
#include "cli/template_choice.h"

#include "base/file.h"
#include "text/chat_template_limits.h"

namespace millrace {
namespace {

const std::string* find_template(const NamedTemplates& templates, std::string_view name) {
  for (const TokenizerSpec::NamedTemplate& candidate : templates) {
    if (candidate.name == name) return &candidate.source;
  }
  return nullptr;
}

std::string names_of(const NamedTemplates& templates) {
  std::string names;
  for (const TokenizerSpec::NamedTemplate& candidate : templates) {
    names += (names.empty() ? "" : ", ") + (candidate.name.empty() ? "default" : candidate.name);
  }
  return names;
}

}  // namespace

Result<std::string> choose_template(const NamedTemplates& templates, const TemplateWish& wish) {
  if (templates.empty()) {
    return Error{ErrorCode::kNotFound,
                 "the model has no chat template; give one with --chat-template"};
  }
  std::vector<std::string_view> names = {"", "default"};
  if (wish.has_tools && wish.name.empty()) names.insert(names.begin(), "tool_use");
  if (!wish.name.empty() && wish.name != "default") names = {wish.name};
  for (const std::string_view name : names) {
    if (const std::string* source = find_template(templates, name)) return *source;
  }
  return Error{ErrorCode::kNotFound,
               "the model has no chat template " +
                   (wish.name.empty() ? std::string("by default") : "'" + wish.name + "'") +
                   ", only: " + names_of(templates)};
}

Result<OrderedJson> parse_template_variables(const std::vector<std::string>& settings) {
  OrderedJson variables = OrderedJson::object();
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{ErrorCode::kInvalidArgument, "--set " + setting + ": expected NAME=JSON"};
    }
    const std::string name = setting.substr(0, equals);
    Result<OrderedJson> value = parse_ordered_json(setting.substr(equals + 1), "--set " + name);
    if (!value.ok()) {
      return with_context(std::move(value).error(), "JSON is true, 5, '\"text\"', [1]");
    }
    variables[name] = std::move(value).value();
  }
  return variables;
}

Result<std::string> read_template_file(const std::string& path) {
  return read_file(path, ChatTemplateLimits{}.source_bytes_max);
}

}  // namespace millrace
