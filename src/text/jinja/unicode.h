// Code points of UTF-8 text: counting, cutting, classes and letter cases as Python's str has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::jinja {

std::size_t count_code_points(std::string_view text);
// The offset of a code point; the text's size when there are not that many.
std::size_t code_point_offset(std::string_view text, std::size_t index);
// The offset of the code point that ends at `end`; end > 0.
std::size_t previous_code_point(std::string_view text, std::size_t end);

// What str.isspace, str.strip and \s call white space.
bool is_space(char32_t code_point);
std::string_view strip_space_left(std::string_view text);
std::string_view strip_space_right(std::string_view text);
// What str.splitlines calls the end of a line; \r\n is one.
bool is_line_break(char32_t code_point);

enum class CharacterClass : std::uint8_t {
  kAlpha,
  kDecimal,
  kDigit,
  kNumeric,
  kAlnum,
  kLower,
  kUpper,
  kTitle,
  kCased,
  kWordStart,  // May start a name.
  kWord,       // May be in a name.
  kPrintable,
};
bool has_class(char32_t code_point, CharacterClass wanted);

enum class LetterCase : std::uint8_t { kUpper, kLower, kTitle, kFold, kSwap, kCapitalize };
// str.upper, .lower, .title, .casefold, .swapcase, .capitalize.
Result<std::string> change_case(std::string_view text, LetterCase to);

// str.islower and .isupper, for kLower and kUpper.
Result<bool> has_letter_case(std::string_view text, CharacterClass wanted);

// Fails by name for text beyond ASCII in a build without utf8proc.
Status require_unicode_tables(std::string_view text);

}  // namespace millrace::jinja
