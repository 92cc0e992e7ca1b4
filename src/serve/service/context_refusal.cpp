// Lengths against the context, told in the words of the dialect.
#include "serve/service/context_refusal.h"

#include <string>

namespace millrace {
namespace {

struct Lengths {
  std::size_t context = 0;
  std::size_t num_prompt = 0;
  std::optional<std::size_t> max_tokens;  // that the client asked for
};

const char* prompt_field(ApiDialect dialect) {
  switch (dialect) {
    case ApiDialect::kCompletions:
      return "prompt";
    case ApiDialect::kResponses:
      return "input";
    case ApiDialect::kChat:
    case ApiDialect::kMessages:
      return "messages";
  }
  return "";
}

std::string openai_message(const Lengths& lengths, const std::string& field) {
  const std::string prompt = std::to_string(lengths.num_prompt);
  std::string text = "this model's maximum context length is " + std::to_string(lengths.context) +
                     " tokens, however you requested ";
  if (lengths.max_tokens) {
    text += std::to_string(lengths.num_prompt + *lengths.max_tokens) + " tokens (" + prompt +
            " in the " + field + ", " + std::to_string(*lengths.max_tokens) +
            " in the completion), please reduce the length of the " + field + " or the completion";
  } else {
    text += prompt + " tokens in the " + field + ", please reduce the length of the " + field;
  }
  return text;
}

std::string anthropic_message(const Lengths& lengths) {
  const std::string context = std::to_string(lengths.context);
  if (lengths.num_prompt >= lengths.context) {
    return "prompt is too long: " + std::to_string(lengths.num_prompt) + " tokens > " + context +
           " maximum";
  }
  return "input length and `max_tokens` exceed context limit: " +
         std::to_string(lengths.num_prompt) + " + " +
         std::to_string(lengths.max_tokens.value_or(1)) + " > " + context +
         ", decrease input length or `max_tokens` and try again";
}

}  // namespace

std::optional<ApiError> context_refusal(const GenerationRequest& request,
                                        std::span<const PreparedPrompt> prompts,
                                        const ModelService& model) {
  for (const PreparedPrompt& prompt : prompts) {
    // One token must follow at least.
    const std::size_t num_wanted = model.max_tokens(request, prompt).value_or(1);
    const std::size_t context = model.facts().context_tokens;
    const std::size_t num_prompt = prompt.ids.size();
    if (num_prompt < context && num_wanted <= context - num_prompt) continue;
    const Lengths lengths{context, num_prompt, request.max_tokens};
    const std::string field = prompt_field(request.dialect);
    return context_error(request.dialect == ApiDialect::kMessages ? anthropic_message(lengths)
                                                                  : openai_message(lengths, field),
                         field);
  }
  return std::nullopt;
}

std::optional<ApiError> context_refusal(std::span<const std::vector<TokenId>> inputs,
                                        const ModelService& model) {
  for (const std::vector<TokenId>& ids : inputs) {
    const Lengths lengths{model.facts().context_tokens, ids.size(), std::nullopt};
    if (ids.size() > lengths.context)
      return context_error(openai_message(lengths, "input"), "input");
  }
  return std::nullopt;
}

}  // namespace millrace
