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

std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What comes behind {"name": " of a call.
Spec call_after_quote(const std::vector<ToolFunction>& tools, const std::string& arguments_key,
                      const JsonStyle& style) {
  std::vector<Spec> calls;
  for (const ToolFunction& tool : tools) {
    calls.push_back(Spec::sequence(
        {Spec::literal(quoted(tool.name).substr(1) + ", \"" + arguments_key + "\": "),
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

// As Mistral's later models write them, each with the mark: name[ARGS]{…}, perhaps with an id.
Spec named_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const Spec id = Spec::sequence({Spec::token("[CALL_ID]"), Spec::regex("[A-Za-z0-9]{9}")});
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    choices.push_back(Spec::sequence({Spec::literal(tool.name), Spec::repeat(id, 0, 1),
                                      Spec::token("[ARGS]"), arguments_of(tool, options.style)}));
  }
  const Spec call = Spec::alternatives(std::move(choices));
  return Spec::sequence({call, Spec::repeat(Spec::sequence({Spec::token("[TOOL_CALLS]"), call}), 0,
                                            num_more_max(options))});
}

Spec listed_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const ListMarks marks = list_marks(options.format);
  const Spec after_quote = call_after_quote(tools, "arguments", options.style);
  Spec list = Spec::sequence(
      {Spec::literal("[" + std::string(kCallStart)), after_quote,
       Spec::repeat(Spec::sequence({Spec::literal(", " + std::string(kCallStart)), after_quote}), 0,
                    num_more_max(options)),
       Spec::literal("]")});
  std::vector<Spec> forms = {std::move(list)};
  if (options.format == ToolCallFormat::kToolCalls) {
    // Each on a line, as MiniMax M1 has it.
    const Spec line = Spec::sequence({Spec::literal("\n" + std::string(kCallStart)), after_quote});
    forms.push_back(
        Spec::sequence({line, Spec::repeat(line, 0, num_more_max(options)), Spec::literal("\n")}));
  }
  if (options.format == ToolCallFormat::kMistral) {
    forms.push_back(named_calls(tools, options));
  }
  return section(marks.open,
                 Spec::sequence({Spec::alternatives(std::move(forms)), Spec::token(marks.close)}),
                 options);
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
  Spec name_close;
  std::string end;  // behind the arguments
  TagStyle tags;
};

TaggedFormat tagged_format(ToolCallFormat format) {
  if (format == ToolCallFormat::kGlm) {
    const Spec line_end = Spec::repeat(Spec::literal("\n"), 0, 1);  // Laguna has none.
    return {
        .open = "<tool_call>",
        .close = "</tool_call>",
        .name_open = "",
        .name_close = line_end,
        .end = "",
        .tags = {Spec::token("<arg_key>"),
                 Spec::sequence({Spec::token("</arg_key>"), line_end, Spec::token("<arg_value>")}),
                 Spec::sequence({Spec::token("</arg_value>"), line_end}), "</arg_value>"}};
  }
  const bool is_seed = format == ToolCallFormat::kSeed;
  const std::string line_end = is_seed ? "" : "\n";  // on each side of a value
  return {.open = is_seed ? "<seed:tool_call>" : "<tool_call>",
          .close = is_seed ? "</seed:tool_call>" : "</tool_call>",
          .name_open = "\n<function=",
          .name_close = Spec::literal(">\n"),
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
        Spec::sequence({Spec::literal(format.name_open + tool.name), format.name_close,
                        std::move(arguments), Spec::literal(format.end)}));
  }
  return marked_calls({.open = format.open,
                       .after_open = Spec::sequence(
                           {Spec::alternatives(std::move(choices)), Spec::token(format.close)})},
                      options);
}

// <｜DSML｜invoke name="…">, the mark being a token.
Result<Spec> dsml_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const std::string mark = "｜DSML｜";
  const auto tag = [&](const std::string& before, const std::string& behind) {
    return Spec::sequence({Spec::literal(before), Spec::token(mark), Spec::literal(behind)});
  };
  const TagStyle tags{tag("<", "parameter name=\""), Spec::literal("\" string=\"false\">"),
                      tag("</", "parameter>\n"), "</" + mark + "parameter>",
                      Spec::literal("\" string=\"true\">")};
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    Spec arguments = TRY(tagged_arguments(tool, tags, options.style));
    choices.push_back(Spec::sequence({Spec::literal(tool.name + "\">\n"), std::move(arguments)}));
  }
  const Spec call = Spec::sequence(
      {tag("<", "invoke name=\""), Spec::alternatives(std::move(choices)), tag("</", "invoke>\n")});
  std::vector<Spec> blocks;  // of V3.2 and of V4
  for (const char* const name : {"function_calls>", "tool_calls>"}) {
    blocks.push_back(
        Spec::sequence({Spec::literal(name + std::string("\n")), call,
                        Spec::repeat(call, 0, num_more_max(options)), tag("</", name)}));
  }
  Spec block = Spec::alternatives(std::move(blocks));
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::sequence({Spec::literal("<"), Spec::token(mark), std::move(block)});
  }
  return Spec::free_text({{.text = mark, .is_token = true, .parts = {std::move(block)}}});
}

Result<Spec> hunyuan_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const auto tag = [](const char* name) { return std::string(name) + ":opensource>"; };
  const Spec line = Spec::literal("\n");
  const TagStyle tags{
      Spec::token(tag("<arg_key")),
      Spec::sequence({Spec::token(tag("</arg_key")), line, Spec::token(tag("<arg_value"))}),
      Spec::sequence({Spec::token(tag("</arg_value")), line}), tag("</arg_value")};
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    Spec arguments = TRY(tagged_arguments(tool, tags, options.style));
    choices.push_back(Spec::sequence(
        {Spec::literal(tool.name), Spec::token(tag("<tool_sep")), line, std::move(arguments)}));
  }
  const Spec call =
      Spec::sequence({Spec::token(tag("<tool_call")), Spec::alternatives(std::move(choices)),
                      Spec::token(tag("</tool_call")), line});
  Spec inside = Spec::sequence(
      {line, call, Spec::repeat(call, 0, num_more_max(options)), Spec::token(tag("</tool_calls"))});
  return section(tag("<tool_calls"), std::move(inside), options);
}

Result<Spec> minicpm_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const TagStyle tags{Spec::sequence({Spec::token("<param"), Spec::literal(" name=\"")}),
                      Spec::literal("\">"), Spec::token("</param>"), "</param>"};
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    Spec arguments = TRY(tagged_arguments(tool, tags, options.style));
    choices.push_back(Spec::sequence({Spec::literal(tool.name + "\">"), std::move(arguments)}));
  }
  return marked_calls({.open = "<function",
                       .after_open = Spec::sequence({Spec::literal(" name=\""),
                                                     Spec::alternatives(std::move(choices)),
                                                     Spec::token("</function>")})},
                      options);
}

Spec solar_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    choices.push_back(Spec::sequence({Spec::literal(tool.name), Spec::token("<|tool_call:args|>"),
                                      arguments_of(tool, options.style)}));
  }
  const Spec call =
      Spec::sequence({Spec::token("<|tool_call:begin|>"), Spec::regex("[a-z0-9]{10}"),
                      Spec::token("<|tool_call:name|>"), Spec::alternatives(std::move(choices)),
                      Spec::token("<|tool_call:end|>")});
  // Its last mark ends the text for some vocabularies, so it is none that has to be written.
  Spec inside = Spec::sequence({call, Spec::repeat(call, 0, num_more_max(options)),
                                Spec::repeat(Spec::token("<|calls|>"), 0, 1)});
  return section("<|tool_calls|>", std::move(inside), options);
}

// A list in which each call has a number.
Spec command_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const std::string head = "    {\"tool_call_id\": \"";
  const std::string key = "\", \"tool_name\": \"";
  const Spec call =
      Spec::sequence({Spec::literal(head), Spec::regex("0|[1-9][0-9]{0,2}"), Spec::literal(key),
                      call_after_quote(tools, "parameters", options.style)});
  Spec inside = Spec::sequence(
      {Spec::literal("[\n"), call,
       Spec::repeat(Spec::sequence({Spec::literal(",\n"), call}), 0, num_more_max(options)),
       Spec::literal("\n]"), Spec::token("<|END_ACTION|>")});
  return section("<|START_ACTION|>", std::move(inside), options);
}

// The name is the only key of a call's object.
Spec apertus_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  std::vector<Spec> choices;
  for (const ToolFunction& tool : tools) {
    choices.push_back(Spec::sequence({Spec::literal("{" + quoted(tool.name) + ": "),
                                      arguments_of(tool, options.style), Spec::literal("}")}));
  }
  const Spec call = Spec::alternatives(std::move(choices));
  Spec inside = Spec::sequence(
      {Spec::literal("["), call,
       Spec::repeat(Spec::sequence({Spec::literal(", "), call}), 0, num_more_max(options)),
       Spec::literal("]"), Spec::token("<|tools_suffix|>")});
  return section("<|tools_prefix|>", std::move(inside), options);
}

// One call, with a mark (GigaChat 3.1) or as a message of its own (GigaChat 3).
Spec gigachat_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  const Spec call = Spec::sequence(
      {Spec::literal(kCallStart), call_after_quote(tools, "arguments", options.style)});
  const Spec header = Spec::sequence({Spec::token("<|role_sep|>"), Spec::literal("\n"), call});
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::alternatives({Spec::sequence({Spec::token("<|function_call|>"), call}),
                               Spec::sequence({Spec::literal("function call"), header})});
  }
  return Spec::free_text({{.text = "<|function_call|>", .is_token = true, .parts = {call}},
                          {.text = "function call", .parts = {header}}});
}

// The name and, in brackets, its arguments.
std::vector<Spec> literal_calls(const std::vector<ToolFunction>& tools, const JsonStyle& style) {
  std::vector<Spec> calls;
  for (const ToolFunction& tool : tools) {
    calls.push_back(Spec::sequence({Spec::literal(tool.name), arguments_of(tool, style)}));
  }
  return calls;
}

Spec python_calls(const std::vector<ToolFunction>& tools, const ToolCallOptions& options) {
  JsonStyle style = options.style;
  style.notation = JsonNotation::kPython;
  // As models have seen Python, unless there is to be no white space at all.
  if (style.whitespace == JsonWhitespace::kFlexible) style.whitespace = JsonWhitespace::kSpaced;
  const Spec call = Spec::alternatives(literal_calls(tools, style));
  const Spec more = Spec::sequence(
      {Spec::repeat(Spec::sequence({Spec::literal(", "), call}), 0, num_more_max(options)),
       Spec::literal("]")});
  const Spec list = Spec::sequence({Spec::literal("["), call, more});
  if (options.format == ToolCallFormat::kLfm) {
    return section("<|tool_call_start|>", Spec::sequence({list, Spec::token("<|tool_call_end|>")}),
                   options);
  }
  const Spec marked = Spec::sequence({list, Spec::token("<|python_end|>")});
  if (options.need == ToolCallNeed::kMustCall) {
    return Spec::alternatives({Spec::sequence({Spec::token("<|python_start|>"), marked}), list});
  }
  std::vector<Spec::Trigger> triggers = {
      {.text = "<|python_start|>", .is_token = true, .parts = {marked}}};
  for (const ToolFunction& tool : tools) {
    triggers.push_back(
        {.text = "[" + tool.name, .parts = {Spec::sequence({arguments_of(tool, style), more})}});
  }
  return Spec::free_text(std::move(triggers));
}

// Arguments sorted by name, as its template shows them.
Spec gemma_calls(std::vector<ToolFunction> tools, const ToolCallOptions& options) {
  JsonStyle style = options.style;
  style.notation = JsonNotation::kGemma;
  style.whitespace = JsonWhitespace::kNone;
  for (ToolFunction& tool : tools) {
    const Result<Json> sorted = parse_json(tool.parameters, "parameters");
    if (!sorted.ok()) continue;  // Which compiling it says.
    tool.parameters = sorted.value().dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return marked_calls({.open = "<|tool_call>",
                       .after_open = Spec::sequence(
                           {Spec::literal("call:"), Spec::alternatives(literal_calls(tools, style)),
                            Spec::token("<tool_call|>")}),
                       .between = ""},
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
    case ToolCallFormat::kDsml:
      return dsml_calls(tools, options);
    case ToolCallFormat::kHunyuan:
      return hunyuan_calls(tools, options);
    case ToolCallFormat::kMiniCpm:
      return minicpm_calls(tools, options);
    case ToolCallFormat::kSolar:
      return solar_calls(tools, options);
    case ToolCallFormat::kCommand:
      return command_calls(tools, options);
    case ToolCallFormat::kApertus:
      return apertus_calls(tools, options);
    case ToolCallFormat::kGigaChat:
      return gigachat_calls(tools, options);
    case ToolCallFormat::kLfm:
    case ToolCallFormat::kPythonic:
      return python_calls(tools, options);
    case ToolCallFormat::kGemma:
      return gemma_calls(tools, options);
  }
  return Error{ErrorCode::kInvalidArgument, "tools: a format that is unknown"};
}

}  // namespace millrace
