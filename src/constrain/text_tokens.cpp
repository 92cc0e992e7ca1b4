// Cutting each token behind its plain characters.
#include "constrain/text_tokens.h"

#include <algorithm>

#include "text/utf8.h"

namespace millrace {
namespace {

constexpr std::size_t kMaskBits = 32;

// Bytes of the plain character at the front; 0 where there is none.
std::size_t plain_char_bytes(std::string_view text, const std::array<bool, 256>& has_byte) {
  if (text.empty() || !is_plain_text_start(static_cast<std::uint8_t>(text[0]))) return 0;
  const Utf8Character decoded = decode_utf8(text);
  if (!decoded.valid) return 0;
  for (std::size_t i = 0; i < decoded.num_bytes; ++i) {
    if (!has_byte[static_cast<std::uint8_t>(text[i])]) return 0;
  }
  return decoded.num_bytes;
}

}  // namespace

TextTokens::TextTokens(std::span<const TokenTrie::Entry> tokens,
                       const std::array<bool, 256>& has_byte, std::size_t mask_words)
    : mask_words_(mask_words), whole_((kCharsMax + 1) * mask_words, 0) {
  std::array<std::vector<TokenTrie::Entry>, kCharsMax + 1> rests;
  std::vector<TokenTrie::Entry> any;
  for (const TokenTrie::Entry& token : tokens) {
    std::string_view text = token.bytes;
    std::size_t num_chars = 0;
    for (; num_chars < kCharsMax; ++num_chars) {
      const std::size_t num_bytes = plain_char_bytes(text, has_byte);
      if (num_bytes == 0) break;
      text.remove_prefix(num_bytes);
    }
    if (!text.empty()) {
      rests[num_chars].push_back({text, token.id});
      any.push_back({text, token.id});
    } else {
      whole_[num_chars * mask_words_ + token.id / kMaskBits] |= 1u << (token.id % kMaskBits);
    }
  }
  for (std::size_t i = mask_words_; i < whole_.size(); ++i) whole_[i] |= whole_[i - mask_words_];
  for (std::size_t i = 0; i <= kCharsMax; ++i) rest_[i] = TokenTrie(std::move(rests[i]));
  any_rest_ = TokenTrie(std::move(any));
}

std::uint64_t TextTokens::memory_bytes() const {
  std::uint64_t bytes = whole_.capacity() * sizeof(std::uint32_t) + any_rest_.memory_bytes();
  for (const TokenTrie& trie : rest_) bytes += trie.memory_bytes();
  return bytes;
}

}  // namespace millrace
