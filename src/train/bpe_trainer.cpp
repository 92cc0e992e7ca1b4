// Word counts, pair counts, and the queue of merges.
#include "train/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>

#include "text/byte_alphabet.h"

namespace millrace {
namespace {

constexpr std::size_t kNumBytes = 256;

using PairKey = std::uint64_t;  // left id in the high half: keys order as pairs do

PairKey key_of(TokenId left, TokenId right) {
  return (PairKey{left} << 32) | right;
}

struct Word {
  std::vector<TokenId> ids;
  std::uint64_t count = 0;
};

struct PairFacts {
  std::uint64_t count = 0;
  std::vector<std::uint32_t> words;  // where it is or was, some of them more than once
};

// The best pair first. Counts may be out of date; who takes one looks again.
struct Candidate {
  std::uint64_t count = 0;
  PairKey pair = 0;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Merger {
 public:
  explicit Merger(std::vector<Word> words) : words_(std::move(words)) {
    for (std::uint32_t i = 0; i < words_.size(); ++i) count_pairs(i);
    for (const auto& [pair, facts] : pairs_) queue_.push({facts.count, pair});
    fresh_.clear();
  }

  // The next merge's pair; nothing when the best one is too rare.
  std::optional<PairKey> best(std::uint64_t count_min) {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      const std::uint64_t count = pairs_[top.pair].count;
      if (count == 0) continue;
      if (count != top.count) {
        queue_.push({count, top.pair});
        continue;
      }
      if (count < count_min) return std::nullopt;
      return top.pair;
    }
    return std::nullopt;
  }

  void merge(PairKey pair, TokenId merged) {
    const std::vector<std::uint32_t> holders = std::move(pairs_[pair].words);
    for (const std::uint32_t word : holders) merge_in(word, pair, merged);
    pairs_.erase(pair);
    for (const PairKey made : fresh_) {
      const auto found = pairs_.find(made);
      if (found != pairs_.end()) queue_.push({found->second.count, made});
    }
    fresh_.clear();
  }

 private:
  void count_pairs(std::uint32_t index) {
    const Word& word = words_[index];
    for (std::size_t i = 1; i < word.ids.size(); ++i) {
      add(key_of(word.ids[i - 1], word.ids[i]), index);
    }
  }

  void add(PairKey pair, std::uint32_t index) {
    PairFacts& facts = pairs_[pair];
    if (facts.words.empty()) fresh_.push_back(pair);
    facts.count += words_[index].count;
    if (facts.words.empty() || facts.words.back() != index) facts.words.push_back(index);
  }

  void take(PairKey pair, std::uint32_t index) { pairs_[pair].count -= words_[index].count; }

  void merge_in(std::uint32_t index, PairKey pair, TokenId merged) {
    std::vector<TokenId>& ids = words_[index].ids;
    std::vector<TokenId> next;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i + 1 < ids.size() && key_of(ids[i], ids[i + 1]) == pair) {
        next.push_back(merged);
        ++i;
      } else {
        next.push_back(ids[i]);
      }
    }
    if (next.size() == ids.size()) return;
    // Only pairs next to a merge change, but the others' counts cancel out.
    for (std::size_t i = 1; i < ids.size(); ++i) take(key_of(ids[i - 1], ids[i]), index);
    for (std::size_t i = 1; i < next.size(); ++i) {
      const PairKey kept = key_of(next[i - 1], next[i]);
      if (next[i - 1] == merged || next[i] == merged) {
        add(kept, index);
      } else {
        pairs_[kept].count += words_[index].count;
      }
    }
    ids = std::move(next);
  }

  std::vector<Word> words_;
  std::unordered_map<PairKey, PairFacts> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<PairKey> fresh_;  // pairs that came up in this merge
};

// The bytes in the order of their characters in the byte-level alphabet, which is the order that
// Hugging Face's trainer gives them ids in.
std::array<std::uint8_t, kNumBytes> bytes_by_character() {
  std::array<std::uint8_t, kNumBytes> bytes{};
  for (std::size_t i = 0; i < kNumBytes; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  std::sort(bytes.begin(), bytes.end(), [](std::uint8_t a, std::uint8_t b) {
    return byte_to_alphabet(a) < byte_to_alphabet(b);
  });
  return bytes;
}

// Everything but the merges.
TokenizerSpec begin_spec(const BpeOptions& options) {
  TokenizerSpec spec;
  for (const std::string& content : options.special_tokens) {
    const auto id = static_cast<TokenId>(spec.pieces.size());
    spec.pieces.push_back({.text = content, .score = 0, .type = PieceType::kControl});
    spec.added_tokens.push_back({.id = id, .content = content, .special = true});
    spec.end_of_generation_ids.push_back(id);
  }
  for (const std::uint8_t byte : bytes_by_character()) {
    spec.pieces.push_back({.text = bytes_to_alphabet(std::string(1, static_cast<char>(byte)))});
  }
  spec.pre_tokenizers.emplace_back(
      SplitPreTokenizer{{Pattern::Kind::kRegex, options.word_pattern}, SplitBehavior::kIsolated});
  spec.pre_tokenizers.emplace_back(
      ByteLevelPreTokenizer{.add_prefix_space = false, .use_regex = false});
  spec.decoders.emplace_back(ByteLevelDecoder{});
  return spec;
}

}  // namespace

Result<BpeTrainer> BpeTrainer::create(BpeOptions options) {
  if (options.vocabulary < kNumBytes + options.special_tokens.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "a vocabulary of " + std::to_string(options.vocabulary) + " has no room for 256 " +
                     "bytes and " + std::to_string(options.special_tokens.size()) +
                     " special tokens"};
  }
  PreTokenizer pre_tokenizer = TRY(PreTokenizer::create(begin_spec(options).pre_tokenizers));
  return BpeTrainer(std::move(options), std::move(pre_tokenizer));
}

Status BpeTrainer::add(std::string_view text) {
  TRY(pre_tokenizer_.cut(text, SectionPlace::kFirst, *scratch_, cut_));
  num_bytes_ += text.size();
  for (const ByteRange& range : cut_.words) {
    if (range.end - range.begin > kWordBytesMax) continue;
    ++words_[std::string(cut_.text.substr(range.begin, range.end - range.begin))];
  }
  return Ok{};
}

TokenizerSpec BpeTrainer::train() const {
  TokenizerSpec spec = begin_spec(options_);
  std::array<TokenId, kNumBytes> ids{};
  const auto first = static_cast<TokenId>(options_.special_tokens.size());
  const auto order = bytes_by_character();
  for (TokenId i = 0; i < kNumBytes; ++i) ids[order[i]] = first + i;

  std::vector<Word> words;
  for (const auto& [text, count] : words_) {
    Word word{{}, count};
    for (const char c : text) word.ids.push_back(ids[static_cast<std::uint8_t>(c)]);
    words.push_back(std::move(word));
  }
  Merger merger(std::move(words));
  // Two merges may make one text: then it is one piece.
  std::unordered_map<std::string, TokenId> known;
  for (TokenId id = first; id < spec.pieces.size(); ++id) known[spec.pieces[id].text] = id;
  while (spec.pieces.size() < options_.vocabulary) {
    const std::optional<PairKey> pair = merger.best(options_.pair_count_min);
    if (!pair) break;
    const std::string& left = spec.pieces[*pair >> 32].text;
    const std::string& right = spec.pieces[*pair & 0xFFFFFFFFu].text;
    spec.merges.emplace_back(left, right);
    const auto [found, is_new] =
        known.try_emplace(left + right, static_cast<TokenId>(spec.pieces.size()));
    if (is_new) spec.pieces.push_back({.text = found->first});
    merger.merge(*pair, found->second);
  }
  if (!options_.special_tokens.empty()) spec.eos_id = 0;
  return spec;
}

}  // namespace millrace
