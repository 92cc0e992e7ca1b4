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

// kInvalidArgument without a tool, with two of one name or with a name that is empty.
Result<ConstraintSpec> tool_call_spec(const std::vector<ToolFunction>& tools,
                                      const ToolCallOptions& options);

}  // namespace millrace
