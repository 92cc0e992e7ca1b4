// Conversations and texts to ids.
#include "serve/service/model_service.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/random.h"
#include "serve/output/plain_marks.h"
#include "serve/service/service_reply.h"

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
  AnswerFormat format = millrace::answer_format(source);
  if (!facts.tool_parser.empty()) format.tools = TRY(tool_format_named(facts.tool_parser));
  if (!facts.reasoning_parser.empty()) {
    format.reasoning = TRY(reasoning_tags_named(facts.reasoning_parser));
  }
  Result<ChatTemplate> parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) {
    return with_context(std::move(parsed).error(), "chat template of model " + name);
  }
  std::shared_ptr<ModelService> service(
      new ModelService(std::move(name), std::move(facts), std::move(parsed).value(), unix_seconds));
  service->answer_format_ = format;
  return std::shared_ptr<const ModelService>(std::move(service));
}

ModelService::ModelService(std::string name, ModelFacts facts, ChatTemplate chat_template,
                           std::int64_t when)
    : name_(std::move(name)),
      facts_(std::move(facts)),
      loaded_at_(when),
      template_(std::move(chat_template)),
      template_facts_(facts_.chat_template ? template_.facts() : ChatTemplateFacts{}) {}

Result<std::string> ModelService::render(const ChatPrompt& prompt) const {
  RenderedChat chat = TRY(rendered(prompt));
  return without_marks(std::move(chat.text), chat.plain_mark);
}

Result<RenderedChat> ModelService::rendered(const ChatPrompt& prompt) const {
  ChatRendering rendering{.bos_token = facts_.bos_text,
                          .eos_token = facts_.eos_text,
                          .unix_seconds = static_cast<std::int64_t>(std::time(nullptr))};
  if (!facts_.parses_special_in_messages) rendering.tokenizer = &facts_.tokenizer;
  if (answer_format_.reasoning) {
    rendering.kept = {answer_format_.reasoning->open, answer_format_.reasoning->close};
  }
  return render_chat(template_, template_facts_, prompt, rendering);
}

// The template writes the special tokens itself.
Result<PreparedPrompt> ModelService::chat_prompt(const ChatPrompt& prompt) const {
  RenderedChat chat = TRY(rendered(prompt));
  PreparedPrompt prepared;
  prepared.ids = TRY(facts_.tokenizer.encode(chat.text, {.add_special = AddSpecial::kNo,
                                                         .parse_special = ParseSpecial::kYes,
                                                         .plain_mark = chat.plain_mark}));
  prepared.text = without_marks(std::move(chat.text), chat.plain_mark);
  return prepared;
}

Result<std::vector<TokenId>> ModelService::text_ids(std::string_view text,
                                                    AddSpecial add_special) const {
  return facts_.tokenizer.encode(text,
                                 {.add_special = add_special, .parse_special = ParseSpecial::kYes});
}

Result<std::vector<PreparedPrompt>> ModelService::prompts(const GenerationRequest& request) const {
  std::vector<PreparedPrompt> prompts;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    PreparedPrompt prepared = TRY(chat_prompt(*chat));
    prompts.push_back(std::move(prepared));
  } else if (const auto* texts = std::get_if<TextPrompts>(&request.prompt)) {
    const AddSpecial special = request.adds_special_tokens ? AddSpecial::kYes : AddSpecial::kNo;
    std::vector<std::vector<TokenId>> all = TRY(ids_of_texts(*texts, special));
    for (std::size_t i = 0; i < all.size(); ++i) {
      prompts.push_back({.ids = std::move(all[i]), .text = (*texts)[i]});
    }
  } else {
    for (const std::vector<TokenId>& ids : std::get<TokenPrompts>(request.prompt)) {
      prompts.push_back({.ids = ids, .text = ""});
    }
  }
  for (PreparedPrompt& prompt : prompts) {
    cut(request, prompt.ids);
    if (prompt.ids.empty()) {
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
    if (facts_.truncates_prompts) keep_last(facts_.context_tokens, ids);
    if (ids.empty()) {
      return Error{ErrorCode::kInvalidArgument, "input is empty: it has no token at all"};
    }
  }
  return inputs;
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

// A model that is never asked for structure pays nothing for it.
Result<std::shared_ptr<const LogitConstraint>> ModelService::constraint(
    const ConstraintSpec& spec) const {
  GrammarCompiler* compiler = nullptr;
  {
    const std::lock_guard lock(compiler_mutex_);
    if (compiler_ == nullptr) {
      std::shared_ptr<const TokenVocabulary> vocabulary =
          TRY(TokenVocabulary::create(facts_.tokenizer, facts_.vocabulary));
      compiler_ = std::make_unique<GrammarCompiler>(std::move(vocabulary), clock_);
    }
    compiler = compiler_.get();
  }
  return compiler->compile(spec);
}

bool ModelService::truncates(const GenerationRequest& request) const {
  return facts_.truncates_prompts || request.truncates_prompt;
}

std::optional<std::size_t> ModelService::max_tokens(const GenerationRequest& request,
                                                    const PreparedPrompt& prompt) const {
  const std::size_t num_prompt = std::min(prompt.ids.size(), facts_.context_tokens);
  const std::size_t room = std::max<std::size_t>(facts_.context_tokens - num_prompt, 1);
  if (request.max_tokens && !truncates(request)) return request.max_tokens;
  const std::optional<std::size_t> wanted =
      request.max_tokens ? request.max_tokens : facts_.max_tokens;
  return wanted ? std::min(*wanted, room) : wanted;
}

std::string ModelService::fingerprint(std::string_view version) const {
  std::uint64_t hash = facts_.context_tokens;
  for (const std::string_view part : {version, std::string_view(name_)}) {
    for (const char c : part) hash = mix64(hash + static_cast<std::uint8_t>(c) + 1);
  }
  return "fp_" + answer_number_text(hash).substr(0, 12);
}

void ModelService::cut(const GenerationRequest& request, std::vector<TokenId>& ids) const {
  std::size_t num_kept = request.truncate_prompt_tokens.value_or(ids.size());
  if (truncates(request)) {
    // Room for what is asked for, but never for less than half of the context of prompt.
    const std::size_t wanted = request.max_tokens.value_or(1);
    const std::size_t room = std::min(wanted, facts_.context_tokens / 2);
    num_kept = std::min(num_kept, facts_.context_tokens - room);
  }
  keep_last(num_kept, ids);
}

}  // namespace millrace
