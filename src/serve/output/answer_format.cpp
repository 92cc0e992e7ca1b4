// The tables of formats.
#include "serve/output/answer_format.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace millrace {
namespace {

// From the chat templates of DeepSeek R1, Qwen 3, GLM, Kimi and others; Seed-OSS; MiniMax-M3;
// Ministral 3 and Magistral.
constexpr ReasoningTags kReasoning[] = {
    {"seed", "<seed:think>", "</seed:think>"},
    {"minimax", "<mm:think>", "</mm:think>"},
    {"mistral", "[THINK]", "[/THINK]"},
    {"think", "<think>", "</think>"},
};

struct Row {
  ToolFormat format;
  std::string_view name;
  // All of these in its source make a template one of this format; the first row that fits wins.
  std::vector<std::string_view> hints;
  std::vector<std::string_view> marks;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows{
      // MiniMax puts other things between the same marks.
      {ToolFormat::kNone, "none", {"<tool_call>", "<invoke name="}, {}},
      {ToolFormat::kMistral, "mistral", {"[TOOL_CALLS]"}, {"[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"}},
      {ToolFormat::kKimi,
       "kimi",
       {"<|tool_call_begin|>", "<|tool_call_argument_begin|>"},
       {"<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>",
        "<|tool_call_end|>", "<|tool_calls_section_end|>"}},
      {ToolFormat::kDeepSeek,
       "deepseek",
       {"<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"},
       {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>"}},
      {ToolFormat::kSeed,
       "seed",
       {"<seed:tool_call>", "<function="},
       {"<seed:tool_call>", "</seed:tool_call>"}},
      {ToolFormat::kGlm,
       "glm",
       {"<tool_call>", "<arg_key>"},
       {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"}},
      {ToolFormat::kQwen3Coder,
       "qwen3-coder",
       {"<tool_call>", "<function="},
       {"<tool_call>", "</tool_call>"}},
      {ToolFormat::kHermes,
       "hermes",
       {"<tool_call>", "</tool_call>"},
       {"<tool_call>", "</tool_call>"}},
      {ToolFormat::kFunctionTag, "function-tag", {"<function=", "</function>"}, {}},
      {ToolFormat::kLlama3, "llama3", {"<|python_tag|>"}, {"<|python_tag|>"}},
      // Llama 3.2 has the words but not the tag.
      {ToolFormat::kLlama3,
       "llama3",
       {"{\"name\": function name, \"parameters\":"},
       {"<|python_tag|>"}},
  };
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
  for (const ReasoningTags& tags : kReasoning) {
    if (!contains(template_source, tags.open) || !contains(template_source, tags.close)) continue;
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

ReasoningStart reasoning_start(const ReasoningTags& tags, std::string_view prompt) {
  const std::string_view end = without_white_end(prompt);
  if (ends_with(end, tags.open)) return ReasoningStart::kInside;
  if (ends_with(end, tags.close)) return ReasoningStart::kOver;
  return ReasoningStart::kUndecided;
}

}  // namespace millrace
