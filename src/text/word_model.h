// What cuts one word into the pieces of a vocabulary: the interface that BPE, Unigram and WordPiece
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "text/flat_table.h"
#include "text/scan_merge.h"
#include "text/tokenizer_spec.h"
#include "text/word_cache.h"

namespace millrace {

// The memory that encoding a word needs, kept between words; one for each call of encode.
struct ModelScratch {
  struct Symbol {
    std::uint32_t id = 0;
    std::uint32_t begin = 0;  // Offset of its first byte in the word.
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
    std::uint32_t rank = 0;    // Of merging it with the next symbol.
    std::uint32_t merged = 0;  // What that merge makes.
  };
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> heap;
  std::vector<std::uint64_t> first_entries;
  ScanMerge scan;
  std::vector<double> scores;
  std::vector<std::uint32_t> ends;
  std::string text;
  std::vector<TokenId> ids;
  WordCache words;
};

// Immutable; any thread, each with its own scratch. Words are valid UTF-8, or raw bytes where the
// vocabulary is byte-level.
class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the ids of a word that is not empty. O(n log n) in its bytes.
  virtual void encode(std::string_view word, ModelScratch& scratch,
                      std::vector<TokenId>& ids) const = 0;
};

// The pieces that text can become, by the text that words have: raw bytes for a byte-level
// vocabulary. Pieces that must never come out of plain text (special ones) are not in it.
struct ModelPieces {
  std::vector<std::string> texts;  // By id; empty when the piece is not in the model.
  StringTable ids;
  std::set<std::string_view> special;  // Texts that were left out; of the spec.
};

Result<std::unique_ptr<WordModel>> make_bpe_model(const TokenizerSpec& spec, ModelPieces pieces,
                                                  bool byte_level);
Result<std::unique_ptr<WordModel>> make_unigram_model(const TokenizerSpec& spec,
                                                      const ModelPieces& pieces);
std::unique_ptr<WordModel> make_word_level_model(const TokenizerSpec& spec, ModelPieces pieces);
// Words of raw bytes for a model of any kind whose pieces are in the byte-level alphabet.
std::unique_ptr<WordModel> in_byte_alphabet(std::unique_ptr<WordModel> model);
Result<std::unique_ptr<WordModel>> make_word_piece_model(const TokenizerSpec& spec,
                                                         ModelPieces pieces);

}  // namespace millrace
