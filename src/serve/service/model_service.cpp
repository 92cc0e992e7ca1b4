// Conversations and texts to ids.
#include "serve/service/model_service.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace millrace {
namespace {

constexpr std::string_view kPlainTemplate =
    "{{ bos_token if bos_token is defined else '' }}"
    "{% for message in messages %}{{ message.content }}"
    "{% if not loop.last %}\n\n{% endif %}{% endfor %}";

void keep_last(std::size_t num_kept, std::vector<TokenId>& ids) {
  if (num_kept >= ids.size()) return;
  ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(num_kept));
}

}  // namespace

Result<std::shared_ptr<const ModelService>> ModelService::create(std::string name, ModelFacts facts,
                                                                 std::int64_t unix_seconds) {
  const std::string source = facts.chat_template.value_or(std::string(kPlainTemplate));
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) {
    return with_context(std::move(parsed).error(), "chat template of model " + name);
  }
  std::shared_ptr<ModelService> service(
      new ModelService(std::move(name), std::move(facts), std::move(parsed).value(), unix_seconds));
  service->template_source_ = source;
  return std::shared_ptr<const ModelService>(std::move(service));
}

ModelService::ModelService(std::string name, ModelFacts facts, ChatTemplate chat_template,
                           std::int64_t when)
    : name_(std::move(name)),
      facts_(std::move(facts)),
      loaded_at_(when),
      template_(std::move(chat_template)),
      template_facts_(facts_.chat_template ? template_.facts() : ChatTemplateFacts{}) {}

// The forms in which the template reads content and arguments.
OrderedJson ModelService::fitted_messages(const OrderedJson& messages) const {
  OrderedJson fitted = messages;
  for (OrderedJson& message : fitted) {
    if (template_facts_.needs_content_parts && message.contains("content") &&
        message["content"].is_string()) {
      OrderedJson part = {{"type", "text"}, {"text", message["content"]}};
      message["content"] = OrderedJson::array({std::move(part)});
    }
    if (!template_facts_.needs_argument_objects || !message.contains("tool_calls")) continue;
    for (OrderedJson& call : message["tool_calls"]) {
      OrderedJson& arguments = call["function"]["arguments"];
      if (!arguments.is_string()) continue;
      Result<OrderedJson> parsed =
          parse_ordered_json(arguments.get_ref<const std::string&>(), "arguments");
      if (parsed.ok()) arguments = std::move(parsed).value();
    }
  }
  return fitted;
}

Result<std::string> ModelService::render(const ChatPrompt& prompt) const {
  ChatTemplateInput input;
  input.messages = fitted_messages(prompt.messages);
  input.tools = prompt.tools;
  input.documents = prompt.documents;
  input.arguments = prompt.arguments;
  input.generation_prompt =
      prompt.continues_final_message ? GenerationPrompt::kOff : prompt.generation_prompt;
  input.bos_token = facts_.bos_text;
  input.eos_token = facts_.eos_text;
  input.unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  std::string text = TRY(template_.render(input));
  if (!prompt.continues_final_message || prompt.messages.empty()) return text;
  // What the template writes behind the last message ends it; the answer goes on inside.
  const OrderedJson& last = prompt.messages.back();
  const std::string content =
      last.contains("content") && last["content"].is_string() ? last["content"] : OrderedJson("");
  const std::size_t found = text.rfind(content);
  if (found == std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "the chat template does not show the final message as it is, so it cannot be "
                 "continued"};
  }
  text.resize(found + content.size());
  return text;
}

// The template writes the special tokens itself.
Result<std::vector<TokenId>> ModelService::chat_ids(const ChatPrompt& prompt) const {
  const std::string text = TRY(render(prompt));
  return facts_.tokenizer.encode(
      text, {.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kYes});
}

Result<std::vector<TokenId>> ModelService::text_ids(std::string_view text,
                                                    AddSpecial add_special) const {
  return facts_.tokenizer.encode(text,
                                 {.add_special = add_special, .parse_special = ParseSpecial::kYes});
}

Result<std::vector<std::vector<TokenId>>> ModelService::prompt_ids(
    const GenerationRequest& request) const {
  std::vector<std::vector<TokenId>> prompts;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    prompts.push_back(TRY(chat_ids(*chat)));
  } else if (const auto* texts = std::get_if<TextPrompts>(&request.prompt)) {
    const AddSpecial special = request.adds_special_tokens ? AddSpecial::kYes : AddSpecial::kNo;
    prompts = TRY(ids_of_texts(*texts, special));
  } else {
    prompts = std::get<TokenPrompts>(request.prompt);
  }
  for (std::vector<TokenId>& ids : prompts) {
    cut(request, ids);
    if (ids.empty()) {
      return Error{ErrorCode::kInvalidArgument, "prompt is empty: it has no token at all"};
    }
  }
  return prompts;
}

Result<std::vector<std::vector<TokenId>>> ModelService::ids_of_texts(const TextPrompts& texts,
                                                                     AddSpecial add_special) const {
  std::vector<std::vector<TokenId>> ids;
  for (const std::string& text : texts) ids.push_back(TRY(text_ids(text, add_special)));
  return ids;
}

bool ModelService::has_adapter(std::string_view name) const {
  return facts_.adapters != nullptr && facts_.adapters->find(name) != nullptr;
}

// It may have been unloaded since its name was looked up.
Result<AdapterRef> ModelService::adapter(const std::string& name) const {
  if (name.empty() || name == name_) return AdapterRef();
  AdapterRef found = facts_.adapters == nullptr ? nullptr : facts_.adapters->find(name);
  if (found != nullptr) return found;
  return Error{ErrorCode::kNotFound, "model '" + name + "' is not served here"};
}

Result<std::vector<std::vector<TokenId>>> ModelService::input_ids(
    const EmbeddingRequest& request) const {
  std::vector<std::vector<TokenId>> inputs;
  if (const auto* texts = std::get_if<TextPrompts>(&request.input)) {
    inputs = TRY(ids_of_texts(*texts, AddSpecial::kYes));
  } else {
    inputs = std::get<TokenPrompts>(request.input);
  }
  for (std::vector<TokenId>& ids : inputs) {
    keep_last(request.truncate_prompt_tokens.value_or(ids.size()), ids);
    if (ids.empty()) {
      return Error{ErrorCode::kInvalidArgument, "input is empty: it has no token at all"};
    }
  }
  return inputs;
}

void ModelService::cut(const GenerationRequest& request, std::vector<TokenId>& ids) const {
  std::size_t num_kept = request.truncate_prompt_tokens.value_or(ids.size());
  if (facts_.truncates_prompts) {
    // Room for what is asked for, but never for less than half of the context of prompt.
    const std::size_t wanted = request.max_tokens.value_or(1);
    const std::size_t room = std::min(wanted, facts_.context_tokens / 2);
    num_kept = std::min(num_kept, facts_.context_tokens - room);
  }
  keep_last(num_kept, ids);
}

}  // namespace millrace
