// Characters, hexadecimal and decimal numbers out of a text.
#include "constrain/text_cursor.h"

#include <limits>

#include "base/check.h"

namespace millrace {

std::uint32_t TextCursor::read_code_point() {
  CHECK(!at_end());
  const auto byte = [this](std::size_t ahead) {
    return std::uint32_t{static_cast<std::uint8_t>(peek(ahead))};
  };
  const std::uint32_t first = byte(0);
  const std::size_t num_tails = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  std::uint32_t code_point = num_tails == 0 ? first : first & (0x3Fu >> num_tails);
  for (std::size_t i = 1; i <= num_tails; ++i) code_point = (code_point << 6) | (byte(i) & 0x3Fu);
  pos_ += num_tails + 1;
  return code_point;
}

std::optional<std::uint32_t> TextCursor::try_read_hex(std::size_t num_digits) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < num_digits; ++i) {
    const char c = peek(i);
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = (value << 4) | digit;
  }
  pos_ += num_digits;
  return value;
}

std::optional<std::uint32_t> TextCursor::try_read_number() {
  constexpr std::size_t kDigitsMax = 10;
  std::uint64_t value = 0;
  std::size_t num_digits = 0;
  for (; peek(num_digits) >= '0' && peek(num_digits) <= '9'; ++num_digits) {
    if (num_digits == kDigitsMax) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(peek(num_digits) - '0');
  }
  if (num_digits == 0 || value >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  pos_ += num_digits;
  return static_cast<std::uint32_t>(value);
}

}  // namespace millrace
