// Everything that says how a vocabulary turns text into ids and back, as plain data.
//
// formats/ fills it from tokenizer.json, GGUF metadata, sentencepiece and tiktoken files;
// Tokenizer::create checks it and compiles it. A component that a file names and this page lacks
// is refused by the reader of that file, by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/token_id.h"

namespace millrace {

// ---- The vocabulary and the model that cuts words into pieces ----

enum class TokenizerModel : std::uint8_t {
  kBpe,        // Merges pairs of pieces, best first.
  kUnigram,    // The most probable cut into pieces (Viterbi over scores).
  kWordPiece,  // Longest piece first, continuations marked by a prefix.
  kWordLevel,  // A word is a piece or unknown.
};

// Where BPE takes the priority of a merge from.
enum class MergeSource : std::uint8_t {
  kMerges,      // The list `merges`, best first.
  kPieceScore,  // Any two pieces whose concatenation is a piece; highest score first
                // (SentencePiece).
  kPieceRank,   // The same, lowest id first (tiktoken).
};

enum class PieceType : std::uint8_t {
  kNormal,
  kUnknown,      // Stands for what the vocabulary lacks; never matched in text.
  kControl,      // bos, eos and the like; never made by merging.
  kUserDefined,  // Matched whole before anything else; never made by merging.
  kUnused,       // A hole in the vocabulary.
  kByte,         // One raw byte, written <0xXX>.
};

struct Piece {
  std::string text;  // As the file writes it: byte-level alphabet, ▁ for space, <0xXX>.
  double score = 0;  // Unigram log-probability or SentencePiece merge priority.
  PieceType type = PieceType::kNormal;
};

// A token matched in the text as a whole, before the model sees it.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;      // Dropped by decode on request, not matched in untrusted text.
  bool single_word = false;  // Matches only between non-word characters.
  bool lstrip = false;       // Takes the white space on its left with it.
  bool rstrip = false;       // Takes the white space on its right with it.
  bool normalized = false;   // Looked for in the normalised text instead of the raw one,
  bool verbatim = false;     // and there as it is written, not as the normaliser leaves it.
};

// ---- Normalisers: rewrite the text before it is cut ----

// What Split and Replace look for: a literal string or a regular expression (Oniguruma syntax, as
// tokenizer.json has it).
struct Pattern {
  enum class Kind : std::uint8_t { kLiteral, kRegex };
  Kind kind = Kind::kLiteral;
  std::string text;
};

struct PrependNormalizer {
  std::string text;  // Put in front of every non-empty piece of text.
};
struct ReplaceNormalizer {
  Pattern pattern;
  std::string content;
};
enum class UnicodeForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };
struct UnicodeNormalizer {
  UnicodeForm form = UnicodeForm::kNfc;
};
struct LowercaseNormalizer {};
struct StripNormalizer {
  bool left = true;
  bool right = true;
};
struct StripAccentsNormalizer {};
// Collapses runs of spaces and drops them at both ends (SentencePiece remove_extra_whitespaces).
struct SqueezeSpacesNormalizer {};
// The compiled character map of a SentencePiece model: a double-array trie, then its strings.
struct CharsMapNormalizer {
  std::string bytes;
  // Whole grapheme clusters of less than six bytes are looked up first and the shortest match
  // replaces all of one, as Hugging Face's library reads the map; SentencePiece's own code takes
  // the longest match wherever it ends.
  bool by_grapheme = false;
  std::vector<std::string> kept = {};  // Left as they are wherever they occur.
};
// SentencePiece's clean-up of translation corpora: control characters away, odd spaces plain.
struct NmtNormalizer {};
struct ByteLevelNormalizer {};  // Bytes become the characters of the byte-level alphabet.
// What the BERT family does: control characters away, spaces around Han, accents, case.
struct BertNormalizer {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};
using NormalizerStep =
    std::variant<PrependNormalizer, ReplaceNormalizer, UnicodeNormalizer, LowercaseNormalizer,
                 StripNormalizer, StripAccentsNormalizer, SqueezeSpacesNormalizer,
                 CharsMapNormalizer, BertNormalizer, NmtNormalizer, ByteLevelNormalizer>;

// ---- Pre-tokenisers: cut the normalised text into words ----

// What becomes of a delimiter that Split found.
enum class SplitBehavior : std::uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,  // Isolated, neighbouring delimiters together.
};

// When a marker for a leading space is added.
enum class PrependScheme : std::uint8_t { kNever, kFirst, kAlways };

struct SplitPreTokenizer {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // The delimiters are what the pattern does not match.
};
// Words continue as raw bytes; with use_regex they are cut by the pattern of GPT-2 first.
struct ByteLevelPreTokenizer {
  bool add_prefix_space = false;
  bool use_regex = true;
};
struct DigitsPreTokenizer {
  bool individual_digits = false;
};
struct PunctuationPreTokenizer {
  SplitBehavior behavior = SplitBehavior::kIsolated;
};
// Spaces become `replacement`; with split, every replacement starts a word.
struct MetaspacePreTokenizer {
  std::string replacement = "\xE2\x96\x81";  // ▁
  PrependScheme prepend_scheme = PrependScheme::kAlways;
  bool split = true;
};
struct WhitespacePreTokenizer {};       // \w+|[^\w\s]+
struct WhitespaceSplitPreTokenizer {};  // White space removed.
struct BertPreTokenizer {};             // White space removed, punctuation isolated.
struct CharDelimiterPreTokenizer {
  std::string delimiter;  // One character, removed.
};
struct FixedLengthPreTokenizer {
  std::uint32_t num_characters = 0;
};
struct UnicodeScriptsPreTokenizer {};  // Cut where the script changes, kana being Han.
using PreTokenizerStep =
    std::variant<SplitPreTokenizer, ByteLevelPreTokenizer, DigitsPreTokenizer,
                 PunctuationPreTokenizer, MetaspacePreTokenizer, WhitespacePreTokenizer,
                 WhitespaceSplitPreTokenizer, BertPreTokenizer, CharDelimiterPreTokenizer,
                 FixedLengthPreTokenizer, UnicodeScriptsPreTokenizer>;

// ---- Decoders: from pieces back to text ----

struct ByteLevelDecoder {
};  // The byte-level alphabet back to bytes; added tokens stay as they are.
struct ByteFallbackDecoder {};  // <0xXX> becomes that byte.
struct FuseDecoder {};          // From here on the text is one string.
struct ReplaceDecoder {
  Pattern pattern;
  std::string content;
};
// Up to so many of `content` off each end: of every piece before Fuse, of the whole text after it.
struct StripDecoder {
  std::string content;  // One character.
  std::uint32_t start = 0;
  std::uint32_t stop = 0;
};
struct MetaspaceDecoder {
  std::string replacement = "\xE2\x96\x81";  // ▁
  PrependScheme prepend_scheme = PrependScheme::kAlways;
};
struct WordPieceDecoder {
  std::string prefix = "##";
  bool cleanup = true;
};
// Words end in `suffix`: a space, but nothing at the end of the text.
struct BpeDecoder {
  std::string suffix = "</w>";
};
// Connectionist temporal classification: repeated tokens are one, and `pad` is nothing.
struct CtcDecoder {
  std::string pad = "<pad>";
  std::string word_delimiter = "|";
  bool cleanup = true;
};
struct SpaceJoinDecoder {};  // A space between tokens: what tokenizer.json means by no decoder.
using DecoderStep =
    std::variant<ByteLevelDecoder, ByteFallbackDecoder, FuseDecoder, ReplaceDecoder, StripDecoder,
                 MetaspaceDecoder, WordPieceDecoder, BpeDecoder, CtcDecoder, SpaceJoinDecoder>;

// ---- The whole ----

struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::kBpe;
  // Index = id. An empty text with type kUnused is a hole.
  std::vector<Piece> pieces;
  MergeSource merge_source = MergeSource::kMerges;
  // Best first; both sides and their concatenation are pieces.
  std::vector<std::pair<std::string, std::string>> merges;

  // Unigram: sums of scores are rounded to float, as SentencePiece's own code does; it decides
  // which of two equally probable cuts wins.
  bool float_sums = false;

  // Merges may make pieces of type kUserDefined too (GGUF); else those are matched whole only.
  bool merges_user_defined = false;
  bool byte_fallback = false;  // Characters that the vocabulary lacks become <0xXX> pieces.
  bool fuse_unk = false;       // Neighbouring unknown characters become one unknown token.
  bool ignore_merges = false;  // A word that is a piece is taken whole, merges or not.
  std::string continuing_subword_prefix;    // Before every symbol of a word but the first.
  std::string end_of_word_suffix;           // After the last symbol of a word.
  std::uint32_t word_characters_max = 100;  // WordPiece: a longer word is unknown.

  std::vector<AddedToken> added_tokens;
  std::vector<NormalizerStep> normalizers;
  std::vector<PreTokenizerStep> pre_tokenizers;
  std::vector<DecoderStep> decoders;

  // What encode puts around a text when special tokens are asked for.
  std::vector<TokenId> prefix_ids;
  std::vector<TokenId> suffix_ids;

  std::optional<TokenId> unk_id;
  std::optional<TokenId> bos_id;
  std::optional<TokenId> eos_id;
  std::optional<TokenId> pad_id;
  // Every id after which a model has said all it wanted to say; eos_id is one of them.
  std::vector<TokenId> end_of_generation_ids;

  // Jinja sources found beside the vocabulary; the nameless one is the default.
  struct NamedTemplate {
    std::string name;
    std::string source;
  };
  std::vector<NamedTemplate> chat_templates;
};

}  // namespace millrace
