// Parsing once, rendering with the variables that transformers gives to templates.
#include "text/chat_template.h"

#include <utility>
#include <vector>

#include "text/jinja/from_json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/resolver.h"
#include "text/utf8.h"

namespace millrace {
namespace {

using Variables = std::vector<std::pair<std::string, jinja::Value>>;

// What the caller names comes first, so that it replaces what has the same name.
Result<Variables> make_variables(jinja::Sandbox& sandbox, const ChatTemplateInput& input) {
  Variables variables;
  if (!input.arguments.is_object() && !input.arguments.is_null()) {
    return Error{ErrorCode::kInvalidArgument, "chat template arguments: expected an object, got " +
                                                  std::string(input.arguments.type_name())};
  }
  for (const auto& [name, value] : input.arguments.items()) {
    variables.emplace_back(name, TRY(jinja::from_json(sandbox, value)));
  }
  const auto add_json = [&](const char* name, const OrderedJson& json) -> Status {
    Result<jinja::Value> value = jinja::from_json(sandbox, json);
    if (!value.ok()) return with_context(std::move(value).error(), name);
    variables.emplace_back(name, std::move(value).value());
    return Ok{};
  };
  TRY(add_json("messages", input.messages));
  TRY(add_json("tools", input.tools));
  TRY(add_json("documents", input.documents));
  variables.emplace_back("add_generation_prompt",
                         jinja::Value::boolean(input.generation_prompt == GenerationPrompt::kOn));
  if (input.bos_token) {
    variables.emplace_back("bos_token", TRY(sandbox.string(*input.bos_token)));
  }
  if (input.eos_token) {
    variables.emplace_back("eos_token", TRY(sandbox.string(*input.eos_token)));
  }
  return variables;
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const jinja::Program> program)
    : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source,
                                         const ChatTemplateLimits& limits) {
  if (source.size() > limits.source_bytes_max) {
    return Error{ErrorCode::kTooLarge, "chat template of " + std::to_string(source.size()) +
                                           " bytes exceeds " +
                                           std::to_string(limits.source_bytes_max)};
  }
  if (const auto at = find_invalid_utf8(source)) {
    return Error{ErrorCode::kCorruptData,
                 "chat template: byte " + std::to_string(*at) + " is not UTF-8"};
  }
  auto program = std::make_unique<jinja::Program>();
  program->limits = limits;
  const std::vector<jinja::Token> tokens = TRY(jinja::tokenize(source));
  program->body = TRY(jinja::parse_tokens(tokens, limits.nesting_max));
  TRY(jinja::resolve_names(*program));
  return ChatTemplate(std::move(program));
}

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
  jinja::Sandbox sandbox(program_->limits, input.unix_seconds);
  Variables variables = TRY(make_variables(sandbox, input));
  sandbox.allow_for_input();
  return jinja::Interpreter(*program_, sandbox, std::move(variables)).run();
}

}  // namespace millrace
