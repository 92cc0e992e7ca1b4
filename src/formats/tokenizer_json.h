// tokenizer.json of Hugging Face's tokenizers library, and the tokenizer_config.json beside it.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// `name` names the file in messages. Components of a type that we do not have are refused with
// kUnsupported, by name.
Result<TokenizerSpec> parse_tokenizer_json(const Json& json, const std::string& name);

// The parts of it that tokenizer_json.cpp leaves to tokenizer_json_steps.cpp.
Result<std::vector<NormalizerStep>> parse_normalizers(const Json& json, const std::string& name);
Result<std::vector<PreTokenizerStep>> parse_pre_tokenizers(const Json& json,
                                                           const std::string& name);
Result<std::vector<DecoderStep>> parse_decoders(const Json& json, const std::string& name);

// What transformers takes from tokenizer_config.json: the names of bos, eos, unk and pad, whether
// bos and eos go around a text, added tokens, and chat templates.
Status apply_tokenizer_config(const Json& json, const std::string& name, TokenizerSpec& spec);

// Adds to end_of_generation_ids the special tokens whose published names say that a turn is over
// ("<|im_end|>", "<|eot_id|>", …); eos alone often names only one of several.
void add_known_end_tokens(TokenizerSpec& spec);

// Bos and eos around a text, as prefix_ids and suffix_ids.
struct TextEnds {
  bool add_bos = false;
  bool add_eos = false;
};
void set_text_ends(TextEnds ends, TokenizerSpec& spec);

}  // namespace millrace
