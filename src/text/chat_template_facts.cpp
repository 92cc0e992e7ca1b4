// What a template does, found by rendering conversations that hold words which nothing else holds.
#include <initializer_list>
#include <string_view>

#include "text/chat_template.h"

namespace millrace {
namespace {

constexpr std::string_view kWord = "quetzalcoatl";
constexpr std::string_view kKey = "xylophone";

OrderedJson message(const char* role, OrderedJson content) {
  return OrderedJson{{"role", role}, {"content", std::move(content)}};
}

OrderedJson text_parts(std::string_view text) {
  return OrderedJson::array({OrderedJson{{"type", "text"}, {"text", text}}});
}

// Nine letters and digits, since some templates insist on that.
constexpr const char* kCallId = "call00001";

OrderedJson tool_call_message(OrderedJson arguments) {
  OrderedJson function{{"name", kWord}, {"arguments", std::move(arguments)}};
  OrderedJson call{{"id", kCallId}, {"type", "function"}, {"function", std::move(function)}};
  OrderedJson assistant = message("assistant", "");
  assistant["tool_calls"] = OrderedJson::array({std::move(call)});
  return assistant;
}

OrderedJson tool_result_message() {
  OrderedJson result = message("tool", kWord);
  result["tool_call_id"] = kCallId;
  result["name"] = "probe";
  return result;
}

OrderedJson one_tool() {
  OrderedJson parameters{{"type", "object"}, {"properties", OrderedJson::object()}};
  OrderedJson function{
      {"name", kWord}, {"description", "Probes."}, {"parameters", std::move(parameters)}};
  return OrderedJson::array({OrderedJson{{"type", "function"}, {"function", std::move(function)}}});
}

// What messages render as; nothing where they do not.
std::string shown(const ChatTemplate& chat_template, OrderedJson messages,
                  OrderedJson tools = nullptr) {
  ChatTemplateInput input;
  input.messages = std::move(messages);
  input.tools = std::move(tools);
  input.bos_token = "";
  input.eos_token = "";
  Result<std::string> text = chat_template.render(input);
  return text.ok() ? std::move(text).value() : std::string();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

ChatTemplateFacts ChatTemplate::facts() const {
  ChatTemplateFacts facts;
  const bool takes_text = has(shown(*this, {message("user", kWord)}), kWord);
  const bool takes_parts = has(shown(*this, {message("user", text_parts(kWord))}), kWord);
  facts.needs_content_parts = !takes_text && takes_parts;
  const auto say = [&](std::string_view text) {
    return facts.needs_content_parts ? text_parts(text) : OrderedJson(text);
  };
  const OrderedJson user = message("user", say("Hello"));

  facts.shows_system_message =
      has(shown(*this, OrderedJson::array({message("system", say(kWord)), user})), kWord);
  facts.shows_tools = has(shown(*this, OrderedJson::array({user}), one_tool()), kWord);

  const OrderedJson arguments{{kKey, "probe"}};
  const std::string with_object =
      shown(*this, OrderedJson::array({user, tool_call_message(arguments)}));
  const std::string with_text =
      shown(*this, OrderedJson::array({user, tool_call_message(arguments.dump())}));
  facts.shows_tool_calls = has(with_object, kWord) || has(with_text, kWord);
  // Text that is quoted once more, or has braces around its own, is not what the model learnt.
  const bool takes_argument_text = has(with_text, kKey) &&
                                   !has(with_text, "\\\"" + std::string(kKey)) &&
                                   !has(with_text, "{" + arguments.dump());
  facts.needs_argument_objects = has(with_object, kKey) && !takes_argument_text;

  const OrderedJson call =
      tool_call_message(facts.needs_argument_objects ? OrderedJson::object() : OrderedJson("{}"));
  OrderedJson before = call;
  before["tool_calls"][0]["function"]["name"] = "probe";
  facts.shows_tool_results =
      has(shown(*this, OrderedJson::array({user, before, tool_result_message()})), kWord);
  return facts;
}

}  // namespace millrace
