// A conversation as the prompt that its model was trained on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/api/generation_request.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace millrace {

struct ChatRendering {
  std::optional<std::string> bos_token = {};
  std::optional<std::string> eos_token = {};
  std::int64_t unix_seconds = 0;
  // Where the conversation's own texts of special tokens are to be marked, see plain_marks.h; it
  // outlives the call. Null: nothing is marked.
  const Tokenizer* tokenizer = nullptr;
  std::vector<std::string_view> kept = {};  // of an assistant's texts
};

struct RenderedChat {
  std::string text;
  std::string plain_mark;  // of EncodeOptions; part of the text
};

// Renders the conversation in the shape that the template takes: contents as parts and arguments of
// calls as objects where it needs them. Where the prompt continues the final message it ends with
// that message's text. kInvalidArgument names what the template cannot take.
Result<RenderedChat> render_chat(const ChatTemplate& chat_template, const ChatTemplateFacts& facts,
                                 const ChatPrompt& prompt, const ChatRendering& rendering);

}  // namespace millrace
