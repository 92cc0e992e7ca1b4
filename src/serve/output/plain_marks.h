// Keeps what people and tools wrote from becoming the special tokens of a prompt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace millrace {

// Puts a mark before each text of a special token ("<|im_end|>" in a user's message) in messages,
// tools, documents and variables, so that the rendered prompt shows which ones are the template's
// own. Returns the mark; empty where nothing had to be marked, which leaves the input as it was.
// Texts of `kept` in an assistant's messages, which templates look for, are left alone.
// kInvalidArgument when the input has every character that could be a mark.
Result<std::string> mark_plain_text(const Tokenizer& tokenizer,
                                    const std::vector<std::string_view>& kept,
                                    ChatTemplateInput& input);

std::string without_marks(std::string text, std::string_view mark);

}  // namespace millrace
