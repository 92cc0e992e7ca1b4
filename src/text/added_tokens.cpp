// A byte trie in one hash table, and the rules of Hugging Face's flags for what a match takes.
#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"

namespace millrace {
namespace {

std::uint64_t edge_key(std::uint32_t node, char byte) {
  return (std::uint64_t{node} << 8) | static_cast<std::uint8_t>(byte);
}

// The character that ends a non-empty text.
Utf8Character last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<std::uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return decode_utf8(text.substr(begin));
}

std::size_t white_space_bytes_at_end(std::string_view text) {
  std::size_t num_bytes = 0;
  while (num_bytes < text.size()) {
    const Utf8Character last = last_character(text.substr(0, text.size() - num_bytes));
    if (!is_whitespace(last.code_point)) break;
    num_bytes += last.num_bytes;
  }
  return num_bytes;
}

std::size_t white_space_bytes_at_start(std::string_view text) {
  std::size_t num_bytes = 0;
  while (num_bytes < text.size()) {
    const Utf8Character first = decode_utf8(text.substr(num_bytes));
    if (!is_whitespace(first.code_point)) break;
    num_bytes += first.num_bytes;
  }
  return num_bytes;
}

bool stands_alone(std::string_view before, std::string_view after) {
  const bool left = before.empty() || !is_word(last_character(before).code_point);
  const bool right = after.empty() || !is_word(decode_utf8(after).code_point);
  return left && right;
}

}  // namespace

Status AddedTokenFinder::add(const AddedToken& token, std::string_view content) {
  if (content.empty() || content.size() > kContentBytesMax) {
    return Error{ErrorCode::kCorruptData, "added token " + std::to_string(token.id) + " of " +
                                              std::to_string(content.size()) +
                                              " bytes; expected 1 to " +
                                              std::to_string(kContentBytesMax)};
  }
  std::uint32_t node = 0;
  for (const char byte : content) {
    const auto added = static_cast<std::uint32_t>(token_of_node_.size());
    if (edges_.insert(edge_key(node, byte), added)) token_of_node_.push_back(kNone);
    node = *edges_.find(edge_key(node, byte));
  }
  starts_[static_cast<std::uint8_t>(content[0])] = true;
  if (token_of_node_[node] != kNone) return Ok{};  // Two ids with one content: the first counts.
  token_of_node_[node] = static_cast<std::uint32_t>(tokens_.size());
  tokens_.push_back({token.id, token.special, token.single_word, token.lstrip, token.rstrip});
  return Ok{};
}

AddedTokenFinder::Match AddedTokenFinder::longest_match(std::string_view text) const {
  Match match;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint32_t* next = edges_.find(edge_key(node, text[i]));
    if (next == nullptr) break;
    node = *next;
    if (token_of_node_[node] != kNone) match = {i + 1, token_of_node_[node]};
  }
  return match;
}

bool AddedTokenFinder::begins_special(std::string_view text) const {
  if (text.empty() || !starts_[static_cast<std::uint8_t>(text[0])]) return false;
  std::uint32_t node = 0;
  for (const char byte : text) {
    const std::uint32_t* next = edges_.find(edge_key(node, byte));
    if (next == nullptr) return false;
    node = *next;
    if (token_of_node_[node] != kNone && tokens_[token_of_node_[node]].special) return true;
  }
  return false;
}

void AddedTokenFinder::cut(std::string_view text, ParseSpecial parse_special,
                           std::vector<TextSection>& sections, std::string_view plain_mark) const {
  const auto is_plain = [&](std::size_t begin) {
    if (parse_special == ParseSpecial::kNo) return true;
    return !plain_mark.empty() && text.substr(0, begin).ends_with(plain_mark);
  };
  std::size_t done = 0;          // Everything before it is in a section.
  std::size_t stripped_end = 0;  // Of the white space that rstrip took last.
  std::size_t at = 0;
  while (at < text.size()) {
    if (!starts_[static_cast<std::uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = longest_match(text.substr(at));
    if (match.num_bytes == 0) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + match.num_bytes;
    at = end;  // A match that is passed over still hides others that begin inside it.
    const Token& token = tokens_[match.token];
    if (token.special && is_plain(begin)) continue;
    if (token.single_word && !stands_alone(text.substr(0, begin), text.substr(end))) continue;
    if (token.lstrip && done < begin) {
      begin -= white_space_bytes_at_end(text.substr(done, begin - done));
    }
    if (token.rstrip) {
      if (end > stripped_end) stripped_end = end + white_space_bytes_at_start(text.substr(end));
      end = stripped_end;
    }
    if (done < begin) sections.push_back({text.substr(done, begin - done), std::nullopt});
    sections.push_back({text.substr(begin, end - begin), token.id});
    done = end;  // Tokens inside the white space that rstrip took are still found after it.
  }
  if (done < text.size()) sections.push_back({text.substr(done), std::nullopt});
}

}  // namespace millrace
