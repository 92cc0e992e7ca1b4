// The older pair of files of byte-level vocabularies: vocab.json and merges.txt.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// `pre_tokenizer` is a name of pre_tokenizer_names.h. Special tokens come from the files beside.
Result<TokenizerSpec> parse_vocab_merges(const Json& vocabulary, std::string_view merges,
                                         const std::string& name, std::string_view pre_tokenizer);

}  // namespace millrace
