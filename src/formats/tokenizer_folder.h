// The tokenizer of a Hugging Face folder, whichever of its forms the folder holds.
#pragma once

#include <string>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Looks for tokenizer.json; vocab.json with merges.txt; tokenizer.model (SentencePiece or
// tiktoken); then applies tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// chat_template.jinja and additional_chat_templates/*.jinja where they are. kNotFound names the
// folder when it has none of them.
Result<TokenizerSpec> load_tokenizer_spec(const std::string& folder);

}  // namespace millrace
