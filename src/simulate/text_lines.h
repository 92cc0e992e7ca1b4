// Walks over the lines of a text from outside, within limits, and says where it is in errors.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// Lines end in \n or \r\n; blank lines and a byte-order mark at the beginning are passed over.
// Views the text.
class TextLines {
 public:
  TextLines(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  // The next line, or nothing at the end.
  std::optional<std::string_view> next() {
    while (!rest_.empty()) {
      ++number_;
      const std::size_t end = rest_.find('\n');
      std::string_view line = rest_.substr(0, end);
      rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.find_first_not_of(" \t") != std::string_view::npos) return line;
    }
    return std::nullopt;
  }

  std::size_t number() const { return number_; }
  // "name, line 7".
  std::string where() const { return name_ + ", line " + std::to_string(number_); }
  Error corrupt(const std::string& what) const {
    return Error{ErrorCode::kCorruptData, where() + ": " + what};
  }
  Error too_large(const std::string& what) const {
    return Error{ErrorCode::kTooLarge, where() + ": " + what};
  }

 private:
  std::string_view rest_;
  std::string name_;
  std::size_t number_ = 0;
};

// At most 40 characters of what was found, with anything that is not plain ASCII as '?'.
inline std::string shown(std::string_view text) {
  constexpr std::size_t kCharactersMax = 40;
  std::string plain(text.substr(0, kCharactersMax));
  for (char& c : plain) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return "'" + plain + (text.size() > kCharactersMax ? "...'" : "'");
}

}  // namespace millrace
