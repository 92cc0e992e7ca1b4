// One model as requests see it: its name, how texts and conversations become ids, what it allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/token_id.h"
#include "constrain/grammar_compiler.h"
#include "engine/adapter_store.h"
#include "engine/request.h"
#include "serve/api/generation_request.h"
#include "serve/api/text_request.h"
#include "serve/output/answer_format.h"
#include "serve/output/render_chat.h"
#include "serve/output/text_hooks.h"
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
  Pooling pooling = Pooling::kMean;   // of embeddings
  std::string tool_parser = {};       // a ToolFormat by name; empty: by the template
  std::string reasoning_parser = {};  // ReasoningTags by name; empty: by the template
  std::vector<TextHook> hooks = {};   // of every answer
  // The oldest tokens of a prompt that is too long go; else it is refused.
  bool truncates_prompts = false;
  // "<|im_end|>" in a message is that token, as with apply_chat_template; else it is text.
  bool parses_special_in_messages = false;
  // Shared with whoever loads further ones; null where the engine takes none.
  std::shared_ptr<AdapterStore> adapters = nullptr;
};

// A prompt ready for the engine. The text is what the ids were made of; empty for a client's ids.
struct PreparedPrompt {
  std::vector<TokenId> ids;
  std::string text;
};

// Immutable: any thread. Shared by the directory and the requests on their way, which outlive a
// model's retirement.
class ModelService {
 public:
  // kCorruptData or kUnsupported when the chat template cannot be used, kInvalidArgument for a
  // parser that there is not.
  static Result<std::shared_ptr<const ModelService>> create(std::string name, ModelFacts facts,
                                                            std::int64_t unix_seconds);

  const std::string& name() const { return name_; }
  const ModelFacts& facts() const { return facts_; }
  const Tokenizer& tokenizer() const { return facts_.tokenizer; }
  std::int64_t loaded_at() const { return loaded_at_; }  // unix seconds
  bool has_chat_template() const { return facts_.chat_template.has_value(); }
  // How the model writes thoughts and calls.
  const AnswerFormat& answer_format() const { return answer_format_; }

  // The prompt's text. A model without a template gets the messages' texts with an empty line
  // between them. kInvalidArgument when the template refuses the conversation.
  Result<std::string> render(const ChatPrompt& prompt) const;
  // The same with its ids. Special tokens are the template's own, unless the operator lets messages
  // have them too.
  Result<PreparedPrompt> chat_prompt(const ChatPrompt& prompt) const;
  Result<std::vector<TokenId>> text_ids(std::string_view text, AddSpecial add_special) const;

  // Of that name; null for the model's own name, or none. kNotFound.
  Result<AdapterRef> adapter(const std::string& name) const;
  bool has_adapter(std::string_view name) const;
  // Compiled, or from the cache. Takes up to the compiler's time limit: on the host pool.
  Result<std::shared_ptr<const LogitConstraint>> constraint(const ConstraintSpec& spec) const;
  // How many tokens may follow the prompt: what was asked for, or the operator's default, which is
  // no more than fits; as many as fit where prompts are truncated.
  std::optional<std::size_t> max_tokens(const GenerationRequest& request,
                                        const PreparedPrompt& prompt) const;
  // "fp_" and a number that is the same for the same version, model and context.
  std::string fingerprint(std::string_view version) const;
  // The ids of all inputs of a request for embeddings, cut where the request or the operator says.
  Result<std::vector<std::vector<TokenId>>> input_ids(const EmbeddingRequest& request) const;
  // All prompts of a request, cut where the request or the operator says so.
  Result<std::vector<PreparedPrompt>> prompts(const GenerationRequest& request) const;

 private:
  ModelService(std::string name, ModelFacts facts, ChatTemplate chat_template, std::int64_t when);
  Result<std::vector<std::vector<TokenId>>> ids_of_texts(const TextPrompts& texts,
                                                         AddSpecial add_special) const;
  Result<RenderedChat> rendered(const ChatPrompt& prompt) const;
  bool truncates(const GenerationRequest& request) const;
  void cut(const GenerationRequest& request, std::vector<TokenId>& ids) const;

  const std::string name_;
  const ModelFacts facts_;
  const std::int64_t loaded_at_;
  const SystemClock clock_;
  AnswerFormat answer_format_;
  ChatTemplate template_;
  ChatTemplateFacts template_facts_;
  mutable std::mutex compiler_mutex_;  // Guards compiler_, made when it is first needed.
  mutable std::unique_ptr<GrammarCompiler> compiler_;
};

}  // namespace millrace
