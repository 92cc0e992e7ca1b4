// The two ways to write a call: a JSON object with a name and arguments, and tags.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace millrace {

struct ParsedCall {
  std::string name;
  std::string arguments;  // JSON
};

// What the beginning of a text, which is still coming, says about a call.
enum class CallStart {
  kNeedMore,   // it may yet be any of the others
  kNone,       // no call
  kName,       // the name and where the arguments begin are known
  kWholeOnly,  // perhaps one, which only the whole object can tell
};
struct CallHeader {
  CallStart start = CallStart::kNeedMore;
  std::string name = {};         // with kName
  std::size_t arguments_at = 0;  // with kName: the opening brace of the arguments
};

// Of {"name": "…", "arguments": {… or with "tool_name" and "parameters"; other members in front of
// those two may be plain texts. Decides within kHeaderBytesMax.
inline constexpr std::size_t kHeaderBytesMax = 4096;
CallHeader read_call_header(std::string_view text);

// Of {"name": {…}}, the only member of its object.
CallHeader read_named_header(std::string_view text);

// A whole object in any order of keys, also {"function": {"name", "arguments"}}; nothing when it
// is no call.
std::optional<ParsedCall> parse_call_object(std::string_view text);

// <function=name><parameter=key>value</parameter>…</function> at the front of the text;
// `num_bytes` is its length. Values are texts where the tool's schema says string, else JSON where
// they are JSON. Nothing when it is no call or is not all there.
std::optional<ParsedCall> parse_function_tags(std::string_view text, const OrderedJson& tools,
                                              std::size_t& num_bytes);

// name<arg_key>key</arg_key><arg_value>value</arg_value>… up to the text's end. With a suffix it
// ends every tag, and <tool_sep> the name.
std::optional<ParsedCall> parse_argument_tags(std::string_view text, const OrderedJson& tools,
                                              std::string_view suffix = {});

// The value of a parameter that is written as plain text: a text where the tool's schema says
// string, else JSON where it is JSON; of a parameter that the tool has also a literal of Python.
OrderedJson argument_value(std::string_view text, const OrderedJson& tools, std::string_view name,
                           std::string_view parameter);

// Letters, digits and any of _-.:/, of which it begins with none but _.
bool is_call_name(std::string_view name);

}  // namespace millrace
