// What Tokenizer::create makes of a spec: the stages, ready to run. Private to this room.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "text/added_tokens.h"
#include "text/flat_table.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"
#include "text/word_model.h"

namespace millrace {

// Immutable once made.
struct CompiledTokenizer {
  AddedTokenFinder raw_added_tokens;         // Looked for before the normaliser,
  AddedTokenFinder normalized_added_tokens;  // and after it.
  AddedTokenFinder special_texts;            // Special ones of both kinds, as their file has them.
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<WordModel> model;
  TokenDecoder decoder;

  StringTable ids_by_text;  // Added tokens by content, then pieces by their file's text.
  std::vector<bool> is_special;
  std::vector<TokenId> prefix_ids;
  std::vector<TokenId> suffix_ids;
  std::optional<TokenId> bos_id;
  std::optional<TokenId> eos_id;
  std::optional<TokenId> unk_id;
  std::vector<TokenId> end_of_generation_ids;
};

// Checks that the spec is consistent and compiles its stages. Shared by the copies of a Tokenizer.
Result<std::shared_ptr<const CompiledTokenizer>> compile_tokenizer(const TokenizerSpec& spec);

}  // namespace millrace
