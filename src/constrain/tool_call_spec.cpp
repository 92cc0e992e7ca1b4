// The wire formats of tool calls: Hermes and Qwen, Llama 3, Mistral.
#include "constrain/tool_call_spec.h"

#include <set>
#include <utility>

#include "base/json.h"

namespace millrace {
namespace {

using Spec = ConstraintSpec;

struct CallSyntax {
  std::string arguments_key;
  std::string open = {};  // the mark before the calls and the one behind each, where there are such
  std::string close = {};
};

CallSyntax syntax_of(ToolCallFormat format) {
  switch (format) {
    case ToolCallFormat::kHermes:
      return {.arguments_key = "arguments", .open = "<tool_call>", .close = "</tool_call>"};
    case ToolCallFormat::kLlama3:
      return {.arguments_key = "parameters"};
    case ToolCallFormat::kMistral:
      return {.arguments_key = "arguments", .open = "[TOOL_CALLS]"};
  }
  return {};
}

// What comes behind {"name": " of a call.
Spec call_after_quote(const std::vector<ToolFunction>& tools, const CallSyntax& syntax,
                      const JsonStyle& style) {
  std::vector<Spec> calls;
  for (const ToolFunction& tool : tools) {
    const std::string quoted = Json(tool.name).dump(-1, ' ', false, Json::error_handler_t::replace);
    calls.push_back(
        Spec::sequence({Spec::literal(quoted.substr(1) + ", \"" + syntax.arguments_key + "\": "),
                        tool.parameters.empty() ? Spec::json_object(style)
                                                : Spec::json_schema(tool.parameters, style),
                        Spec::literal("}")}));
  }
  return Spec::alternatives(std::move(calls));
}

constexpr const char* kCallStart = "{\"name\": \"";

Spec hermes_spec(Spec after_quote, const ToolCallOptions& options, const CallSyntax& syntax) {
  const Spec after_mark =
      Spec::sequence({Spec::literal("\n" + std::string(kCallStart)), std::move(after_quote),
                      Spec::literal("\n"), Spec::token(syntax.close)});
  if (options.need == ToolCallNeed::kMayCall && options.num_calls_max == Spec::kNoMax) {
    return Spec::free_text({{.text = syntax.open, .is_token = true, .parts = {after_mark}}},
                           Spec::AfterTrigger::kFreeText);
  }
  const Spec call = Spec::sequence({Spec::token(syntax.open), after_mark});
  std::uint32_t num_more = options.num_calls_max;
  if (num_more != Spec::kNoMax) --num_more;
  const Spec more = Spec::repeat(Spec::sequence({Spec::literal("\n"), call}), 0, num_more);
  if (options.need == ToolCallNeed::kMustCall) return Spec::sequence({call, more});
  return Spec::free_text(
      {{.text = syntax.open, .is_token = true, .parts = {Spec::sequence({after_mark, more})}}});
}

Spec llama3_spec(Spec after_quote, const ToolCallOptions& options) {
  std::uint32_t num_more = options.num_calls_max;
  if (num_more != Spec::kNoMax) --num_more;
  Spec calls = Spec::sequence(
      {after_quote,
       Spec::repeat(Spec::sequence({Spec::literal("; " + std::string(kCallStart)), after_quote}), 0,
                    num_more)});
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::sequence({Spec::literal(kCallStart), std::move(calls)});
  }
  return Spec::free_text({{.text = kCallStart, .parts = {std::move(calls)}}});
}

Spec mistral_spec(Spec after_quote, const ToolCallOptions& options, const CallSyntax& syntax) {
  std::uint32_t num_more = options.num_calls_max;
  if (num_more != Spec::kNoMax) --num_more;
  Spec list = Spec::sequence(
      {Spec::literal("[" + std::string(kCallStart)), after_quote,
       Spec::repeat(Spec::sequence({Spec::literal(", " + std::string(kCallStart)), after_quote}), 0,
                    num_more),
       Spec::literal("]")});
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::sequence({Spec::token(syntax.open), std::move(list)});
  }
  return Spec::free_text({{.text = syntax.open, .is_token = true, .parts = {std::move(list)}}});
}

}  // namespace

Result<ConstraintSpec> tool_call_spec(const std::vector<ToolFunction>& tools,
                                      const ToolCallOptions& options) {
  if (tools.empty()) return Error{ErrorCode::kInvalidArgument, "tools: expected one at least"};
  if (options.num_calls_max == 0) {
    return Error{ErrorCode::kInvalidArgument, "tools: the number of calls must not be 0"};
  }
  std::set<std::string> names;
  for (const ToolFunction& tool : tools) {
    if (tool.name.empty()) return Error{ErrorCode::kInvalidArgument, "tools: a name is empty"};
    if (!names.insert(tool.name).second) {
      return Error{ErrorCode::kInvalidArgument, "tools: '" + tool.name + "' is there twice"};
    }
  }
  const CallSyntax syntax = syntax_of(options.format);
  Spec after_quote = call_after_quote(tools, syntax, options.style);
  switch (options.format) {
    case ToolCallFormat::kHermes:
      return hermes_spec(std::move(after_quote), options, syntax);
    case ToolCallFormat::kLlama3:
      return llama3_spec(std::move(after_quote), options);
    case ToolCallFormat::kMistral:
      return mistral_spec(std::move(after_quote), options, syntax);
  }
  return Error{ErrorCode::kInvalidArgument, "tools: a format that is unknown"};
}

}  // namespace millrace
