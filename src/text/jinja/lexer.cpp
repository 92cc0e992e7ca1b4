// One pass over the source: outside tags it looks for the next tag, inside for the next token.
#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "text/jinja/literal.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Line ends become \n, and one at the very end goes.
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  Result<std::vector<Token>> run() {
    while (pos_ < source_.size()) {
      const std::size_t tag = find_tag();
      if (tag == std::string::npos) {
        add_data(rest());
        pos_ = source_.size();
        break;
      }
      TRY(read_tag(tag));
    }
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(pos_); }
  std::string_view between(std::size_t from, std::size_t to) const {
    return std::string_view(source_).substr(from, to - from);
  }
  char at(std::size_t pos) const { return pos < source_.size() ? source_[pos] : '\0'; }
  bool has(std::size_t pos, std::string_view expected) const {
    return std::string_view(source_).substr(std::min(pos, source_.size())).starts_with(expected);
  }

  void add(TokenKind kind, std::string text) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }
  void add_data(std::string_view text) {
    if (!text.empty()) add(TokenKind::kData, std::string(text));
  }
  // Moves to `to`, counting the lines passed.
  void advance(std::size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    pos_ = to;
    line_starting_ = to > 0 && source_[to - 1] == '\n';
  }

  std::size_t find_tag() const {
    std::size_t pos = pos_;
    while ((pos = source_.find('{', pos)) != std::string::npos) {
      const char next = at(pos + 1);
      if (next == '%' || next == '{' || next == '#') return pos;
      ++pos;
    }
    return std::string::npos;
  }

  std::size_t skip_space(std::size_t pos) const {
    const std::string_view text = std::string_view(source_).substr(pos);
    return source_.size() - strip_space_left(text).size();
  }

  // The text before a tag, less the white space that the tag's sign or lstrip_blocks takes away.
  std::string_view stripped(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return strip_space_right(text);
    if (sign == '+' || is_variable) return text;
    const std::size_t newline = text.rfind('\n');
    const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    if (line_start == 0 && !line_starting_) return text;
    const bool is_blank = strip_space_left(text.substr(line_start)).empty();
    return is_blank ? text.substr(0, line_start) : text;
  }

  char sign_at(std::size_t pos) const {
    const char c = at(pos);
    return c == '-' || c == '+' ? c : '\0';
  }

  Status read_tag(std::size_t tag) {
    const char sign = sign_at(tag + 2);
    const bool is_variable = at(tag + 1) == '{';
    add_data(stripped(between(pos_, tag), sign, is_variable));
    advance(tag);
    const std::size_t inside = tag + (sign == '\0' ? 2 : 3);
    if (at(tag + 1) == '#') return read_comment(inside);
    if (at(tag + 1) == '%') {
      if (const std::size_t raw = raw_begin_end(inside); raw != 0) return read_raw(raw);
    }
    add(is_variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    advance(inside);
    return read_inside(is_variable ? "}}" : "%}", is_variable);
  }

  Status read_comment(std::size_t inside) {
    const std::size_t close = source_.find("#}", inside);
    if (close == std::string::npos) return syntax_error(line_, "missing end of comment tag");
    const char sign = close > inside ? sign_at(close - 1) : '\0';
    advance(after_end(close + 2, sign));
    return Ok{};
  }

  // Where to go on after the end of a block or comment: trim_blocks takes one newline, - all space.
  std::size_t after_end(std::size_t pos, char sign) const {
    if (sign == '-') return skip_space(pos);
    return sign == '\0' && at(pos) == '\n' ? pos + 1 : pos;
  }

  // The position after `{% raw %}` whose inside starts here; 0 when it is another tag.
  std::size_t raw_begin_end(std::size_t inside) const {
    const std::size_t word = skip_space(inside);
    if (!has(word, "raw")) return 0;
    const std::size_t end = skip_space(word + 3);
    if (has(end, "-%}")) return skip_space(end + 3);
    return has(end, "%}") ? end + 2 : 0;
  }

  Status read_raw(std::size_t content) {
    const int line = line_;
    advance(content);
    std::size_t tag = content;
    while ((tag = source_.find("{%", tag)) != std::string::npos) {
      const char sign = sign_at(tag + 2);
      const std::size_t word = skip_space(tag + (sign == '\0' ? 2 : 3));
      const std::size_t end = has(word, "endraw") ? skip_space(word + 6) : 0;
      const char end_sign = end == 0 ? '\0' : sign_at(end);
      const std::size_t close = end_sign == '\0' ? end : end + 1;
      if (end != 0 && has(close, "%}")) {
        add_data(stripped(between(content, tag), sign, false));
        advance(after_end(close + 2, end_sign));
        return Ok{};
      }
      tag += 2;
    }
    return syntax_error(line, "missing end of raw directive");
  }

  Status read_inside(std::string_view close, bool is_variable) {
    const TokenKind end_kind = is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd;
    std::string open_brackets;
    while (true) {
      if (open_brackets.empty()) {
        const bool minus = at(pos_) == '-' && has(pos_ + 1, close);
        const bool plus = !is_variable && at(pos_) == '+' && has(pos_ + 1, close);
        if (minus || plus || has(pos_, close)) {
          add(end_kind, "");
          const char sign = minus ? '-' : plus ? '+' : '\0';
          const std::size_t after = pos_ + close.size() + (sign == '\0' ? 0 : 1);
          advance(is_variable && sign == '\0' ? after : after_end(after, sign));
          return Ok{};
        }
      }
      if (pos_ == source_.size()) return Ok{};  // The parser reports what is missing.
      TRY(read_token(open_brackets));
    }
  }

  Status read_token(std::string& open_brackets) {
    const std::size_t after_space = skip_space(pos_);
    if (after_space != pos_) {
      advance(after_space);
      return Ok{};
    }
    const char c = source_[pos_];
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string(c);
    const std::size_t name_end = end_of_name();
    if (name_end != pos_) {
      const std::string name(between(pos_, name_end));
      if (!has_class(decode_utf8(name).code_point, CharacterClass::kWordStart)) {
        return syntax_error(line_, "invalid character in identifier '" + name + "'");
      }
      add(TokenKind::kName, name);
      advance(name_end);
      return Ok{};
    }
    return read_operator(open_brackets);
  }

  std::size_t end_of_name() const {
    std::size_t end = pos_;
    while (end < source_.size()) {
      const Utf8Character character = decode_utf8(std::string_view(source_).substr(end));
      if (!has_class(character.code_point, CharacterClass::kWord)) break;
      end += character.num_bytes;
    }
    return end;
  }

  Status read_number() {
    const NumberLiteral literal = scan_number(rest(), pos_ > 0 && source_[pos_ - 1] == '.');
    Token token;
    token.line = line_;
    token.text = std::string(rest().substr(0, literal.num_bytes));
    if (literal.is_float) {
      token.kind = TokenKind::kFloat;
      token.number = parse_float_literal(token.text);
    } else {
      token.kind = TokenKind::kInteger;
      const auto integer = parse_integer_literal(token.text);
      if (!integer) {
        return syntax_error(line_, "integer '" + token.text + "' does not fit into 64 bits");
      }
      token.integer = *integer;
    }
    advance(pos_ + literal.num_bytes);
    tokens_.push_back(std::move(token));
    return Ok{};
  }

  Status read_string(char quote) {
    std::size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return unexpected_character();
    Result<std::string> value = unescape_string_literal(between(pos_ + 1, end));
    if (!value.ok()) return syntax_error(line_, value.error().message);
    add(TokenKind::kString, std::move(value).value());
    advance(end + 1);
    return Ok{};
  }

  Status unexpected_character() const {
    const std::size_t num_bytes = decode_utf8(rest()).num_bytes;
    return syntax_error(line_,
                        "unexpected character '" + std::string(rest().substr(0, num_bytes)) + "'");
  }

  Status read_operator(std::string& open_brackets) {
    constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                     [&](std::string_view op) { return has(pos_, op); });
    if (found == kOperators.end()) return unexpected_character();
    const char c = found->front();
    if (c == '{') open_brackets += '}';
    if (c == '(') open_brackets += ')';
    if (c == '[') open_brackets += ']';
    if (c == '}' || c == ')' || c == ']') {
      if (open_brackets.empty()) return syntax_error(line_, std::string("unexpected '") + c + "'");
      if (open_brackets.back() != c) {
        return syntax_error(
            line_, std::string("unexpected '") + c + "', expected '" + open_brackets.back() + "'");
      }
      open_brackets.pop_back();
    }
    add(TokenKind::kOperator, std::string(*found));
    advance(pos_ + found->size());
    return Ok{};
  }

  std::string source_;
  std::size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

Error syntax_error(int line, const std::string& message, const char* file, int at) {
  return Error{ErrorCode::kCorruptData,
               "chat template line " + std::to_string(line) + ": " + message, file, at};
}

Result<std::vector<Token>> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace millrace::jinja
