// Tiktoken files: a line for each piece, its bytes in base64 and its rank.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// Whether a file looks like one (it has no magic number).
bool looks_like_tiktoken(std::string_view bytes);

// `pre_tokenizer` is a name of pre_tokenizer_names.h: the file does not say how words are cut, nor
// which special tokens there are. For Llama 3 ("llama-bpe" and 128,000 pieces) those of its
// published code are added; otherwise none.
Result<TokenizerSpec> parse_tiktoken(std::string_view bytes, const std::string& name,
                                     std::string_view pre_tokenizer);

}  // namespace millrace
