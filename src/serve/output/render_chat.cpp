// Messages in the shape of the template, and the end of a message that goes on.
#include "serve/output/render_chat.h"

#include <utility>

#include "base/json.h"
#include "serve/output/mark_search.h"
#include "serve/output/plain_marks.h"

namespace millrace {
namespace {

// The text of a call's arguments as an object, which is what most templates write again.
Status make_arguments_objects(OrderedJson& message, std::size_t index) {
  if (!message.contains("tool_calls")) return Ok{};
  OrderedJson& calls = message["tool_calls"];
  for (std::size_t i = 0; i < calls.size(); ++i) {
    OrderedJson& arguments = calls[i]["function"]["arguments"];
    if (!arguments.is_string()) continue;
    const std::string path = "messages[" + std::to_string(index) + "].tool_calls[" +
                             std::to_string(i) + "].function.arguments";
    Result<OrderedJson> parsed = parse_ordered_json(arguments.get_ref<const std::string&>(), path);
    if (!parsed.ok() || !parsed.value().is_object()) {
      return Error{ErrorCode::kInvalidArgument, path + " is not the JSON of an object"};
    }
    arguments = std::move(parsed).value();
  }
  return Ok{};
}

// Templates have different names for what clients call reasoning_content. Those of gpt-oss refuse
// thoughts beside text and calls.
void name_thoughts(OrderedJson& message) {
  const auto found = message.find("reasoning_content");
  if (found == message.end()) return;
  const OrderedJson thoughts = *found;
  if (!message.contains("reasoning")) message["reasoning"] = thoughts;
  const bool has_all = message.contains("tool_calls") && message["content"] != "";
  if (!message.contains("thinking") && !has_all) message["thinking"] = thoughts;
}

Result<OrderedJson> shaped(const ChatPrompt& prompt, const ChatTemplateFacts& facts) {
  OrderedJson messages = prompt.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    OrderedJson& message = messages[i];
    name_thoughts(message);
    if (facts.needs_argument_objects) TRY(make_arguments_objects(message, i));
    if (!facts.needs_content_parts || !message["content"].is_string()) continue;
    OrderedJson text{{"type", "text"}, {"text", message["content"]}};
    message["content"] = OrderedJson::array({std::move(text)});
  }
  return messages;
}

// As transformers does it: everything behind the last message's last words goes.
Result<std::string> cut_behind(std::string text, std::string content) {
  content.erase(content.size() - num_white_back(content));
  const std::size_t at = content.empty() ? std::string::npos : text.rfind(content);
  if (at == std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "messages end with a message to continue, which the model's template does not "
                 "show as it is"};
  }
  text.erase(at + content.size());
  return text;
}

}  // namespace

Result<RenderedChat> render_chat(const ChatTemplate& chat_template, const ChatTemplateFacts& facts,
                                 const ChatPrompt& prompt, const ChatRendering& rendering) {
  ChatTemplateInput input;
  input.messages = TRY(shaped(prompt, facts));
  input.tools = prompt.tools;
  input.documents = prompt.documents;
  input.arguments = prompt.arguments;
  input.generation_prompt = prompt.generation_prompt;
  input.bos_token = rendering.bos_token;
  input.eos_token = rendering.eos_token;
  input.unix_seconds = rendering.unix_seconds;
  RenderedChat chat;
  if (rendering.tokenizer != nullptr) {
    chat.plain_mark = TRY(mark_plain_text(*rendering.tokenizer, rendering.kept, input));
  }
  chat.text = TRY(chat_template.render(input));
  if (!prompt.continues_final_message) return chat;
  const OrderedJson& content = input.messages.back()["content"];
  const OrderedJson& words = content.is_array() ? content[0]["text"] : content;
  chat.text = TRY(cut_behind(std::move(chat.text), words.get<std::string>()));
  return chat;
}

}  // namespace millrace
