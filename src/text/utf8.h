// UTF-8: reading, writing, checking, repairing, and putting characters together from a byte stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// One step through a text. An ill-formed part is reported as U+FFFD with valid = false, and
// num_bytes covers the longest start of a character that was there (Unicode 15, table 3-8), so that
// one U+FFFD stands for each such part.
struct Utf8Character {
  char32_t code_point = kReplacementCharacter;
  std::uint8_t num_bytes = 1;
  bool valid = false;
};

// The character at the front of a non-empty text.
Utf8Character decode_utf8(std::string_view text);
void append_utf8(char32_t code_point, std::string& out);

// Offset of the first byte that is not part of a character; nothing when all is well.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);
// Every ill-formed part replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

// How many bytes at the end of `text` are the start of a character that more bytes could complete.
std::size_t incomplete_utf8_suffix_bytes(std::string_view text);

// Bytes in, whole characters out; holds at most three bytes.
class Utf8Assembler {
 public:
  // Appends to `out` the characters that are complete or can never be (as U+FFFD).
  void push(std::string_view bytes, std::string& out);
  // What is held, as U+FFFD; empty when nothing is.
  void flush(std::string& out);

 private:
  std::string held_;
};

}  // namespace millrace
