// How a model marks its thoughts and its calls of tools: facts about formats, and which of them a
// chat template speaks of.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

// What stands before and after a model's thoughts.
struct ReasoningTags {
  std::string_view name;  // of the setting
  std::string_view open;
  std::string_view close;
  // Where the opening tag is more than a special token: that token.
  std::string_view open_token = {};
  // What stands between thoughts and content besides special tokens, and is neither.
  std::string_view skipped = {};
  std::string_view skipped_token = {};  // the special token before `skipped`
  // What templates mention that put their tags together; absent: the tags.
  std::string_view hint = {};
};

enum class ToolFormat : std::uint8_t {
  kNone,        // none that we know: calls stay content
  kHermes,      // <tool_call>{"name": …, "arguments": …}</tool_call>: Hermes, Qwen 2.5 and 3
  kLlama3,      // {"name": …, "parameters": …}, also after <|python_tag|>
  kMistral,     // [TOOL_CALLS][{"name": …, "arguments": …}] or [TOOL_CALLS]name[ARGS]{…}
  kQwen3Coder,  // <tool_call><function=name><parameter=key>value</parameter></function></tool_call>
  kSeed,        // the same in <seed:tool_call>
  kGlm,         // <tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>
  kFunctionTag,  // <function=name>{…}</function>
  kDeepSeek,  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}<｜tool▁call▁end｜>
  kKimi,   // <|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}<|tool_call_end|>
  kSolar,  // <|tool_call:begin|>id<|tool_call:name|>name<|tool_call:args|>{…}<|tool_call:end|>
  // JSON objects, or a list of them, behind a mark.
  kToolCalls,  // <tool_calls>[{"name": …, "arguments": …}]</tool_calls>: MiniMax M1, Apriel,
               // Hunyuan
  kNemotron,   // <TOOLCALL>[…]</TOOLCALL>
  kPhi4,       // <|tool_call|>[…]<|/tool_call|>: Phi 4, Granite 3
  kCommand,    // <|START_ACTION|>[{"tool_name": …, "parameters": …}]<|END_ACTION|>: Command R
  kGigaChat,   // <|function_call|>{…}
  kFunctools,  // functools[…]: Firefunction
  kApertus,    // <|tools_prefix|>[{name: {…}}]<|tools_suffix|>
  // Python's calls: [name(key='value')]
  kLfm,       // <|tool_call_start|>[…]<|tool_call_end|>
  kPythonic,  // without a mark: Llama 4, Llama 3.2 where its template says so
  // <invoke name="name"><parameter name="key">value</parameter></invoke>, each in a block
  kDsml,     // <｜DSML｜function_calls>: DeepSeek V3.2; <｜DSML｜tool_calls>: V4
  kAtem,     // <atem:function_calls>: Muse
  kMiniMax,  // <minimax:tool_call>: MiniMax M2
  kMiniCpm,  // <function name="name"><param name="key">value</param></function>
  // As kGlm, all tags with a suffix: <tool_call:opensource>name<tool_sep:opensource>…
  kHunyuan,
  kMiniMaxM3,  // <invoke name="name"><key>value</key></invoke>, a mark before every tag
  kGemma,      // <|tool_call>call:name{key:<|"|>value<|"|>}<tool_call|>: Gemma 4
};

struct AnswerFormat {
  std::optional<ReasoningTags> reasoning;
  ToolFormat tools = ToolFormat::kNone;
  // Thoughts, text and calls are messages of their own: gpt-oss, see channel_parser.h. What
  // `reasoning` and `tools` say is then of no use.
  bool has_channels = false;
};

// What stands around a format's calls. The first opening mark may be a block's, which holds
// several.
struct CallMarks {
  std::vector<std::string_view> opens;
  std::vector<std::string_view> closes;
};
CallMarks call_marks(ToolFormat format);

// By what the template's source mentions.
AnswerFormat answer_format(std::string_view template_source);

// For settings that say otherwise: "hermes", "llama3", …, "none"; "think", …, "none".
// kInvalidArgument naming all that there are.
Result<ToolFormat> tool_format_named(std::string_view name);
Result<std::optional<ReasoningTags>> reasoning_tags_named(std::string_view name);
std::string_view tool_format_name(ToolFormat format);

// The marks of a format that begin or divide calls. Where they are special tokens of a vocabulary
// they must not be skipped with the others.
std::vector<std::string_view> tool_marks(ToolFormat format);

// Where a model is when its answer begins.
enum class ReasoningStart : std::uint8_t {
  kUndecided,  // it may begin to think with the opening tag
  kInside,     // the prompt's end has opened the tag for it
  kOver,       // the prompt's end has closed it: there will be none
};
ReasoningStart reasoning_start(const ReasoningTags& tags, std::string_view prompt);

}  // namespace millrace
