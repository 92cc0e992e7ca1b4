// Finding marks at the front of, or anywhere in, a text that is still coming.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace {

inline bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

enum class MarkMatch { kNo, kYes, kMaybe };

// Whether the text begins with the mark, or could when more comes.
inline MarkMatch match_front(std::string_view text, std::string_view mark) {
  if (text.size() >= mark.size()) {
    return starts_with(text, mark) ? MarkMatch::kYes : MarkMatch::kNo;
  }
  return starts_with(mark, text) ? MarkMatch::kMaybe : MarkMatch::kNo;
}

// Bytes at the text's end that are the beginning of a mark: what must be held back.
inline std::size_t held_bytes(std::string_view text, std::string_view mark) {
  for (std::size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == mark.substr(0, n)) return n;
  }
  return 0;
}

inline bool is_white(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

inline std::size_t num_white_front(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_white(text[n])) ++n;
  return n;
}

inline std::size_t num_white_back(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_white(text[text.size() - 1 - n])) ++n;
  return n;
}

}  // namespace millrace
