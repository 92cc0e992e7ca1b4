// The wire formats of tool calls.
#include "constrain/tool_call_spec.h"

#include <set>
#include <utility>

#include "base/json.h"
#include "constrain/tagged_arguments.h"

namespace millrace {
namespace {

using Spec = ConstraintSpec;

constexpr const char* kCallStart = "{\"name\": \"";

std::uint32_t num_more_max(const ToolCallOptions& options) {
  return options.num_calls_max == Spec::kNoMax ? Spec::kNoMax : options.num_calls_max - 1;
}

Spec arguments_of(const ToolFunction& tool, const JsonStyle& style) {
  return tool.parameters.empty() ? Spec::json_object(style)
                                 : Spec::json_schema(tool.parameters, style);
}

// What comes behind {"name": " of a call.
Spec call_after_quote(const std::vector<ToolFunction>& tools, const std::string& arguments_key,
                      const JsonStyle& style) {
  std::vector<Spec> calls;
  for (const ToolFunction& tool : tools) {
    const std::string quoted = Json(tool.name).dump(-1, ' ', false, Json::error_handler_t::replace);
    calls.push_back(
        Spec::sequence({Spec::literal(quoted.substr(1) + ", \"" + arguments_key + "\": "),
                        arguments_of(tool, style), Spec::literal("}")}));
  }
  return Spec::alternatives(std::move(calls));
}

// Calls of which each has marks of its own.
struct MarkedCalls {
  std::string open;
  Spec after_open;  // up to the mark that closes the call, and with it
  std::string between = "\n";
};

Spec marked_calls(MarkedCalls calls, const ToolCallOptions& options) {
  if (options.need == ToolCallNeed::kMayCall && options.num_calls_max == Spec::kNoMax) {
    return Spec::free_text(
        {{.text = calls.open, .is_token = true, .parts = {std::move(calls.after_open)}}},
        Spec::AfterTrigger::kFreeText);
  }
  const Spec call = Spec::sequence({Spec::token(calls.open), calls.after_open});
  const Spec more =
      Spec::repeat(Spec::sequence({Spec::literal(calls.between), call}), 0, num_more_max(options));
  if (options.need == ToolCallNeed::kMustCall) return Spec::sequence({call, more});
  return Spec::free_text({{.text = calls.open,
                           .is_token = true,
                           .parts = {Spec::sequence({std::move(calls.after_open), more})}}});
}

Spec hermes_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  return marked_calls(
      {.open = "<tool_call>",
       .after_open = Spec::sequence({Spec::literal("\n" + std::string(kCallStart)),
                                     call_after_quote(tools, "arguments", options.style),
                                     Spec::literal("\n"), Spec::token("</tool_call>")})},
      options);
}

Spec llama3_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const Spec after_quote = call_after_quote(tools, "parameters", options.style);
  Spec calls = Spec::sequence(
      {after_quote,
       Spec::repeat(Spec::sequence({Spec::literal("; " + std::string(kCallStart)), after_quote}), 0,
                    num_more_max(options))});
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::sequence({Spec::literal(kCallStart), std::move(calls)});
  }
  return Spec::free_text({{.text = kCallStart, .parts = {std::move(calls)}}});
}

// One mark, then everything else.
Spec section(const std::string& open, Spec inside, const ToolCallOptions& options) {
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::sequence({Spec::token(open), std::move(inside)});
  }
  return Spec::free_text({{.text = open, .is_token = true, .parts = {std::move(inside)}}});
}

// Marks around a list of objects.
struct ListMarks {
  std::string open;
  std::string close;
};

ListMarks list_marks(ToolCallFormat format) {
  switch (format) {
    case ToolCallFormat::kToolCalls:
      return {"<tool_calls>", "</tool_calls>"};
    case ToolCallFormat::kNemotron:
      return {"<TOOLCALL>", "</TOOLCALL>"};
    case ToolCallFormat::kPhi4:
      return {"<|tool_call|>", "<|/tool_call|>"};
    case ToolCallFormat::kFunctools:
      return {"functools", ""};
    default:
      return {"[TOOL_CALLS]", ""};
  }
}

Spec listed_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const ListMarks marks = list_marks(options.format);
  const Spec after_quote = call_after_quote(tools, "arguments", options.style);
  Spec list = Spec::sequence(
      {Spec::literal("[" + std::string(kCallStart)), after_quote,
       Spec::repeat(Spec::sequence({Spec::literal(", " + std::string(kCallStart)), after_quote}), 0,
                    num_more_max(options)),
       Spec::literal("]"), Spec::token(marks.close)});
  return section(marks.open, std::move(list), options);
}

Result<Spec> invoked_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const bool is_atem = options.format == ToolCallFormat::kAtem;
  const std::string prefix = is_atem ? "atem:" : "";
  const std::string block = is_atem ? "atem:function_calls>" : "minimax:tool_call>";
  const std::string value_end = "</" + prefix + "parameter>";
  const TagStyle tags{Spec::literal("<" + prefix + "parameter name=\""), Spec::literal("\">"),
                      Spec::literal(value_end + "\n"), value_end};
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    Spec arguments = TRY(tagged_arguments(tool, tags, options.style));
    choices.push_back(Spec::sequence({Spec::literal(tool.name + "\">\n"), std::move(arguments)}));
  }
  const Spec call = Spec::sequence({Spec::literal("<" + prefix + "invoke name=\""),
                                    Spec::alternatives(std::move(choices)),
                                    Spec::literal("</" + prefix + "invoke>\n")});
  Spec inside =
      Spec::sequence({Spec::literal("\n"), call, Spec::repeat(call, 0, num_more_max(options)),
                      Spec::token("</" + block)});
  return section("<" + block, std::move(inside), options);
}

Spec deepseek_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    const Spec arguments = arguments_of(tool, options.style);
    choices.push_back(Spec::sequence({Spec::literal("function"), Spec::token("<｜tool▁sep｜>"),
                                      Spec::literal(tool.name + "\n```json\n"), arguments,
                                      Spec::literal("\n```")}));
    choices.push_back(
        Spec::sequence({Spec::literal(tool.name), Spec::token("<｜tool▁sep｜>"), arguments}));
  }
  const Spec call =
      Spec::sequence({Spec::token("<｜tool▁call▁begin｜>"), Spec::alternatives(std::move(choices)),
                      Spec::token("<｜tool▁call▁end｜>")});
  const Spec gap = Spec::repeat(Spec::literal("\n"), 0, 1);
  Spec inside =
      Spec::sequence({call, Spec::repeat(Spec::sequence({gap, call}), 0, num_more_max(options)),
                      Spec::token("<｜tool▁calls▁end｜>")});
  return section("<｜tool▁calls▁begin｜>", std::move(inside), options);
}

Spec kimi_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    choices.push_back(Spec::sequence(
        {Spec::literal("functions." + tool.name + ":"), Spec::regex("0|[1-9][0-9]{0,2}"),
         Spec::token("<|tool_call_argument_begin|>"), arguments_of(tool, options.style)}));
  }
  const Spec call =
      Spec::sequence({Spec::token("<|tool_call_begin|>"), Spec::alternatives(std::move(choices)),
                      Spec::token("<|tool_call_end|>")});
  Spec inside = Spec::sequence({call, Spec::repeat(call, 0, num_more_max(options)),
                                Spec::token("<|tool_calls_section_end|>")});
  return section("<|tool_calls_section_begin|>", std::move(inside), options);
}

Spec function_tag_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    choices.push_back(
        Spec::sequence({Spec::literal(tool.name + ">"), arguments_of(tool, options.style),
                        Spec::literal("</function>")}));
  }
  return marked_calls({.open = "<function=", .after_open = Spec::alternatives(std::move(choices))},
                      options);
}

// Formats that write arguments one by one: marks of a call, and what stands around a name.
struct TaggedFormat {
  std::string open;
  std::string close;
  std::string name_open;
  std::string name_close;
  std::string end;  // behind the arguments
  TagStyle tags;
};

TaggedFormat tagged_format(ToolCallFormat format) {
  if (format == ToolCallFormat::kGlm) {
    return {.open = "<tool_call>",
            .close = "</tool_call>",
            .name_open = "",
            .name_close = "\n",
            .end = "",
            .tags = {Spec::token("<arg_key>"),
                     Spec::sequence({Spec::token("</arg_key>"), Spec::literal("\n"),
                                     Spec::token("<arg_value>")}),
                     Spec::sequence({Spec::token("</arg_value>"), Spec::literal("\n")}),
                     "</arg_value>"}};
  }
  const bool is_seed = format == ToolCallFormat::kSeed;
  const std::string line_end = is_seed ? "" : "\n";  // on each side of a value
  return {.open = is_seed ? "<seed:tool_call>" : "<tool_call>",
          .close = is_seed ? "</seed:tool_call>" : "</tool_call>",
          .name_open = "\n<function=",
          .name_close = ">\n",
          .end = "</function>\n",
          .tags = {Spec::literal("<parameter="), Spec::literal(">" + line_end),
                   Spec::literal(line_end + "</parameter>\n"), "</parameter>"}};
}

// Tags that a vocabulary has as special tokens are written as those.
Result<Spec> tagged_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const TaggedFormat format = tagged_format(options.format);
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    Spec arguments = TRY(tagged_arguments(tool, format.tags, options.style));
    choices.push_back(
        Spec::sequence({Spec::literal(format.name_open + tool.name + format.name_close),
                        std::move(arguments), Spec::literal(format.end)}));
  }
  return marked_calls({.open = format.open,
                       .after_open = Spec::sequence(
                           {Spec::alternatives(std::move(choices)), Spec::token(format.close)})},
                      options);
}

Status check(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
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
  return Ok{};
}

}  // namespace

Result<ConstraintSpec> tool_call_spec(const std::vector<ToolFunction>& tools,
                                      const ToolCallOptions& options) {
  TRY(check(tools, options));
  switch (options.format) {
    case ToolCallFormat::kHermes:
      return hermes_calls(tools, options);
    case ToolCallFormat::kLlama3:
      return llama3_calls(tools, options);
    case ToolCallFormat::kMistral:
    case ToolCallFormat::kToolCalls:
    case ToolCallFormat::kNemotron:
    case ToolCallFormat::kPhi4:
    case ToolCallFormat::kFunctools:
      return listed_calls(tools, options);
    case ToolCallFormat::kMiniMax:
    case ToolCallFormat::kAtem:
      return invoked_calls(tools, options);
    case ToolCallFormat::kQwen3Coder:
    case ToolCallFormat::kSeed:
    case ToolCallFormat::kGlm:
      return tagged_calls(tools, options);
    case ToolCallFormat::kFunctionTag:
      return function_tag_calls(tools, options);
    case ToolCallFormat::kDeepSeek:
      return deepseek_calls(tools, options);
    case ToolCallFormat::kKimi:
      return kimi_calls(tools, options);
  }
  return Error{ErrorCode::kInvalidArgument, "tools: a format that is unknown"};
}

}  // namespace millrace
