// A conversation in the terminal, line by line.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/generator.h"

namespace millrace {

struct ChatOptions {
  std::string system;
  GenerationOptions generation;
};

// Reads lines until the end of input or /exit. A model with a template answers in turns and
// remembers them; one without continues each line on its own. Ctrl-C ends an answer, not the chat.
Status chat_in_terminal(Generator& generator, const PromptBuilder& prompts,
                        const ChatOptions& options);

}  // namespace millrace
