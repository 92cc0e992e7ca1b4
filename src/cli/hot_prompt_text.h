// Hot prompts as an operator writes them, to token ids.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/model_text.h"
#include "serve/config/server_config.h"

namespace millrace {

// The ids that requests with this prompt begin with. A system message is what two conversations
// have in common that differ in what the user says; it needs a chat template.
Result<std::vector<TokenId>> hot_prompt_tokens(const ModelText& text,
                                               const std::optional<std::string>& chat_template,
                                               const HotPromptConfig& prompt);

}  // namespace millrace
