// The text side of a model: its tokeniser and chat template, from wherever its checkpoint keeps
// them.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "engine/sampling_params.h"
#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// tokenizer.json and its kin in a folder, the metadata of a GGUF file, the tokenizer.model
// beside a llama2.c file, or the section of a packed one.
Result<TokenizerSpec> load_model_tokenizer_spec(const Checkpoint& checkpoint);

// The same for a path that need not be a whole model: a folder with tokeniser files, a
// tokenizer.json or a sentencepiece .model will do.
Result<TokenizerSpec> load_tokenizer_spec_at(const std::string& path);

// What a token is written as; nothing for no token and for one that the vocabulary does not have.
std::optional<std::string> token_text(const TokenizerSpec& spec, std::optional<TokenId> id);

struct ModelText {
  Tokenizer tokenizer;
  std::optional<std::string> chat_template;  // Jinja source of the default one
  std::optional<std::string> bos_text, eos_text;
};
Result<ModelText> make_model_text(const TokenizerSpec& spec);
Result<ModelText> load_model_text(const Checkpoint& checkpoint);

// generation_config.json's temperature, top_p and so on, where the model brings one.
SamplingParams default_sampling(const Checkpoint& checkpoint);

// {"kind", "tokens", "bos", "eos", "chat_template", …} for inspect.
Result<OrderedJson> describe_tokenizer(const TokenizerSpec& spec);
std::string tokenizer_line(const OrderedJson& description);

}  // namespace millrace
