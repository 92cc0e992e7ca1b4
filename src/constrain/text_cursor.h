// Reading a pattern or a grammar character by character, with the place for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// Of text that is UTF-8.
class TextCursor {
 public:
  TextCursor(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  bool at_end() const { return pos_ >= text_.size(); }
  std::size_t pos() const { return pos_; }
  void set_pos(std::size_t pos) { pos_ = pos; }
  // The next byte; 0 at the end.
  char peek(std::size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  bool starts_with(std::string_view prefix) const { return text_.substr(pos_).starts_with(prefix); }
  void skip(std::size_t num_bytes) { pos_ += num_bytes; }
  bool try_read(char c) {
    if (at_end() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  bool try_read(std::string_view word) {
    if (!starts_with(word)) return false;
    pos_ += word.size();
    return true;
  }
  std::string_view text_from(std::size_t pos) const { return text_.substr(pos, pos_ - pos); }
  // The next character; not at the end.
  std::uint32_t read_code_point();
  // So many hexadecimal digits; nothing, and nothing read, where there are fewer.
  std::optional<std::uint32_t> try_read_hex(std::size_t num_digits);
  // A decimal number up to ten digits that is less than 2^32 - 1.
  std::optional<std::uint32_t> try_read_number();

  Error error(ErrorCode code, const std::string& what) const {
    return Error{code, name_ + ": " + what + " at byte " + std::to_string(pos_)};
  }
  Error error(const std::string& what) const { return error(ErrorCode::kInvalidArgument, what); }
  const std::string& name() const { return name_; }

 private:
  std::string_view text_;
  std::string name_;
  std::size_t pos_ = 0;
};

}  // namespace millrace
