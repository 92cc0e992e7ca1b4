// Roles, contents and calls of a conversation.
#include "serve/api/chat_messages.h"

#include <algorithm>
#include <map>
#include <utility>

namespace millrace {
namespace {

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-.:/").find(c) != std::string_view::npos;
}

Status check_name(const std::string& name, const std::string& path) {
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_name_byte)) return Ok{};
  return unexpected(path, name, "letters, digits and any of _-.:/");
}

// One message's text; absent and null are the empty text where the role allows it.
Result<std::string> content_of(const FieldReader& message) {
  const OrderedJson* const content = message.find("content");
  if (content == nullptr) return std::string();
  return text_content(*content, message.path_of("content"), {"text", "refusal"});
}

Result<OrderedJson> tool_calls_of(const FieldReader& message, const ApiLimits& limits) {
  OrderedJson calls = OrderedJson::array();
  const OrderedJson* const given = TRY(message.array("tool_calls", limits.tools_max));
  for (std::size_t i = 0; given != nullptr && i < given->size(); ++i) {
    const std::string path = message.path_of("tool_calls", i);
    const FieldReader call = TRY(FieldReader::of((*given)[i], path));
    const std::optional<std::string> type = TRY(call.text("type", kNameBytesMax));
    if (type && *type != "function") {
      return unsupported(call.path_of("type"), "\"" + *type + "\" is");
    }
    const OrderedJson* const inner = call.find("function");
    if (inner == nullptr) return missing(call.path_of("function"), "an object");
    const FieldReader function = TRY(FieldReader::of(*inner, call.path_of("function")));
    const std::string id = TRY(call.required_text("id", kCallIdBytesMax));
    const std::string name = TRY(function.required_text("name", kNameBytesMax));
    TRY(check_name(name, function.path_of("name")));
    const OrderedJson* const arguments = function.find("arguments");
    if (arguments != nullptr && !arguments->is_string()) {
      return unexpected(function.path_of("arguments"), *arguments, "a string of JSON");
    }
    calls.push_back(
        tool_call_json(id, name, arguments == nullptr ? "{}" : arguments->get<std::string>()));
  }
  return calls;
}

Result<OrderedJson> assistant_message(const FieldReader& message, const ApiLimits& limits) {
  if (message.has("function_call")) {
    return unsupported(message.path_of("function_call"), "is");
  }
  if (message.has("audio")) return unsupported(message.path_of("audio"), "is");
  OrderedJson calls = TRY(tool_calls_of(message, limits));
  if (!message.has("content") && calls.empty() && !message.has("refusal")) {
    return missing(message.path_of("content"), "text where there are no tool_calls");
  }
  std::string content = TRY(content_of(message));
  if (!message.has("content")) {
    const std::optional<std::string> refusal = TRY(message.text("refusal", SIZE_MAX));
    content = refusal.value_or("");
  }
  OrderedJson result{{"role", "assistant"}, {"content", std::move(content)}};
  for (const char* const name : {"reasoning_content", "reasoning"}) {
    const std::optional<std::string> reasoning = TRY(message.text(name, SIZE_MAX));
    if (!reasoning) continue;
    result["reasoning_content"] = *reasoning;
    break;
  }
  if (!calls.empty()) result["tool_calls"] = std::move(calls);
  return result;
}

Result<OrderedJson> tool_message(const FieldReader& message) {
  const std::string id = TRY(message.required_text("tool_call_id", kCallIdBytesMax));
  std::string content = TRY(content_of(message));
  std::optional<std::string> name = TRY(message.text("name", kNameBytesMax));
  OrderedJson result{{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(content)}};
  if (name) result["name"] = *std::move(name);
  return result;
}

Result<OrderedJson> plain_message(const FieldReader& message, const char* role) {
  if (!message.has("content")) {
    return missing(message.path_of("content"), "a string or an array of parts");
  }
  std::string content = TRY(content_of(message));
  OrderedJson result{{"role", role}, {"content", std::move(content)}};
  std::optional<std::string> name = TRY(message.text("name", kNameBytesMax));
  if (name) result["name"] = *std::move(name);
  return result;
}

Result<OrderedJson> chat_message(const FieldReader& message, const ApiLimits& limits) {
  const std::string role = TRY(message.required_text("role", kNameBytesMax));
  if (role == "system" || role == "developer") return plain_message(message, "system");
  if (role == "user") return plain_message(message, "user");
  if (role == "assistant") return assistant_message(message, limits);
  if (role == "tool") return tool_message(message);
  if (role == "function") return unsupported(message.path_of("role"), "\"function\" is");
  return unexpected(message.path_of("role"), role, "system, developer, user, assistant or tool");
}

// {"type": "function", "function": {"name": …}}, or with the name at the top.
Result<std::string> chosen_name(const FieldReader& choice, NamePlace place) {
  const std::string type = TRY(choice.required_text("type", kNameBytesMax));
  if (type != "function") return unsupported(choice.path_of("type"), "\"" + type + "\" is");
  if (place == NamePlace::kAtTop) return choice.required_text("name", kNameBytesMax);
  const OrderedJson* const function = choice.find("function");
  if (function == nullptr) return missing(choice.path_of("function"), "an object with a name");
  const FieldReader reader = TRY(FieldReader::of(*function, choice.path_of("function")));
  return reader.required_text("name", kNameBytesMax);
}

Result<ToolChoice::Mode> mode_named(const std::string& name, const std::string& path) {
  if (name == "none") return ToolChoice::Mode::kNone;
  if (name == "auto") return ToolChoice::Mode::kAuto;
  if (name == "required") return ToolChoice::Mode::kRequired;
  return unexpected(path, name, "none, auto, required or an object");
}

Result<ToolChoice> allowed_tools(const FieldReader& choice, NamePlace place) {
  const OrderedJson* inner = choice.find("allowed_tools");
  if (place == NamePlace::kInFunction && inner == nullptr) {
    return missing(choice.path_of("allowed_tools"), "an object with mode and tools");
  }
  const FieldReader allowed = place == NamePlace::kAtTop
                                  ? choice
                                  : TRY(FieldReader::of(*inner, choice.path_of("allowed_tools")));
  const std::string mode = TRY(allowed.required_text("mode", kNameBytesMax));
  if (mode == "none") return unexpected(allowed.path_of("mode"), mode, "auto or required");
  ToolChoice result;
  result.mode = TRY(mode_named(mode, allowed.path_of("mode")));
  const OrderedJson* const tools = TRY(allowed.array("tools", ApiLimits{}.tools_max));
  if (tools == nullptr || tools->empty()) {
    return missing(allowed.path_of("tools"), "an array of at least one tool");
  }
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const FieldReader tool = TRY(FieldReader::of((*tools)[i], allowed.path_of("tools", i)));
    std::string name = TRY(chosen_name(tool, place));
    result.names.push_back(std::move(name));
  }
  return result;
}

}  // namespace

OrderedJson tool_call_json(const std::string& id, const std::string& name,
                           const std::string& arguments) {
  return {{"id", id},
          {"type", "function"},
          {"function", {{"name", name}, {"arguments", arguments.empty() ? "{}" : arguments}}}};
}

Result<std::string> text_content(const OrderedJson& value, const std::string& path,
                                 std::initializer_list<std::string_view> text_types) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return unexpected(path, value, "a string or an array of parts");
  std::string joined;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string part_path = path + "[" + std::to_string(i) + "]";
    const FieldReader part = TRY(FieldReader::of(value[i], part_path));
    const std::string type = TRY(part.required_text("type", kNameBytesMax));
    if (std::find(text_types.begin(), text_types.end(), type) == text_types.end()) {
      return unsupported(part.path_of("type"), "\"" + type + "\" is");
    }
    const std::string text =
        TRY(part.required_text(type == "refusal" ? "refusal" : "text", SIZE_MAX));
    if (i > 0) joined += '\n';
    joined += text;
  }
  return joined;
}

Result<OrderedJson> chat_messages(const FieldReader& body, const ApiLimits& limits) {
  const OrderedJson* const given = TRY(body.array("messages", limits.messages_max));
  if (given == nullptr) return missing("messages", "an array of messages");
  if (given->empty()) return unexpected("messages", *given, "at least one message");
  OrderedJson messages = OrderedJson::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const FieldReader message = TRY(FieldReader::of((*given)[i], body.path_of("messages", i)));
    OrderedJson checked = TRY(chat_message(message, limits));
    messages.push_back(std::move(checked));
  }
  fill_tool_names(messages);
  return messages;
}

void fill_tool_names(OrderedJson& messages) {
  std::map<std::string, std::string> names;
  for (OrderedJson& message : messages) {
    if (message.contains("tool_calls")) {
      for (const OrderedJson& call : message["tool_calls"]) {
        names[call["id"].get<std::string>()] = call["function"]["name"].get<std::string>();
      }
    }
    if (message["role"] != "tool" || message.contains("name")) continue;
    const auto found = names.find(message["tool_call_id"].get<std::string>());
    if (found != names.end()) message["name"] = found->second;
  }
}

Result<OrderedJson> chat_tool(OrderedJson function, const std::string& path) {
  const FieldReader reader = TRY(FieldReader::of(function, path));
  const std::string name = TRY(reader.required_text("name", kNameBytesMax));
  TRY(check_name(name, reader.path_of("name")));
  TRY(reader.text("description", SIZE_MAX));
  TRY(reader.flag("strict"));
  const OrderedJson* const parameters = reader.find("parameters");
  if (parameters != nullptr && !parameters->is_object()) {
    return unexpected(reader.path_of("parameters"), *parameters, "a JSON schema");
  }
  return OrderedJson{{"type", "function"}, {"function", std::move(function)}};
}

Result<OrderedJson> chat_tools(const FieldReader& body, const ApiLimits& limits) {
  const OrderedJson* const given = TRY(body.array("tools", limits.tools_max));
  if (given == nullptr || given->empty()) return OrderedJson(nullptr);
  OrderedJson tools = OrderedJson::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const FieldReader tool = TRY(FieldReader::of((*given)[i], body.path_of("tools", i)));
    const std::string type = TRY(tool.required_text("type", kNameBytesMax));
    if (type != "function") return unsupported(tool.path_of("type"), "\"" + type + "\" is");
    const OrderedJson* const function = tool.find("function");
    if (function == nullptr) return missing(tool.path_of("function"), "an object");
    OrderedJson checked = TRY(chat_tool(*function, tool.path_of("function")));
    tools.push_back(std::move(checked));
  }
  TRY(check_tool_names(tools));
  return tools;
}

std::vector<std::string> tool_names(const OrderedJson& tools) {
  std::vector<std::string> names;
  for (const OrderedJson& tool : tools) {
    names.push_back(tool["function"]["name"].get<std::string>());
  }
  return names;
}

Status check_tool_names(const OrderedJson& tools) {
  std::vector<std::string> names = tool_names(tools);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "tools has two of the name " + *twice};
}

Result<ToolChoice> tool_choice(const FieldReader& body, const OrderedJson& tools, NamePlace place) {
  ToolChoice choice;
  const OrderedJson* const given = body.find("tool_choice");
  if (given == nullptr) {
    choice.mode = tools.is_null() ? ToolChoice::Mode::kNone : ToolChoice::Mode::kAuto;
  } else if (given->is_string()) {
    choice.mode = TRY(mode_named(given->get<std::string>(), "tool_choice"));
  } else {
    const FieldReader reader = TRY(FieldReader::of(*given, "tool_choice"));
    const std::string type = TRY(reader.required_text("type", kNameBytesMax));
    if (type == "allowed_tools") {
      choice = TRY(allowed_tools(reader, place));
    } else {
      std::string name = TRY(chosen_name(reader, place));
      choice = {.mode = ToolChoice::Mode::kRequired, .names = {std::move(name)}};
    }
  }
  if (tools.is_null() && choice.mode == ToolChoice::Mode::kAuto) {
    choice.mode = ToolChoice::Mode::kNone;
  }
  TRY(check_tool_choice(choice, tools));
  return choice;
}

Status check_tool_choice(const ToolChoice& choice, const OrderedJson& tools) {
  if (choice.mode == ToolChoice::Mode::kNone) return Ok{};
  if (tools.is_null()) {
    return Error{ErrorCode::kInvalidArgument, "tool_choice asks for a call and tools has none"};
  }
  const std::vector<std::string> names = tool_names(tools);
  for (const std::string& name : choice.names) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return Error{ErrorCode::kInvalidArgument,
                 "tool_choice names " + name + ", which is not among tools"};
  }
  return Ok{};
}

}  // namespace millrace
