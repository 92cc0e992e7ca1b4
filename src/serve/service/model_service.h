// One model as requests see it: its name, how texts and conversations become ids, what it allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "engine/adapter_store.h"
#include "engine/request.h"
#include "serve/api/generation_request.h"
#include "serve/api/text_request.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace millrace {

// What whoever loads a model says of it.
struct ModelFacts {
  Tokenizer tokenizer;
  std::optional<std::string> chat_template = std::nullopt;  // Jinja source
  std::optional<std::string> bos_text = std::nullopt;
  std::optional<std::string> eos_text = std::nullopt;
  std::vector<TokenId> stop_ids = {};  // that end a text
  std::size_t vocabulary = 0;          // rows of logits
  std::size_t context_tokens = 0;      // of one sequence, prompt and answer
  SamplingParams sampling = {};        // where a request says nothing
  std::optional<std::size_t> max_tokens = std::nullopt;
  Pooling pooling = Pooling::kMean;  // of embeddings
  // The oldest tokens of a prompt that is too long go; else it is refused.
  bool truncates_prompts = false;
  // Shared with whoever loads further ones; null where the engine takes none.
  std::shared_ptr<AdapterStore> adapters = nullptr;
};

// Immutable: any thread. Shared by the directory and the requests on their way, which outlive a
// model's retirement.
class ModelService {
 public:
  // kCorruptData or kUnsupported when the chat template cannot be used.
  static Result<std::shared_ptr<const ModelService>> create(std::string name, ModelFacts facts,
                                                            std::int64_t unix_seconds);

  const std::string& name() const { return name_; }
  const ModelFacts& facts() const { return facts_; }
  const Tokenizer& tokenizer() const { return facts_.tokenizer; }
  std::int64_t loaded_at() const { return loaded_at_; }  // unix seconds
  bool has_chat_template() const { return facts_.chat_template.has_value(); }
  // Of that name; null for the model's own name, or none. kNotFound.
  Result<AdapterRef> adapter(const std::string& name) const;
  bool has_adapter(std::string_view name) const;
  // Source of what render() uses.
  const std::string& template_source() const { return template_source_; }

  // The prompt's text. A model without a template gets the messages' texts with an empty line
  // between them. kInvalidArgument when the template refuses the conversation.
  Result<std::string> render(const ChatPrompt& prompt) const;
  Result<std::vector<TokenId>> chat_ids(const ChatPrompt& prompt) const;
  Result<std::vector<TokenId>> text_ids(std::string_view text, AddSpecial add_special) const;

  // The ids of all inputs of a request for embeddings.
  Result<std::vector<std::vector<TokenId>>> input_ids(const EmbeddingRequest& request) const;
  // The ids of all prompts of a request, cut where the request or the operator says so.
  Result<std::vector<std::vector<TokenId>>> prompt_ids(const GenerationRequest& request) const;

 private:
  ModelService(std::string name, ModelFacts facts, ChatTemplate chat_template, std::int64_t when);
  OrderedJson fitted_messages(const OrderedJson& messages) const;
  Result<std::vector<std::vector<TokenId>>> ids_of_texts(const TextPrompts& texts,
                                                         AddSpecial add_special) const;
  void cut(const GenerationRequest& request, std::vector<TokenId>& ids) const;

  const std::string name_;
  const ModelFacts facts_;
  const std::int64_t loaded_at_;
  std::string template_source_;
  ChatTemplate template_;
  ChatTemplateFacts template_facts_;
};

}  // namespace millrace
