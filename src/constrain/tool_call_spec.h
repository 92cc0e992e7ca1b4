// Specs for answers that call tools, in the formats that models were trained on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "constrain/constraint_spec.h"

namespace millrace {

enum class ToolCallFormat : std::uint8_t {
  kHermes,   // <tool_call>\n{"name": …, "arguments": …}\n</tool_call>, also Qwen 2.5 and 3
  kLlama3,   // {"name": …, "parameters": …}
  kMistral,  // [TOOL_CALLS][{"name": …, "arguments": …}, …]
  // <tool_call>\n<function=…>\n<parameter=…>\n…\n</parameter>\n</function>\n</tool_call>
  kQwen3Coder,
  kSeed,  // the same in <seed:tool_call>, values beside their tags
  // <tool_call>…\n<arg_key>…</arg_key>\n<arg_value>…</arg_value>\n</tool_call>
  kGlm,
  kFunctionTag,  // <function=…>{…}</function>
  kDeepSeek,     // a section of calls: a name, then JSON, fenced as V3 and R1 do or plain as V3.1
  kKimi,         // a section of calls: functions.…:0, then JSON
  // Lists [{"name": …, "arguments": …}, …] between marks.
  kToolCalls,  // <tool_calls>…</tool_calls>
  kNemotron,   // <TOOLCALL>…</TOOLCALL>
  kPhi4,       // <|tool_call|>…<|/tool_call|>
  kFunctools,  // functools…
  // Blocks of <invoke name="…">, each with <parameter name="…">…</parameter>.
  kMiniMax,   // <minimax:tool_call>
  kAtem,      // <atem:function_calls>, and its prefix before the other names
  kDsml,      // <｜DSML｜function_calls> or <｜DSML｜tool_calls>, a mark before every name
  kHunyuan,   // as kGlm in a section, tags with a suffix: <tool_calls:opensource>
  kMiniCpm,   // <function name="…"><param name="…">…</param></function>
  kSolar,     // a section of calls: an id, a name, then JSON
  kCommand,   // <|START_ACTION|>[{"tool_call_id": "0", "tool_name": …, "parameters": …}]
  kApertus,   // <|tools_prefix|>[{"…": {…}}]<|tools_suffix|>
  kGigaChat,  // <|function_call|>{"name": …, "arguments": …}, one call
  // Calls as Python writes them: [name(key="value")].
  kLfm,       // <|tool_call_start|>…<|tool_call_end|>
  kPythonic,  // without marks
  kGemma,     // <|tool_call>call:name{key:value}<tool_call|>
};

struct ToolFunction {
  std::string name;
  std::string parameters;  // a JSON Schema; empty: any object
};

enum class ToolCallNeed : std::uint8_t {
  kMayCall,   // text, and calls where the model writes the opening mark
  kMustCall,  // nothing but calls, at least one
};

struct ToolCallOptions {
  ToolCallFormat format = ToolCallFormat::kHermes;
  ToolCallNeed need = ToolCallNeed::kMayCall;
  std::uint32_t num_calls_max = ConstraintSpec::kNoMax;  // 1 where calls may not be parallel
  JsonStyle style = {};
};

// kInvalidArgument without a tool, with two of one name or with a name that is empty. Where a
// format writes arguments one by one in tags (kQwen3Coder, kSeed, kGlm, kMiniMax, kAtem, kDsml,
// kMiniCpm) they come in the order of the schema's properties, and kUnsupported names what such a
// form has no place for. Names of arguments that stand without quotes (kLfm, kPythonic, kGemma) are
// words.
Result<ConstraintSpec> tool_call_spec(const std::vector<ToolFunction>& tools,
                                      const ToolCallOptions& options);

}  // namespace millrace
