// Scanning numbers and resolving escapes, exactly as far as jinja2's lexer does.
#include "text/jinja/literal.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'z' ? letter - 'a' + 10 : 99;
}
char at(std::string_view text, std::size_t i) {
  return i < text.size() ? text[i] : '\0';
}

// (_?digit)* of a base from `pos`; the end of it.
std::size_t skip_digits(std::string_view text, std::size_t pos, int base) {
  while (true) {
    const std::size_t digit = at(text, pos) == '_' ? pos + 1 : pos;
    if (digit >= text.size() || digit_value(text[digit]) >= base) return pos;
    pos = digit + 1;
  }
}

// (digits_)*digits: like skip_digits from a digit on; `pos` itself when there is none.
std::size_t skip_decimal(std::string_view text, std::size_t pos) {
  return is_digit(at(text, pos)) ? skip_digits(text, pos, 10) : pos;
}

std::size_t skip_exponent(std::string_view text, std::size_t pos) {
  if (lower(at(text, pos)) != 'e') return pos;
  std::size_t digits = pos + 1;
  if (at(text, digits) == '+' || at(text, digits) == '-') ++digits;
  const std::size_t end = skip_decimal(text, digits);
  return end == digits ? pos : end;
}

// The end of a float at the front of the text, or 0.
std::size_t float_end(std::string_view text) {
  const std::size_t whole = skip_decimal(text, 0);
  std::size_t fraction = whole;
  if (at(text, whole) == '.') {
    const std::size_t end = skip_decimal(text, whole + 1);
    if (end > whole + 1) fraction = end;
  }
  const std::size_t end = skip_exponent(text, fraction);
  return end > whole ? end : 0;
}

int prefixed_base(std::string_view text) {
  if (at(text, 0) != '0') return 0;
  switch (lower(at(text, 1))) {
    case 'x':
      return 16;
    case 'o':
      return 8;
    case 'b':
      return 2;
    default:
      return 0;
  }
}

std::string without_underscores(std::string_view text) {
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return digits;
}

// Underscores stand only between digits.
bool underscores_are_fine(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') continue;
    if (i == 0 || i + 1 == text.size()) return false;
    if (digit_value(text[i - 1]) > 36 || digit_value(text[i + 1]) > 36) return false;
  }
  return true;
}

// Decimal digits of other scripts count as digits; in Unicode they come in runs from zero to nine.
std::string with_ascii_digits(std::string_view text) {
  if (count_code_points(text) == text.size()) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    char32_t first = character.code_point;
    if (first >= 0x80 && has_class(first, CharacterClass::kDecimal)) {
      while (has_class(first - 1, CharacterClass::kDecimal)) --first;
      out += static_cast<char>('0' + (character.code_point - first) % 10);
    } else {
      out += text.substr(0, character.num_bytes);
    }
    text.remove_prefix(character.num_bytes);
  }
  return out;
}

std::string_view trim(std::string_view text) {
  return strip_space_right(strip_space_left(text));
}

class Unescaper {
 public:
  explicit Unescaper(std::string_view body) : body_(body) {}

  Result<std::string> run() {
    while (pos_ < body_.size()) {
      if (body_[pos_] != '\\') {
        out_ += body_[pos_++];
        continue;
      }
      ++pos_;
      TRY(read_escape());
    }
    return std::move(out_);
  }

 private:
  Status read_escape() {
    const char c = body_[pos_++];
    switch (c) {
      case '\n':
        return Ok{};
      case 'x':
        return read_hex(2);
      case 'u':
        return read_hex(4);
      case 'U':
        return read_hex(8);
      case 'N':
        return Error{ErrorCode::kUnsupported, "a character by name (\\N) in a string"};
      default:
        break;
    }
    if (c >= '0' && c <= '7') return read_octal();
    constexpr std::string_view kFrom = "\\'\"abfnrtv";
    constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const std::size_t which = kFrom.find(c); which != std::string_view::npos) {
      out_ += kTo[which];
      return Ok{};
    }
    out_ += '\\';
    --pos_;
    if (static_cast<unsigned char>(c) >= 0x80) spell_code_point();
    return Ok{};
  }

  // jinja2 spells characters beyond ASCII as escapes before it resolves escapes, so that a
  // backslash before one leaves that spelling behind.
  void spell_code_point() {
    const Utf8Character character = decode_utf8(body_.substr(pos_));
    pos_ += character.num_bytes;
    const char32_t c = character.code_point;
    const int num_digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
    out_ += c < 0x100 ? 'x' : c < 0x10000 ? 'u' : 'U';
    for (int digit = num_digits - 1; digit >= 0; --digit) {
      out_ += "0123456789abcdef"[(c >> (4 * digit)) & 0xF];
    }
  }

  Status read_hex(std::size_t num_digits) {
    char32_t code_point = 0;
    for (std::size_t i = 0; i < num_digits; ++i) {
      const int digit = digit_value(at(body_, pos_));
      if (digit >= 16) {
        return template_escape_error("truncated escape: expected " + std::to_string(num_digits) +
                                     " hexadecimal digits");
      }
      code_point = code_point * 16 + static_cast<char32_t>(digit);
      ++pos_;
    }
    return append(code_point);
  }

  Status read_octal() {
    --pos_;
    char32_t code_point = 0;
    for (int i = 0; i < 3 && at(body_, pos_) >= '0' && at(body_, pos_) <= '7'; ++i) {
      code_point = code_point * 8 + static_cast<char32_t>(body_[pos_++] - '0');
    }
    return append(code_point);
  }

  Status append(char32_t code_point) {
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point < 0xE000)) {
      return template_escape_error("escape of a character that UTF-8 cannot write");
    }
    append_utf8(code_point, out_);
    return Ok{};
  }

  static Error template_escape_error(std::string message) {
    return Error{ErrorCode::kCorruptData, std::move(message)};
  }

  std::string_view body_;
  std::size_t pos_ = 0;
  std::string out_;
};

}  // namespace

NumberLiteral scan_number(std::string_view text, bool after_dot) {
  if (!after_dot) {
    if (const std::size_t end = float_end(text); end != 0) return {end, true};
  }
  if (const int base = prefixed_base(text); base != 0) {
    const std::size_t end = skip_digits(text, 2, base);
    if (end > 2) return {end, false};
  }
  return {skip_digits(text, 0, text[0] == '0' ? 1 : 10), false};
}

std::optional<std::int64_t> parse_integer_literal(std::string_view literal) {
  const std::string digits = without_underscores(literal);
  const int base = prefixed_base(digits);
  return base == 0 ? parse_digits(digits, 10)
                   : parse_digits(std::string_view(digits).substr(2), base);
}

double parse_float_literal(std::string_view literal) {
  const std::string digits = without_underscores(literal);
  double number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  // Out of range is the only failure left: too large is infinite, too small is zero.
  if (result.ec == std::errc::result_out_of_range) {
    const std::size_t exponent = digits.find_first_of("eE");
    const bool is_small = exponent != std::string::npos && at(digits, exponent + 1) == '-';
    return is_small ? 0.0 : std::numeric_limits<double>::infinity();
  }
  return number;
}

Result<std::string> unescape_string_literal(std::string_view body) {
  return Unescaper(body).run();
}

std::optional<std::int64_t> parse_digits(std::string_view digits, int base) {
  std::int64_t number = 0;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, number, base);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

std::optional<double> parse_python_float(std::string_view text) {
  const std::string trimmed = with_ascii_digits(trim(text));
  if (!underscores_are_fine(trimmed)) return std::nullopt;
  std::string digits = without_underscores(trimmed);
  std::string_view unsigned_digits = digits;
  const bool is_negative = unsigned_digits.starts_with('-');
  if (is_negative || unsigned_digits.starts_with('+')) unsigned_digits.remove_prefix(1);
  std::string word(unsigned_digits);
  std::transform(word.begin(), word.end(), word.begin(), lower);
  double number = 0;
  if (word == "inf" || word == "infinity") {
    number = std::numeric_limits<double>::infinity();
  } else if (word == "nan") {
    number = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (word.empty() || !(is_digit(word[0]) || word[0] == '.')) return std::nullopt;
    const auto result = std::from_chars(word.data(), word.data() + word.size(), number);
    if (result.ptr != word.data() + word.size()) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range) number = parse_float_literal(word);
    if (result.ec == std::errc::invalid_argument) return std::nullopt;
  }
  return is_negative ? -number : number;
}

Result<std::optional<std::int64_t>> parse_python_int(std::string_view text, std::int64_t base) {
  const std::string trimmed = with_ascii_digits(trim(text));
  std::string_view digits = trimmed;
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (base != 0 && (base < 2 || base > 36)) return std::optional<std::int64_t>();
  const int prefix = prefixed_base(digits);
  if (prefix != 0 && (base == 0 || base == prefix)) {
    digits.remove_prefix(2);
    if (digits.starts_with('_')) digits.remove_prefix(1);
    base = prefix;
  } else if (base == 0) {
    base = 10;
    const std::string plain = without_underscores(digits);
    const bool is_zero = plain.find_first_not_of('0') == std::string::npos;
    if (plain.size() > 1 && plain[0] == '0' && !is_zero) return std::optional<std::int64_t>();
  }
  if (digits.empty() || !underscores_are_fine(digits)) return std::optional<std::int64_t>();
  const std::string plain = without_underscores(digits);
  for (const char c : plain) {
    if (digit_value(c) >= base) return std::optional<std::int64_t>();
  }
  const auto number = parse_digits((is_negative ? "-" : "") + plain, static_cast<int>(base));
  if (!number) {
    return Error{ErrorCode::kInvalidArgument, "integer of " + std::to_string(plain.size()) +
                                                  " digits does not fit into 64 bits"};
  }
  return number;
}

}  // namespace millrace::jinja
