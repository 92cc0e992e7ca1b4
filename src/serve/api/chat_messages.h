// Messages, tools and tool choice of OpenAI's chat dialect, checked and in one form.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "serve/api/field_reader.h"
#include "serve/api/generation_request.h"
#include "serve/api/parse_request.h"

namespace millrace {

// Of tools' and types' names, and of the ids of calls; OpenAI's limit for names is 64.
inline constexpr std::size_t kNameBytesMax = 128;
inline constexpr std::size_t kCallIdBytesMax = 256;

// A string, or an array of text parts that are joined with line ends. Parts of other types are
// refused by their names. `text_types` are the types that are text in this dialect.
Result<std::string> text_content(const OrderedJson& value, const std::string& path,
                                 std::initializer_list<std::string_view> text_types);

// What ChatPrompt::messages promises. At least one message.
Result<OrderedJson> chat_messages(const FieldReader& body, const ApiLimits& limits);

// Gives results of tools that lack it the name of the tool that the call with their id was of: some
// templates show it, and only OpenAI's clients may say it.
void fill_tool_names(OrderedJson& messages);

// {"name": …, "description": …, "parameters": …} into OpenAI's chat form. The name is checked.
Result<OrderedJson> chat_tool(OrderedJson function, const std::string& path);

// The "tools" of a chat body: what ChatPrompt::tools promises; null when there are none.
Result<OrderedJson> chat_tools(const FieldReader& body, const ApiLimits& limits);

// The names of tools in that form.
std::vector<std::string> tool_names(const OrderedJson& tools);
// kInvalidArgument when two tools share a name.
Status check_tool_names(const OrderedJson& tools);

// The "tool_choice" of a chat body, or of a responses body, where names are not nested.
enum class NamePlace : std::uint8_t { kInFunction, kAtTop };
Result<ToolChoice> tool_choice(const FieldReader& body, const OrderedJson& tools, NamePlace place);

// kInvalidArgument when the choice names a tool that is not there, or needs one and there is none.
Status check_tool_choice(const ToolChoice& choice, const OrderedJson& tools);

// One element of an assistant's tool_calls. Absent arguments are those of an empty object.
OrderedJson tool_call_json(const std::string& id, const std::string& name,
                           const std::string& arguments);

}  // namespace millrace
