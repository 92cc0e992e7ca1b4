// SentencePiece models (tokenizer.model): the protocol buffer read by hand, within limits.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// `bytes` is the whole file, `name` its name for messages. BPE and Unigram models; others are
// refused by name. A bos is put before texts when the model has one, as Llama's and Mistral's code
// does.
Result<TokenizerSpec> parse_sentencepiece(std::string_view bytes, const std::string& name);

}  // namespace millrace
