// The tables of formats.
#include "serve/output/answer_format.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "serve/output/nested_syntax.h"

namespace millrace {
namespace {

// From the chat templates of DeepSeek R1, Qwen 3, GLM, Kimi and others; Seed-OSS; MiniMax-M3;
// Ministral 3 and Magistral; Command R7B; Apertus; Gemma 4; Apriel; Solar Open.
constexpr ReasoningTags kReasoning[] = {
    {"seed", "<seed:think>", "</seed:think>"},
    {"minimax", "<mm:think>", "</mm:think>"},
    {"mistral", "[THINK]", "[/THINK]"},
    {"command", "<|START_THINKING|>", "<|END_THINKING|>"},
    {"apertus", "<|inner_prefix|>", "<|inner_suffix|>"},
    {"gemma", "<|channel>thought", "<channel|>", "<|channel>"},
    {"apriel", "Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"},
    {"solar", "<|think|>", "<|end|>", {}, "assistant", "<|begin|>"},
    {"hunyuan", "<think:opensource>", "</think:opensource>", {}, {}, {}, "</think{}>"},
    {"think", "<think>", "</think>"},
};

struct Row {
  ToolFormat format;
  std::string_view name;
  // All of these in its source make a template one of this format; the first row that fits wins.
  std::vector<std::string_view> hints;
  std::vector<std::string_view> marks;
  CallMarks calls;
};

// Formats whose calls have marks that nobody else's have.
std::vector<Row> rows_of_own_marks() {
  return {
      {ToolFormat::kMistral,
       "mistral",
       {"[TOOL_CALLS]"},
       {"[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"},
       {{"[TOOL_CALLS]"}, {}}},
      {ToolFormat::kKimi,
       "kimi",
       {"<|tool_call_begin|>", "<|tool_call_argument_begin|>"},
       {"<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>",
        "<|tool_call_end|>", "<|tool_calls_section_end|>"},
       {{"<|tool_calls_section_begin|>", "<|tool_call_begin|>"},
        {"<|tool_call_end|>", "<|tool_calls_section_end|>"}}},
      {ToolFormat::kDeepSeek,
       "deepseek",
       {"<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"},
       {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>"},
       {{"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
        {"```", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"}}},
      {ToolFormat::kSolar,
       "solar",
       {"<|tool_call:begin|>", "<|tool_call:args|>"},
       {"<|tool_calls|>", "<|tool_call:begin|>", "<|tool_call:name|>", "<|tool_call:args|>",
        "<|tool_call:end|>", "<|calls|>"},
       {{"<|tool_calls|>", "<|tool_call:begin|>"}, {"<|tool_call:end|>", "<|calls|>"}}},
      {ToolFormat::kCommand,
       "command",
       {"<|START_ACTION|>", "tool_name"},
       {"<|START_ACTION|>", "<|END_ACTION|>"},
       {{"<|START_ACTION|>"}, {"<|END_ACTION|>"}}},
      {ToolFormat::kApertus,
       "apertus",
       {"<|tools_prefix|>", "<|tools_suffix|>"},
       {"<|tools_prefix|>", "<|tools_suffix|>"},
       {{"<|tools_prefix|>"}, {"<|tools_suffix|>"}}},
      {ToolFormat::kGemma,
       "gemma",
       {"<|tool_call>call:", "<tool_call|>"},
       {"<|tool_call>", "<tool_call|>", "<|\"|>"},
       {{"<|tool_call>call:"}, {"<tool_call|>"}}},
  };
}

std::vector<Row> more_rows_of_own_marks() {
  return {
      {ToolFormat::kGigaChat,
       "gigachat",
       {"function call", "<|role_sep|>"},
       {"<|function_call|>", "<|role_sep|>", "<|message_sep|>"},
       {{"<|function_call|>", "function call<|role_sep|>"}, {"<|message_sep|>"}}},
      {ToolFormat::kNemotron,
       "nemotron",
       {"<TOOLCALL>", "</TOOLCALL>"},
       {"<TOOLCALL>", "</TOOLCALL>"},
       {{"<TOOLCALL>"}, {"</TOOLCALL>"}}},
      {ToolFormat::kFunctools, "functools", {"functools["}, {}, {{"functools["}, {}}},
      {ToolFormat::kDsml,
       "dsml",
       {"｜DSML｜", "invoke name="},
       {"｜DSML｜"},
       {{"<｜DSML｜function_calls>", "<｜DSML｜tool_calls>", "<｜DSML｜invoke name=\""},
        {"</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"}}},
      {ToolFormat::kAtem,
       "atem",
       {"<atem:function_calls>"},
       {},
       {{"<atem:function_calls>", "<atem:invoke name=\""}, {"</atem:function_calls>"}}},
      {ToolFormat::kMiniMax,
       "minimax",
       {"<minimax:tool_call>", "<invoke name="},
       {"<minimax:tool_call>", "</minimax:tool_call>"},
       {{"<minimax:tool_call>", "<invoke name=\""}, {"</minimax:tool_call>"}}},
      {ToolFormat::kMiniCpm,
       "minicpm",
       {"<function name=", "<param name="},
       {"<function", "</function>", "<param", "</param>", "<tool_sep>"},
       {{"<function name=\""}, {"<tool_sep>"}}},
      {ToolFormat::kLfm,
       "lfm",
       {"<|tool_list_start|>"},
       {"<|tool_call_start|>", "<|tool_call_end|>"},
       {{"<|tool_call_start|>"}, {"<|tool_call_end|>"}}},
      {ToolFormat::kLfm,
       "lfm",
       {"<|tool_call_start|>"},
       {"<|tool_call_start|>", "<|tool_call_end|>"},
       {{"<|tool_call_start|>"}, {"<|tool_call_end|>"}}},
      {ToolFormat::kPhi4,
       "phi4",
       {"<|tool_call|>"},
       {"<|tool_call|>", "<|/tool_call|>"},
       {{"<|tool_call|>"}, {"<|/tool_call|>"}}},
      {ToolFormat::kSeed,
       "seed",
       {"<seed:tool_call>", "<function="},
       {"<seed:tool_call>", "</seed:tool_call>"},
       {{"<seed:tool_call>"}, {"</seed:tool_call>"}}},
  };
}

// Formats whose templates put their marks together.
std::vector<Row> rows_of_joined_marks() {
  return {
      {ToolFormat::kMiniMaxM3,
       "minimax-m3",
       {kNestedMark, "<tool_call>", "<invoke name="},
       {kNestedMark},
       {{"]<]minimax[>[<tool_call>", "]<]minimax[>[<invoke name=\""},
        {"]<]minimax[>[</tool_call>"}}},
      {ToolFormat::kHunyuan,
       "hunyuan",
       {"<tool_sep{}>", "':opensource'"},
       {"<tool_calls:opensource>", "</tool_calls:opensource>", "<tool_call:opensource>",
        "</tool_call:opensource>", "<tool_sep:opensource>", "<arg_key:opensource>",
        "</arg_key:opensource>", "<arg_value:opensource>", "</arg_value:opensource>"},
       {{"<tool_calls:opensource>", "<tool_call:opensource>"},
        {"</tool_call:opensource>", "</tool_calls:opensource>"}}},
  };
}

// Formats that share marks with others, the more particular ones first.
std::vector<Row> rows_of_shared_marks() {
  return {
      {ToolFormat::kGlm,
       "glm",
       {"<tool_call>", "<arg_key>"},
       {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"},
       {{"<tool_call>"}, {"</tool_call>"}}},
      {ToolFormat::kQwen3Coder,
       "qwen3-coder",
       {"<tool_call>", "<function="},
       {"<tool_call>", "</tool_call>"},
       {{"<tool_call>"}, {"</tool_call>"}}},
      {ToolFormat::kHermes,
       "hermes",
       {"<tool_call>", "</tool_call>"},
       {"<tool_call>", "</tool_call>"},
       {{"<tool_call>"}, {"</tool_call>"}}},
      {ToolFormat::kToolCalls,
       "tool-calls",
       {"<tool_calls>", "</tool_calls>"},
       {"<tool_calls>", "</tool_calls>"},
       {{"<tool_calls>"}, {"</tool_calls>"}}},
      {ToolFormat::kFunctionTag,
       "function-tag",
       {"<function=", "</function>"},
       {},
       {{"<function="}, {"</function>"}}},
      {ToolFormat::kPythonic,
       "pythonic",
       {"[func_name1(params_name1=params_value1"},
       {"<|python_start|>", "<|python_end|>"},
       {{"<|python_start|>"}, {"<|python_end|>"}}},
      {ToolFormat::kPythonic,
       "pythonic",
       {"<|python_start|>"},
       {"<|python_start|>", "<|python_end|>"},
       {{"<|python_start|>"}, {"<|python_end|>"}}},
      {ToolFormat::kLlama3,
       "llama3",
       {"<|python_tag|>"},
       {"<|python_tag|>"},
       {{"<|python_tag|>"}, {";", "<|eom_id|>"}}},
      // Llama 3.2 has the words but not the tag.
      {ToolFormat::kLlama3,
       "llama3",
       {"{\"name\": function name, \"parameters\":"},
       {"<|python_tag|>"},
       {{"<|python_tag|>"}, {";", "<|eom_id|>"}}},
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = [] {
    std::vector<Row> all = rows_of_own_marks();
    for (Row& row : more_rows_of_own_marks()) all.push_back(std::move(row));
    for (Row& row : rows_of_joined_marks()) all.push_back(std::move(row));
    for (Row& row : rows_of_shared_marks()) all.push_back(std::move(row));
    return all;
  }();
  return kRows;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view without_white_end(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

AnswerFormat answer_format(std::string_view template_source) {
  AnswerFormat format;
  format.has_channels = contains(template_source, "<|channel|>") &&
                        contains(template_source, "<|message|>") &&
                        contains(template_source, "<|start|>");
  if (format.has_channels) return format;
  for (const ReasoningTags& tags : kReasoning) {
    const bool is_told = tags.hint.empty() ? contains(template_source, tags.open) &&
                                                 contains(template_source, tags.close)
                                           : contains(template_source, tags.hint);
    if (!is_told) continue;
    format.reasoning = tags;
    break;
  }
  for (const Row& row : rows()) {
    const bool fits = std::all_of(row.hints.begin(), row.hints.end(), [&](std::string_view hint) {
      return contains(template_source, hint);
    });
    if (!fits) continue;
    format.tools = row.format;
    break;
  }
  return format;
}

Result<ToolFormat> tool_format_named(std::string_view name) {
  std::string names = "none";
  if (name == names) return ToolFormat::kNone;
  for (const Row& row : rows()) {
    if (row.name == name) return row.format;
    if (!contains(names, row.name)) names += ", " + std::string(row.name);
  }
  return Error{ErrorCode::kInvalidArgument,
               "tool_parser is " + std::string(name) + ", expected one of " + names};
}

Result<std::optional<ReasoningTags>> reasoning_tags_named(std::string_view name) {
  std::string names = "none";
  if (name == names) return std::optional<ReasoningTags>();
  for (const ReasoningTags& tags : kReasoning) {
    if (tags.name == name) return std::optional<ReasoningTags>(tags);
    names += ", " + std::string(tags.name);
  }
  return Error{ErrorCode::kInvalidArgument,
               "reasoning_parser is " + std::string(name) + ", expected one of " + names};
}

std::string_view tool_format_name(ToolFormat format) {
  for (const Row& row : rows()) {
    if (row.format == format) return row.name;
  }
  return "none";
}

std::vector<std::string_view> tool_marks(ToolFormat format) {
  for (const Row& row : rows()) {
    if (row.format == format) return row.marks;
  }
  return {};
}

CallMarks call_marks(ToolFormat format) {
  for (const Row& row : rows()) {
    if (row.format == format) return row.calls;
  }
  return {};
}

ReasoningStart reasoning_start(const ReasoningTags& tags, std::string_view prompt) {
  const std::string_view end = without_white_end(prompt);
  if (ends_with(end, tags.open)) return ReasoningStart::kInside;
  if (ends_with(end, tags.close)) return ReasoningStart::kOver;
  return ReasoningStart::kUndecided;
}

}  // namespace millrace
