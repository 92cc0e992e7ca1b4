// OpenAI's responses: items of input in the form of chat messages. Nothing is stored.
#include <utility>

#include "serve/api/chat_messages.h"
#include "serve/api/dialects.h"
#include "serve/api/generation_fields.h"
#include "serve/api/response_format.h"

namespace millrace {
namespace {

// Items become messages; an assistant's reasoning, text and calls become one message.
class Conversation {
 public:
  Status add(const FieldReader& item) {
    const std::optional<std::string> type = TRY(item.text("type", kNameBytesMax));
    if (!type || *type == "message") return add_message(item);
    if (*type == "function_call") return add_call(item);
    if (*type == "function_call_output") return add_result(item);
    if (*type == "reasoning") return add_reasoning(item);
    return unsupported(item.path_of("type"), "\"" + *type + "\" is");
  }

  void add_text(const char* role, std::string text) {
    messages_.push_back({{"role", role}, {"content", std::move(text)}});
  }

  OrderedJson take() && {
    fill_tool_names(messages_);
    return std::move(messages_);
  }

 private:
  Status add_message(const FieldReader& item) {
    std::string role = TRY(item.required_text("role", kNameBytesMax));
    if (role == "developer") role = "system";
    if (role != "system" && role != "user" && role != "assistant") {
      return unexpected(item.path_of("role"), role, "system, developer, user or assistant");
    }
    const OrderedJson* const content = item.find("content");
    if (content == nullptr) return missing(item.path_of("content"), "a string or parts");
    std::string text = TRY(text_content(*content, item.path_of("content"),
                                        {"input_text", "output_text", "text", "refusal"}));
    if (role == "assistant" && has_only_reasoning()) {
      messages_.back()["content"] = std::move(text);
    } else {
      add_text(role.c_str(), std::move(text));
    }
    return Ok{};
  }

  Status add_call(const FieldReader& item) {
    const std::string id = TRY(item.required_text("call_id", kCallIdBytesMax));
    const std::string name = TRY(item.required_text("name", kNameBytesMax));
    const std::string arguments = TRY(item.required_text("arguments", SIZE_MAX));
    if (messages_.empty() || messages_.back()["role"] != "assistant") add_text("assistant", "");
    messages_.back()["tool_calls"].push_back(tool_call_json(id, name, arguments));
    return Ok{};
  }

  Status add_result(const FieldReader& item) {
    const std::string id = TRY(item.required_text("call_id", kCallIdBytesMax));
    const OrderedJson* const output = item.find("output");
    if (output == nullptr) return missing(item.path_of("output"), "a string or parts");
    std::string text =
        TRY(text_content(*output, item.path_of("output"), {"input_text", "output_text", "text"}));
    messages_.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(text)}});
    return Ok{};
  }

  Status add_reasoning(const FieldReader& item) {
    std::string text;
    for (const char* const name : {"content", "summary"}) {
      const OrderedJson* const parts = item.find(name);
      if (parts == nullptr || !text.empty()) continue;
      text = TRY(text_content(*parts, item.path_of(name), {"reasoning_text", "summary_text"}));
    }
    if (text.empty()) return Ok{};
    if (!has_only_reasoning()) add_text("assistant", "");
    messages_.back()["reasoning_content"] = std::move(text);
    return Ok{};
  }

  // Whether the last message is an assistant's that has neither text nor calls yet.
  bool has_only_reasoning() const {
    if (messages_.empty()) return false;
    const OrderedJson& last = messages_.back();
    return last["role"] == "assistant" && last["content"] == "" && !last.contains("tool_calls");
  }

  OrderedJson messages_ = OrderedJson::array();
};

Result<OrderedJson> all_messages(const FieldReader& body, const ApiLimits& limits) {
  Conversation conversation;
  std::optional<std::string> instructions = TRY(body.text("instructions", SIZE_MAX));
  if (instructions) conversation.add_text("system", *std::move(instructions));
  const OrderedJson* const input = body.find("input");
  if (input == nullptr) return missing("input", "a string or an array of items");
  if (input->is_string()) {
    conversation.add_text("user", input->get<std::string>());
    return std::move(conversation).take();
  }
  TRY(body.array("input", limits.messages_max));
  if (input->empty()) return unexpected("input", *input, "at least one item");
  for (std::size_t i = 0; i < input->size(); ++i) {
    const FieldReader item = TRY(FieldReader::of((*input)[i], body.path_of("input", i)));
    TRY(conversation.add(item));
  }
  OrderedJson messages = std::move(conversation).take();
  if (messages.empty()) return unexpected("input", *input, "at least one message");
  return messages;
}

// {"type": "function", "name", "description", "parameters", "strict"} → the chat form.
Result<OrderedJson> all_tools(const FieldReader& body, const ApiLimits& limits) {
  const OrderedJson* const given = TRY(body.array("tools", limits.tools_max));
  if (given == nullptr || given->empty()) return OrderedJson(nullptr);
  OrderedJson tools = OrderedJson::array();
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string path = body.path_of("tools", i);
    const FieldReader tool = TRY(FieldReader::of((*given)[i], path));
    const std::string type = TRY(tool.required_text("type", kNameBytesMax));
    if (type != "function") return unsupported(tool.path_of("type"), "\"" + type + "\" is");
    OrderedJson function = (*given)[i];
    function.erase("type");
    OrderedJson checked = TRY(chat_tool(std::move(function), path));
    tools.push_back(std::move(checked));
  }
  TRY(check_tool_names(tools));
  return tools;
}

Status read_reasoning(const FieldReader& body, ChatPrompt& prompt) {
  const OrderedJson* const given = body.find("reasoning");
  if (given == nullptr) return Ok{};
  const FieldReader reasoning = TRY(FieldReader::of(*given, "reasoning"));
  TRY(reasoning.check_only({"effort", "summary", "generate_summary"}));
  const std::optional<std::string> effort = TRY(reasoning.text("effort", 64));
  if (!effort) return Ok{};
  const std::string checked = TRY(checked_effort(*effort, reasoning.path_of("effort")));
  set_reasoning_effort(checked, prompt.arguments);
  return Ok{};
}

Status read_text(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request,
                 ChatPrompt& prompt) {
  const OrderedJson* const given = body.find("text");
  if (given == nullptr) return Ok{};
  const FieldReader text = TRY(FieldReader::of(*given, "text"));
  TRY(text.check_only({"format", "verbosity"}));
  TRY(set_verbosity(text, prompt.arguments));
  const OrderedJson* const format = text.find("format");
  if (format == nullptr) return Ok{};
  const FieldReader reader = TRY(FieldReader::of(*format, text.path_of("format")));
  request.format = TRY(format_object(reader, limits));
  return Ok{};
}

Status read_logprobs(const FieldReader& body, SamplingParams& sampling) {
  constexpr const char* kLogprobs = "message.output_text.logprobs";
  const std::vector<std::string> include = TRY(body.texts("include", 32, kNameBytesMax));
  const std::optional<std::uint64_t> top = TRY(body.count("top_logprobs", 0, kTopLogprobsMax));
  if (top.value_or(0) > 0) sampling.top_logprobs = static_cast<std::uint32_t>(*top);
  for (std::size_t i = 0; i < include.size(); ++i) {
    // Of an item that never comes, or of nothing at all: no harm in being asked for it.
    if (include[i] == "reasoning.encrypted_content") continue;
    if (include[i] != kLogprobs) {
      return unsupported(body.path_of("include", i), "\"" + include[i] + "\" is");
    }
    sampling.top_logprobs = static_cast<std::uint32_t>(top.value_or(0));
  }
  return Ok{};
}

}  // namespace

Status read_responses(const FieldReader& body, const ApiLimits& limits,
                      GenerationRequest& request) {
  ChatPrompt prompt;
  prompt.messages = TRY(all_messages(body, limits));
  prompt.tools = TRY(all_tools(body, limits));
  request.tool_choice = TRY(tool_choice(body, prompt.tools, NamePlace::kAtTop));
  if (request.tool_choice.mode == ToolChoice::Mode::kNone) prompt.tools = nullptr;
  const std::optional<bool> parallel = TRY(body.flag("parallel_tool_calls"));
  request.calls_in_parallel = parallel.value_or(true);
  TRY(read_template_fields(body, prompt));
  TRY(read_reasoning(body, prompt));
  TRY(read_text(body, limits, request, prompt));
  request.prompt = std::move(prompt);
  TRY(read_logprobs(body, request.sampling));
  return read_max_tokens(body, {"max_output_tokens"}, limits, request);
}

}  // namespace millrace
