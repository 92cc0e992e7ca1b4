// Byte-pair encoding: the best pair first, the leftmost of equals, by a scan or by a heap.
//
// Source: Sennrich et al. 2016, arXiv:1508.07909; SentencePiece's BPE (Kudo & Richardson 2018,
// arXiv:1808.06226) is the same with the score of the merged piece for a rank.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <span>

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/unknown_pieces.h"
#include "text/utf8.h"
#include "text/word_model.h"

namespace millrace {
namespace {

constexpr std::uint32_t kNone = kNoSymbol;
// A longer word is never one piece in practice, so it is not worth a look-up.
constexpr std::size_t kDirectBytesMax = 64;

// ▁, which SentencePiece vocabularies write for a space.
constexpr std::string_view kMarker = "\xE2\x96\x81";

class BpeModel final : public WordModel {
 public:
  BpeModel(const TokenizerSpec& spec, ModelPieces pieces, bool byte_level)
      : pieces_(std::move(pieces)),
        unknown_(spec),
        byte_level_(byte_level),
        ignore_merges_(spec.ignore_merges),
        continuing_prefix_(spec.continuing_subword_prefix),
        word_suffix_(spec.end_of_word_suffix),
        is_plain_(continuing_prefix_.empty() && word_suffix_.empty()),
        unknown_first_(spec.merge_source == MergeSource::kMerges || unknown_.drops_all()),
        num_tokens_(static_cast<std::uint32_t>(spec.pieces.size())),
        direct_(std::make_unique<std::atomic<Direct>[]>(spec.pieces.size())) {}

  Status add_merge_list(const TokenizerSpec& spec);
  void add_merges_of_pieces(const TokenizerSpec& spec);
  // After the merges: what is derived from them and the pieces.
  void finish();

  void encode(std::string_view word, ModelScratch& scratch,
              std::vector<TokenId>& ids) const override;

 private:
  // Whether a word that is a piece encodes to that piece alone. Found out at its first use and
  // remembered: one byte per token, and every thread that finds it out finds the same.
  enum class Direct : std::uint8_t { kNotKnown, kYes, kNo };

  // Where a character is in its word.
  static constexpr std::uint8_t kIsFirst = 1;
  static constexpr std::uint8_t kIsLast = 2;

  void find_merge(std::vector<ModelScratch::Symbol>& symbols, std::uint32_t at,
                  std::uint32_t right) const {
    ModelScratch::Symbol& symbol = symbols[at];
    const Merge merge = merges_.find(symbol.id, symbols[right].id);
    symbol.rank = merge.rank;
    symbol.merged = merge.merged;
  }

  void encode_segment(std::string_view word, ModelScratch& scratch,
                      std::vector<TokenId>& ids) const;
  void encode_new(std::string_view word, ModelScratch& scratch, std::vector<TokenId>& ids) const;
  bool marker_only_leads() const;
  bool append_bytes(std::string_view character, std::vector<TokenId>& ids) const;
  std::string_view decorate(std::string_view character, std::uint8_t place,
                            ModelScratch& scratch) const;
  void split(std::string_view word, ModelScratch& scratch) const;
  void merge_by_scan(ModelScratch& scratch) const;
  void encode_short_bytes(std::string_view word, ScanMerge& scan, std::vector<TokenId>& ids) const;
  void merge_by_heap(ModelScratch& scratch) const;
  void emit(std::string_view word, const ModelScratch& scratch, std::vector<TokenId>& ids) const;
  std::uint32_t symbol_for_part(std::string_view part);

  ModelPieces pieces_;
  UnknownPieces unknown_;
  bool byte_level_;
  bool ignore_merges_;
  std::string continuing_prefix_;
  std::string word_suffix_;
  bool is_plain_;  // Neither of the two.
  // What stands for a character that is no symbol is found before merging (as in Hugging Face's
  // library) or after it (as in SentencePiece's).
  bool unknown_first_;
  // Ids of tokens; from here on, symbols for characters that occur in pieces but are none.
  std::uint32_t num_tokens_;
  std::uint32_t num_character_symbols_ = 0;
  MergeTable merges_;
  std::array<std::uint32_t, 256> byte_symbols_;
  // Where every byte is a symbol: the merges of two bytes, by both. Else empty.
  std::vector<Merge> byte_merges_;
  // No merge reaches across the start of a marker that follows something else, so that a text
  // without a pre-tokeniser (Llama 2) can be encoded word by word all the same.
  bool cut_at_marker_ = false;
  mutable std::unique_ptr<std::atomic<Direct>[]> direct_;  // By token.
};

Status BpeModel::add_merge_list(const TokenizerSpec& spec) {
  merges_.reserve(spec.merges.size());
  const auto id_of = [&](const std::string& text) -> std::optional<std::uint32_t> {
    if (!byte_level_) return pieces_.ids.find(text);
    const std::optional<std::string> bytes = alphabet_to_bytes(text);
    return bytes ? pieces_.ids.find(*bytes) : std::nullopt;
  };
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const std::size_t num_dropped =
        right.starts_with(continuing_prefix_) ? continuing_prefix_.size() : 0;
    const std::optional<std::uint32_t> left_id = id_of(left);
    const std::optional<std::uint32_t> right_id = id_of(right);
    const std::optional<std::uint32_t> merged_id = id_of(left + right.substr(num_dropped));
    if (!left_id || !right_id || !merged_id) {
      // Of special tokens, which no plain text becomes.
      const bool of_special = pieces_.special.contains(left) || pieces_.special.contains(right) ||
                              pieces_.special.contains(left + right.substr(num_dropped));
      if (of_special) continue;
      return Error{ErrorCode::kCorruptData, "merge " + std::to_string(rank) + " of '" + left +
                                                "' and '" + right +
                                                "' is not of pieces of the vocabulary"};
    }
    // Of a merge that is listed twice the last counts, as in the reference library.
    merges_.insert_or_assign(*left_id, *right_id, {static_cast<std::uint32_t>(rank), *merged_id});
  }
  return Ok{};
}

// The symbol of a part of a piece: a piece itself, or a character that no piece is.
std::uint32_t BpeModel::symbol_for_part(std::string_view part) {
  if (const std::optional<std::uint32_t> id = pieces_.ids.find(part)) return *id;
  if (byte_level_ || decode_utf8(part).num_bytes != part.size()) return kNone;
  const std::uint32_t symbol = num_tokens_ + num_character_symbols_++;
  pieces_.ids.insert(part, symbol);
  return symbol;
}

void BpeModel::add_merges_of_pieces(const TokenizerSpec& spec) {
  // Equal scores are equal ranks, and the leftmost of them merges first.
  std::vector<double> scores;
  for (const Piece& piece : spec.pieces) scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  for (std::uint32_t id = 0; id < num_tokens_; ++id) {
    const std::string& text = pieces_.texts[id];
    const auto rank =
        spec.merge_source == MergeSource::kPieceRank
            ? id
            : static_cast<std::uint32_t>(std::lower_bound(scores.begin(), scores.end(),
                                                          spec.pieces[id].score, std::greater<>()) -
                                         scores.begin());
    for (std::size_t at = 1; at < text.size(); ++at) {
      const bool inside_character =
          !byte_level_ && (static_cast<std::uint8_t>(text[at]) & 0xC0) == 0x80;
      if (inside_character) continue;
      const std::uint32_t left = symbol_for_part(std::string_view(text).substr(0, at));
      const std::uint32_t right = symbol_for_part(std::string_view(text).substr(at));
      if (left == kNone || right == kNone) continue;
      merges_.insert(left, right, {rank, id});
    }
  }
}

bool BpeModel::marker_only_leads() const {
  return std::all_of(pieces_.texts.begin(), pieces_.texts.end(), [](std::string_view text) {
    while (text.starts_with(kMarker)) text.remove_prefix(kMarker.size());
    return text.find(kMarker) == std::string_view::npos;
  });
}

void BpeModel::finish() {
  pieces_.special.clear();  // Of the spec, which need not outlive this.
  for (std::size_t byte = 0; byte < byte_symbols_.size(); ++byte) {
    const char text = static_cast<char>(byte);
    byte_symbols_[byte] = pieces_.ids.find({&text, 1}).value_or(kNone);
  }
  merges_.finish();
  const bool all_bytes =
      std::find(byte_symbols_.begin(), byte_symbols_.end(), kNone) == byte_symbols_.end();
  if (byte_level_ && is_plain_ && all_bytes) {
    byte_merges_.reserve(byte_symbols_.size() * byte_symbols_.size());
    for (const std::uint32_t left : byte_symbols_) {
      for (const std::uint32_t right : byte_symbols_) {
        byte_merges_.push_back(merges_.find(left, right));
      }
    }
  }
  cut_at_marker_ = !byte_level_ && !ignore_merges_ && continuing_prefix_.empty() &&
                   word_suffix_.empty() &&
                   pieces_.ids.find(kMarker).value_or(kNone) < num_tokens_ && marker_only_leads();
}

// A character as the vocabulary would have it at this place in a word.
std::string_view BpeModel::decorate(std::string_view character, std::uint8_t place,
                                    ModelScratch& scratch) const {
  const bool prefixed = (place & kIsFirst) == 0 && !continuing_prefix_.empty();
  const bool suffixed = (place & kIsLast) != 0 && !word_suffix_.empty();
  if (!prefixed && !suffixed) return character;
  scratch.text.clear();
  if (prefixed) scratch.text += continuing_prefix_;
  scratch.text += character;
  if (suffixed) scratch.text += word_suffix_;
  return scratch.text;
}

// The library's words are in the byte-level alphabet, and so are the characters whose bytes it
// falls back to.
bool BpeModel::append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
  if (!unknown_.falls_back()) return false;
  return unknown_.append_bytes(byte_level_ ? bytes_to_alphabet(character) : std::string(character),
                               ids);
}

void BpeModel::split(std::string_view word, ModelScratch& scratch) const {
  scratch.symbols.clear();
  std::vector<ModelScratch::Symbol>& symbols = scratch.symbols;
  const auto push = [&symbols](std::uint32_t id, std::uint32_t begin) {
    const auto at = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({id, begin, at - 1, at + 1, kNone, kNone});
  };
  bool has_unknown = false;  // An unknown token that is not in `symbols` yet.
  const auto push_unknown = [&](std::uint32_t begin) {
    if (has_unknown) push(*unknown_.unk_id(), begin);
    has_unknown = false;
  };
  std::uint32_t begin = 0;
  while (begin < word.size()) {
    const auto byte = static_cast<std::uint8_t>(word[begin]);
    const std::uint32_t num_bytes = byte_level_ ? 1 : decode_utf8(word.substr(begin)).num_bytes;
    std::string_view character = word.substr(begin, num_bytes);
    std::uint32_t id = kNone;
    if (num_bytes == 1 && is_plain_) {
      id = byte_symbols_[byte];
    } else {
      const int place =
          (begin == 0 ? kIsFirst : 0) | (begin + num_bytes == word.size() ? kIsLast : 0);
      character = decorate(character, static_cast<std::uint8_t>(place), scratch);
      id = pieces_.ids.find(character).value_or(kNone);
    }
    if (id != kNone || !unknown_first_) {
      push_unknown(begin);
      push(id, begin);
    } else if (scratch.ids.clear(); append_bytes(character, scratch.ids)) {
      // Bytes neither end a run of unknown characters nor come after it: so it is in the library.
      for (const TokenId byte_id : scratch.ids) push(byte_id, begin);
    } else if (unknown_.unk_id()) {
      if (!unknown_.fuses()) push_unknown(begin);
      has_unknown = true;
    }
    begin += num_bytes;
  }
  push_unknown(begin);
  if (symbols.empty()) return;
  symbols.back().next = kNone;
  for (std::uint32_t at = 0; at + 1 < symbols.size(); ++at) find_merge(symbols, at, at + 1);
}

void BpeModel::merge_by_scan(ModelScratch& scratch) const {
  ScanMerge& scan = scratch.scan;
  scan.clear();
  for (const ModelScratch::Symbol& symbol : scratch.symbols) {
    scan.push(symbol.id, {symbol.rank, symbol.merged});
  }
  scan.run(merges_);
  for (std::size_t at = 0; at < scan.size(); at = scan.next(at)) {
    const std::size_t next = scan.next(at);
    scratch.symbols[at].id = scan.id(at);
    scratch.symbols[at].next = next == scan.size() ? kNone : static_cast<std::uint32_t>(next);
  }
}

// A word whose every byte is a symbol, and every symbol a token.
void BpeModel::encode_short_bytes(std::string_view word, ScanMerge& scan,
                                  std::vector<TokenId>& ids) const {
  scan.clear();
  std::size_t byte = static_cast<std::uint8_t>(word[0]);
  for (const char c : word.substr(1)) {
    const std::size_t right = static_cast<std::uint8_t>(c);
    scan.push(byte_symbols_[byte], byte_merges_[byte * byte_symbols_.size() + right]);
    byte = right;
  }
  scan.push(byte_symbols_[byte], {});
  scan.run(merges_);
  for (std::size_t at = 0; at < scan.size(); at = scan.next(at)) ids.push_back(scan.id(at));
}

// Entries are rank and position in one number, so that equal ranks come out leftmost first. An
// entry is out of date when its position no longer has that rank; it is then skipped.
void BpeModel::merge_by_heap(ModelScratch& scratch) const {
  std::vector<ModelScratch::Symbol>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& heap = scratch.heap;
  heap.clear();
  const auto entry = [&symbols](std::uint32_t at) {
    return (std::uint64_t{symbols[at].rank} << 32) | at;
  };
  const auto push = [&](std::uint32_t at) {
    if (symbols[at].rank == kNone) return;
    heap.push_back(entry(at));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  // The first entries are sorted once, and only later ones need a heap.
  std::vector<std::uint64_t>& first = scratch.first_entries;
  first.clear();
  for (std::uint32_t at = 0; at < symbols.size(); ++at) {
    if (symbols[at].rank != kNone) first.push_back(entry(at));
  }
  if (!std::is_sorted(first.begin(), first.end())) std::sort(first.begin(), first.end());
  std::size_t num_taken = 0;
  while (num_taken < first.size() || !heap.empty()) {
    std::uint64_t top = 0;
    if (heap.empty() || (num_taken < first.size() && first[num_taken] <= heap.front())) {
      top = first[num_taken++];
    } else {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      top = heap.back();
      heap.pop_back();
    }
    const auto at = static_cast<std::uint32_t>(top);
    ModelScratch::Symbol& symbol = symbols[at];
    if (symbol.rank == kNone || entry(at) != top) continue;
    symbol.id = symbol.merged;
    ModelScratch::Symbol& absorbed = symbols[symbol.next];
    absorbed.rank = kNone;
    symbol.next = absorbed.next;
    symbol.rank = kNone;
    if (symbol.next != kNone) {
      symbols[symbol.next].previous = at;
      find_merge(symbols, at, symbol.next);
      push(at);
    }
    if (at != 0) {
      find_merge(symbols, symbol.previous, at);
      push(symbol.previous);
    }
  }
}

void BpeModel::emit(std::string_view word, const ModelScratch& scratch,
                    std::vector<TokenId>& ids) const {
  const std::vector<ModelScratch::Symbol>& symbols = scratch.symbols;
  UnknownPieces::Run run = UnknownPieces::Run::kOutside;
  for (std::uint32_t at = 0; at != kNone; at = symbols[at].next) {
    if (symbols[at].id < num_tokens_) {
      ids.push_back(symbols[at].id);
      run = UnknownPieces::Run::kOutside;
      continue;
    }
    const std::uint32_t next = symbols[at].next;
    const std::size_t end = next == kNone ? word.size() : symbols[next].begin;
    run = unknown_.append(word.substr(symbols[at].begin, end - symbols[at].begin), run, ids);
  }
}

void BpeModel::encode(std::string_view word, ModelScratch& scratch,
                      std::vector<TokenId>& ids) const {
  while (cut_at_marker_) {
    // The end of the marker, or run of markers, that begins this segment.
    std::size_t at = 0;
    while (word.substr(at).starts_with(kMarker)) at += kMarker.size();
    const std::size_t next = word.find(kMarker, at);
    if (next == std::string_view::npos || next == 0) break;
    encode_segment(word.substr(0, next), scratch, ids);
    word.remove_prefix(next);
  }
  encode_segment(word, scratch, ids);
}

void BpeModel::encode_segment(std::string_view word, ModelScratch& scratch,
                              std::vector<TokenId>& ids) const {
  if (scratch.words.append(word, ids)) return;
  const std::size_t num_before = ids.size();
  encode_new(word, scratch, ids);
  scratch.words.put(word, std::span(ids).subspan(num_before));
}

void BpeModel::encode_new(std::string_view word, ModelScratch& scratch,
                          std::vector<TokenId>& ids) const {
  std::optional<std::uint32_t> whole;
  if (word.size() <= kDirectBytesMax || ignore_merges_) whole = pieces_.ids.find(word);
  if (whole && *whole >= num_tokens_) whole.reset();
  if (whole) {
    const Direct direct = direct_[*whole].load(std::memory_order_relaxed);
    if (ignore_merges_ || direct == Direct::kYes) {
      ids.push_back(*whole);
      return;
    }
    if (direct == Direct::kNo) whole.reset();
  }
  const std::size_t num_before = ids.size();
  if (!byte_merges_.empty() && word.size() <= ScanMerge::kSymbolsMax) {
    encode_short_bytes(word, scratch.scan, ids);
  } else {
    split(word, scratch);
    if (scratch.symbols.empty()) return;
    if (scratch.symbols.size() <= ScanMerge::kSymbolsMax) {
      merge_by_scan(scratch);
    } else {
      merge_by_heap(scratch);
    }
    emit(word, scratch, ids);
  }
  if (!whole) return;
  const bool is_direct = ids.size() == num_before + 1 && ids.back() == *whole;
  direct_[*whole].store(is_direct ? Direct::kYes : Direct::kNo, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<WordModel>> make_bpe_model(const TokenizerSpec& spec, ModelPieces pieces,
                                                  bool byte_level) {
  auto model = std::make_unique<BpeModel>(spec, std::move(pieces), byte_level);
  if (spec.merge_source == MergeSource::kMerges) {
    TRY(model->add_merge_list(spec));
  } else {
    model->add_merges_of_pieces(spec);
  }
  model->finish();
  return std::unique_ptr<WordModel>(std::move(model));
}

}  // namespace millrace
