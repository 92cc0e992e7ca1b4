// Calls in tags with a name attribute: <invoke name="…"><parameter name="…">value</parameter>…
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "serve/output/answer_format.h"
#include "serve/output/call_syntax.h"

namespace millrace {

struct InvokeTags {
  std::string_view call;       // "invoke", with a prefix in some formats
  std::string_view parameter;  // "parameter" or "param"
};
// Of the formats that have such tags.
InvokeTags invoke_tags(ToolFormat format);

// One call at the front of a text that begins behind `<invoke name="`; `num_bytes` is its length.
// A parameter's string="true" or "false" says whether its value is a text or JSON; else the tool's
// schema does. Nothing when it is no call or is not all there.
std::optional<ParsedCall> parse_invoke(std::string_view text, const InvokeTags& tags,
                                       const OrderedJson& tools, std::size_t& num_bytes);

}  // namespace millrace
