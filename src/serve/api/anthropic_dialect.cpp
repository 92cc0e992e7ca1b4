// Anthropic's messages, in the form of OpenAI's chat.
#include <utility>

#include "serve/api/chat_messages.h"
#include "serve/api/dialects.h"
#include "serve/api/generation_fields.h"
#include "serve/api/response_format.h"

namespace millrace {
namespace {

// What one message's blocks come to.
struct Blocks {
  std::string text;
  std::string thinking;
  OrderedJson calls = OrderedJson::array();
  OrderedJson results = OrderedJson::array();  // messages of role "tool"
};

void append_line(std::string& text, const std::string& more) {
  if (!text.empty()) text += '\n';
  text += more;
}

Status read_tool_use(const FieldReader& block, Blocks& blocks) {
  const std::string id = TRY(block.required_text("id", kCallIdBytesMax));
  const std::string name = TRY(block.required_text("name", kNameBytesMax));
  const OrderedJson* const input = block.find("input");
  if (input != nullptr && !input->is_object()) {
    return unexpected(block.path_of("input"), *input, "an object");
  }
  blocks.calls.push_back(tool_call_json(
      id, name,
      input == nullptr ? "{}"
                       : input->dump(-1, ' ', false, OrderedJson::error_handler_t::replace)));
  return Ok{};
}

Status read_tool_result(const FieldReader& block, Blocks& blocks) {
  const std::string id = TRY(block.required_text("tool_use_id", kCallIdBytesMax));
  const OrderedJson* const content = block.find("content");
  TRY(block.flag("is_error"));  // The content says so in words; templates have no place for it.
  std::string text;
  if (content != nullptr) text = TRY(text_content(*content, block.path_of("content"), {"text"}));
  blocks.results.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(text)}});
  return Ok{};
}

Status read_block(const FieldReader& block, const std::string& role, Blocks& blocks) {
  const std::string type = TRY(block.required_text("type", kNameBytesMax));
  if (type == "text") {
    const std::string text = TRY(block.required_text("text", SIZE_MAX));
    append_line(blocks.text, text);
    return Ok{};
  }
  if (role == "user" && type == "tool_result") return read_tool_result(block, blocks);
  if (role == "assistant" && type == "tool_use") return read_tool_use(block, blocks);
  if (role == "assistant" && type == "thinking") {
    const std::string thinking = TRY(block.required_text("thinking", SIZE_MAX));
    append_line(blocks.thinking, thinking);
    return Ok{};
  }
  if (role == "assistant" && type == "redacted_thinking") return Ok{};  // Nobody can read it.
  return unsupported(block.path_of("type"), "\"" + type + "\" in a message of " + role + " is");
}

void append_message(const std::string& role, Blocks blocks, OrderedJson& messages) {
  if (role == "user") {
    const bool has_results = !blocks.results.empty();
    for (OrderedJson& result : blocks.results) messages.push_back(std::move(result));
    if (!has_results || !blocks.text.empty()) {
      messages.push_back({{"role", "user"}, {"content", std::move(blocks.text)}});
    }
    return;
  }
  OrderedJson message{{"role", "assistant"}, {"content", std::move(blocks.text)}};
  if (!blocks.thinking.empty()) message["reasoning_content"] = std::move(blocks.thinking);
  if (!blocks.calls.empty()) message["tool_calls"] = std::move(blocks.calls);
  messages.push_back(std::move(message));
}

Status read_message(const FieldReader& message, const ApiLimits& limits, OrderedJson& messages) {
  const std::string role = TRY(message.required_text("role", kNameBytesMax));
  if (role != "user" && role != "assistant") {
    return unexpected(message.path_of("role"), role, "user or assistant");
  }
  const OrderedJson* const content = message.find("content");
  if (content == nullptr) return missing(message.path_of("content"), "a string or blocks");
  Blocks blocks;
  if (content->is_string()) {
    blocks.text = content->get<std::string>();
    append_message(role, std::move(blocks), messages);
    return Ok{};
  }
  TRY(message.array("content", limits.messages_max));
  for (std::size_t i = 0; i < content->size(); ++i) {
    const FieldReader block = TRY(FieldReader::of((*content)[i], message.path_of("content", i)));
    TRY(read_block(block, role, blocks));
  }
  append_message(role, std::move(blocks), messages);
  return Ok{};
}

Result<OrderedJson> all_messages(const FieldReader& body, const ApiLimits& limits) {
  OrderedJson messages = OrderedJson::array();
  if (const OrderedJson* const system = body.find("system"); system != nullptr) {
    std::string text = TRY(text_content(*system, "system", {"text"}));
    if (!text.empty()) messages.push_back({{"role", "system"}, {"content", std::move(text)}});
  }
  const OrderedJson* const given = TRY(body.array("messages", limits.messages_max));
  if (given == nullptr) return missing("messages", "an array of messages");
  if (given->empty()) return unexpected("messages", *given, "at least one message");
  for (std::size_t i = 0; i < given->size(); ++i) {
    const FieldReader message = TRY(FieldReader::of((*given)[i], body.path_of("messages", i)));
    TRY(read_message(message, limits, messages));
  }
  fill_tool_names(messages);
  return messages;
}

// {"name", "description", "input_schema"} → the chat form.
Result<OrderedJson> all_tools(const FieldReader& body, const ApiLimits& limits) {
  const OrderedJson* const given = TRY(body.array("tools", limits.tools_max));
  if (given == nullptr || given->empty()) return OrderedJson(nullptr);
  OrderedJson tools = OrderedJson::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string path = body.path_of("tools", i);
    const FieldReader tool = TRY(FieldReader::of((*given)[i], path));
    const std::optional<std::string> type = TRY(tool.text("type", kNameBytesMax));
    if (type && *type != "custom") return unsupported(tool.path_of("type"), "\"" + *type + "\" is");
    OrderedJson function = OrderedJson::object();
    for (const auto& [from, to] : {std::pair{"name", "name"},
                                   {"description", "description"},
                                   {"input_schema", "parameters"}}) {
      if (const OrderedJson* const value = tool.find(from); value != nullptr) function[to] = *value;
    }
    OrderedJson checked = TRY(chat_tool(std::move(function), path));
    tools.push_back(std::move(checked));
  }
  TRY(check_tool_names(tools));
  return tools;
}

Status read_choice(const FieldReader& body, const OrderedJson& tools, GenerationRequest& request) {
  ToolChoice& choice = request.tool_choice;
  choice.mode = tools.is_null() ? ToolChoice::Mode::kNone : ToolChoice::Mode::kAuto;
  const OrderedJson* const given = body.find("tool_choice");
  if (given == nullptr) return Ok{};
  const FieldReader reader = TRY(FieldReader::of(*given, "tool_choice"));
  const std::string type = TRY(reader.required_text("type", kNameBytesMax));
  const std::optional<bool> one_at_a_time = TRY(reader.flag("disable_parallel_tool_use"));
  request.calls_in_parallel = !one_at_a_time.value_or(false);
  if (type == "none") {
    choice.mode = ToolChoice::Mode::kNone;
  } else if (type == "any") {
    choice.mode = ToolChoice::Mode::kRequired;
  } else if (type == "tool") {
    std::string name = TRY(reader.required_text("name", kNameBytesMax));
    choice = {.mode = ToolChoice::Mode::kRequired, .names = {std::move(name)}};
  } else if (type != "auto") {
    return unexpected("tool_choice.type", type, "auto, any, tool or none");
  }
  return check_tool_choice(choice, tools);
}

// A budget is the client's wish; templates have no place for it and it is not enforced.
Status read_thinking(const FieldReader& body, GenerationRequest& request, ChatPrompt& prompt) {
  const OrderedJson* const given = body.find("thinking");
  if (given == nullptr) return Ok{};
  const FieldReader reader = TRY(FieldReader::of(*given, "thinking"));
  const std::string type = TRY(reader.required_text("type", kNameBytesMax));
  if (type == "enabled") {
    TRY(reader.count("budget_tokens", 1, ApiLimits{}.max_tokens_max));
    set_thinking(Thinking::kOn, prompt.arguments);
  } else if (type == "disabled") {
    set_thinking(Thinking::kOff, prompt.arguments);
    request.reasoning = ReasoningOutput::kOmitted;
  } else if (type != "adaptive") {
    return unexpected("thinking.type", type, "enabled, disabled or adaptive");
  }
  return Ok{};
}

Status read_output_config(const FieldReader& body, const ApiLimits& limits,
                          GenerationRequest& request, ChatPrompt& prompt) {
  // What output_config.format was called before.
  if (const OrderedJson* const format = body.find("output_format"); format != nullptr) {
    const FieldReader reader = TRY(FieldReader::of(*format, "output_format"));
    request.format = TRY(format_object(reader, limits));
  }
  const OrderedJson* const given = body.find("output_config");
  if (given == nullptr) return Ok{};
  const FieldReader config = TRY(FieldReader::of(*given, "output_config"));
  TRY(config.check_only({"format", "effort"}));
  if (const OrderedJson* const format = config.find("format"); format != nullptr) {
    const FieldReader reader = TRY(FieldReader::of(*format, config.path_of("format")));
    request.format = TRY(format_object(reader, limits));
  }
  const std::optional<std::string> effort = TRY(config.text("effort", 64));
  if (effort) {
    const std::string checked = TRY(checked_effort(*effort, config.path_of("effort")));
    set_reasoning_effort(checked, prompt.arguments);
  }
  return Ok{};
}

}  // namespace

Status read_anthropic(const FieldReader& body, const ApiLimits& limits,
                      GenerationRequest& request) {
  ChatPrompt prompt;
  prompt.messages = TRY(all_messages(body, limits));
  prompt.tools = TRY(all_tools(body, limits));
  TRY(read_choice(body, prompt.tools, request));
  if (request.tool_choice.mode == ToolChoice::Mode::kNone) prompt.tools = nullptr;
  TRY(read_template_fields(body, prompt));
  // A last message of the assistant's is the beginning of the answer.
  if (prompt.messages.back()["role"] == "assistant") {
    prompt.continues_final_message = true;
    prompt.generation_prompt = GenerationPrompt::kOff;
  }
  TRY(read_thinking(body, request, prompt));
  TRY(read_output_config(body, limits, request, prompt));
  request.prompt = std::move(prompt);
  TRY(read_max_tokens(body, {"max_tokens"}, limits, request));
  TRY(read_stops(body, "stop_sequences", limits, request));
  return Ok{};
}

}  // namespace millrace
