// A TokenizerSpec as the tokenizer.json and tokenizer_config.json of a Hugging Face folder.
#pragma once

#include <cstddef>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// What Hugging Face's tokenizers library reads. Unused tokens that only fill the list up to the
// embedding's rows ("[PAD7]" with id 7) are left out. kUnsupported when the vocabulary is not BPE
// or has two tokens of one text.
Result<OrderedJson> tokenizer_json_of(const TokenizerSpec& spec);

// What transformers read beside it: the special tokens' names and the chat templates.
OrderedJson tokenizer_config_json_of(const TokenizerSpec& spec, std::size_t context_tokens);

}  // namespace millrace
