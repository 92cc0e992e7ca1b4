// What each token adds to a text.
#include "constrain/token_vocabulary.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::size_t kTokenBytesMax = 65535;  // a node of the trie counts its depth in 16 bits
constexpr std::size_t kNumTokensMax = std::size_t{1} << 24;

// 0xFF, then the id, seven bits a byte.
std::string special_encoding(TokenId id) {
  std::string bytes(1, static_cast<char>(TokenVocabulary::kSpecialByte));
  for (int shift = 21; shift >= 0; shift -= 7) {
    bytes += static_cast<char>((id >> shift) & 0x7Fu);
  }
  return bytes;
}

bool is_ordinary(std::string_view bytes) {
  const char special = static_cast<char>(TokenVocabulary::kSpecialByte);
  return !bytes.empty() && bytes.size() <= kTokenBytesMax &&
         bytes.find(special) == std::string_view::npos;
}

}  // namespace

Result<std::shared_ptr<const TokenVocabulary>> TokenVocabulary::create(
    const Tokenizer& tokenizer, std::size_t num_logits, std::span<const TokenId> stop_ids) {
  std::vector<VocabularyToken> tokens(std::min(tokenizer.num_tokens(), kNumTokensMax));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    const bool ends = tokenizer.is_end_of_generation(id);
    tokens[i] = {.bytes = std::string(tokenizer.piece(id)),
                 .is_special = ends || tokenizer.is_special(id)};
  }
  const std::span<const TokenId> known = tokenizer.end_of_generation_ids();
  std::vector<TokenId> stops(known.begin(), known.end());
  for (const TokenId id : stop_ids) {
    if (std::find(stops.begin(), stops.end(), id) == stops.end()) stops.push_back(id);
  }
  return create(tokens, stops, num_logits);
}

Result<std::shared_ptr<const TokenVocabulary>> TokenVocabulary::create(
    std::span<const VocabularyToken> tokens, std::span<const TokenId> stop_ids,
    std::size_t num_logits) {
  if (tokens.size() > kNumTokensMax) {
    return Error{ErrorCode::kTooLarge, "vocabulary of " + std::to_string(tokens.size()) +
                                           " tokens exceeds " + std::to_string(kNumTokensMax)};
  }
  std::shared_ptr<TokenVocabulary> vocabulary(new TokenVocabulary());
  vocabulary->num_logits_ = num_logits;
  for (const TokenId id : stop_ids) {
    if (id < num_logits) vocabulary->stop_ids_.push_back(id);
  }
  if (vocabulary->stop_ids_.empty()) {
    return Error{ErrorCode::kUnsupported,
                 "vocabulary has no token that ends a text, so no answer could be held to a "
                 "grammar"};
  }
  vocabulary->add_tokens(tokens.first(std::min(tokens.size(), num_logits)));
  return std::shared_ptr<const TokenVocabulary>(std::move(vocabulary));
}

void TokenVocabulary::add_tokens(std::span<const VocabularyToken> tokens) {
  std::vector<std::size_t> sizes(tokens.size(), 0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    const VocabularyToken& token = tokens[i];
    if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) continue;
    if (token.is_special) {
      if (token.bytes.empty()) continue;
      specials_.push_back({.content = token.bytes, .id = id});
      const std::string encoding = special_encoding(id);
      storage_ += encoding;
      sizes[i] = encoding.size();
    } else if (is_ordinary(token.bytes)) {
      storage_ += token.bytes;
      sizes[i] = token.bytes.size();
    }
  }
  std::sort(specials_.begin(), specials_.end(),
            [](const Special& a, const Special& b) { return a.content < b.content; });

  std::vector<TokenTrie::Entry> entries;
  bytes_of_.resize(tokens.size());
  std::size_t offset = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    bytes_of_[i] = std::string_view(storage_).substr(offset, sizes[i]);
    offset += sizes[i];
    if (sizes[i] == 0) continue;
    entries.push_back({bytes_of_[i], static_cast<TokenId>(i)});
    token_bytes_max_ = std::max(token_bytes_max_, sizes[i]);
    if (sizes[i] == 1) has_byte_[static_cast<std::uint8_t>(bytes_of_[i][0])] = true;
  }
  text_tokens_ = TextTokens(entries, has_byte_, mask_words());
  trie_ = TokenTrie(std::move(entries));
}

std::string TokenVocabulary::special_bytes(std::string_view content) const {
  const auto found =
      std::lower_bound(specials_.begin(), specials_.end(), content,
                       [](const Special& a, std::string_view b) { return a.content < b; });
  if (found == specials_.end() || found->content != content) return {};
  return special_encoding(found->id);
}

std::uint64_t TokenVocabulary::memory_bytes() const {
  return storage_.capacity() + bytes_of_.capacity() * sizeof(std::string_view) +
         trie_.memory_bytes() + text_tokens_.memory_bytes();
}

}  // namespace millrace
