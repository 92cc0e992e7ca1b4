// One recursive descent for both: they differ in strings, keys and what stands between them.
#include "serve/output/literal_syntax.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "serve/output/mark_search.h"
#include "text/utf8.h"

namespace millrace {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::string_view kGemmaQuote = "<|\"|>";

enum class Style { kPython, kGemma };

std::string dumped(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class LiteralReader {
 public:
  LiteralReader(std::string_view text, Style style) : text_(text), style_(style) {}

  bool take(std::string_view mark) {
    skip_white();
    if (!starts_with(text_, mark)) return false;
    text_.remove_prefix(mark.size());
    return true;
  }
  bool is_at_end() {
    skip_white();
    return text_.empty();
  }
  std::string_view until(char c) {
    const std::size_t end = std::min(text_.find(c), text_.size());
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(end);
    found.remove_prefix(num_white_front(found));
    found.remove_suffix(num_white_back(found));
    return found;
  }

  // key=value, … or key:value, … up to the closing bracket.
  std::optional<OrderedJson> members(char between, std::string_view close, std::size_t depth) {
    OrderedJson object = OrderedJson::object();
    if (depth > kDepthMax) return std::nullopt;
    while (!take(close)) {
      std::optional<std::string> name = key();
      if (!name || !take(std::string_view(&between, 1))) return std::nullopt;
      std::optional<OrderedJson> each = value(depth + 1);
      if (!each) return std::nullopt;
      object[*name] = *std::move(each);
      if (take(",")) continue;
      if (!take(close)) return std::nullopt;
      break;
    }
    return object;
  }

  std::optional<OrderedJson> value(std::size_t depth) {
    if (depth > kDepthMax) return std::nullopt;
    skip_white();
    if (std::optional<std::string> text = string()) return OrderedJson(*std::move(text));
    if (take("[")) return list("]", depth);
    if (style_ == Style::kPython && take("(")) return list(")", depth);
    if (take("{")) return members(':', "}", depth);
    return scalar();
  }

 private:
  void skip_white() { text_.remove_prefix(num_white_front(text_)); }

  std::optional<std::string> key() {
    skip_white();
    if (std::optional<std::string> quoted = string()) return quoted;
    std::size_t n = 0;
    while (n < text_.size() && (is_word_byte(text_[n]) || text_[n] == '-' || text_[n] == '.')) ++n;
    if (n == 0) return std::nullopt;
    std::string word(text_.substr(0, n));
    text_.remove_prefix(n);
    return word;
  }

  std::optional<OrderedJson> list(std::string_view close, std::size_t depth) {
    OrderedJson array = OrderedJson::array();
    while (!take(close)) {
      std::optional<OrderedJson> each = value(depth + 1);
      if (!each) return std::nullopt;
      array.push_back(*std::move(each));
      if (take(",")) continue;
      if (!take(close)) return std::nullopt;
      break;
    }
    return array;
  }

  std::optional<OrderedJson> scalar() {
    std::size_t n = 0;
    while (n < text_.size() &&
           (is_word_byte(text_[n]) || text_[n] == '+' || text_[n] == '-' || text_[n] == '.')) {
      ++n;
    }
    const std::string_view word = text_.substr(0, n);
    text_.remove_prefix(n);
    if (word == "True" || word == "true") return OrderedJson(true);
    if (word == "False" || word == "false") return OrderedJson(false);
    if (word == "None" || word == "null") return OrderedJson(nullptr);
    Result<OrderedJson> number = parse_ordered_json(word, "number");
    if (!number.ok() || !number.value().is_number()) return std::nullopt;
    return std::move(number).value();
  }

  std::optional<std::string> string() {
    if (style_ == Style::kGemma) {
      if (!starts_with(text_, kGemmaQuote)) return std::nullopt;
      const std::size_t end = text_.find(kGemmaQuote, kGemmaQuote.size());
      if (end == std::string_view::npos) return std::nullopt;
      std::string found(text_.substr(kGemmaQuote.size(), end - kGemmaQuote.size()));
      text_.remove_prefix(end + kGemmaQuote.size());
      return found;
    }
    if (text_.empty() || (text_[0] != '"' && text_[0] != '\'')) return std::nullopt;
    const char quote = text_[0];
    std::string found;
    for (std::size_t i = 1; i < text_.size(); ++i) {
      if (text_[i] == quote) {
        text_.remove_prefix(i + 1);
        return found;
      }
      if (text_[i] == '\\' && i + 1 < text_.size()) {
        i += append_escape(text_.substr(i + 1), found);
      } else {
        found += text_[i];
      }
    }
    return std::nullopt;
  }

  // Of the text behind a backslash; returns how many bytes it took.
  static std::size_t append_escape(std::string_view text, std::string& to) {
    switch (text[0]) {
      case 'n':
        to += '\n';
        return 1;
      case 't':
        to += '\t';
        return 1;
      case 'b':
        to += '\b';
        return 1;
      case 'f':
        to += '\f';
        return 1;
      case 'r':
        to += '\r';
        return 1;
      case 'u': {
        std::uint32_t code_point = 0;
        const char* const begin = text.data() + 1;
        if (text.size() < 5 || std::from_chars(begin, begin + 4, code_point, 16).ptr != begin + 4) {
          break;
        }
        const bool is_half = code_point >= 0xD800 && code_point <= 0xDFFF;
        append_utf8(is_half ? U'\uFFFD' : static_cast<char32_t>(code_point), to);
        return 5;
      }
      case '\\':
      case '\'':
      case '"':
        to += text[0];
        return 1;
      default:
        break;
    }
    to += '\\';
    to += text[0];
    return 1;
  }

  std::string_view text_;
  const Style style_;
};

std::optional<ParsedCall> read_call(std::string_view text, Style style) {
  const bool is_python = style == Style::kPython;
  LiteralReader reader(text, style);
  const std::string name(reader.until(is_python ? '(' : '{'));
  if (!is_call_name(name) || !reader.take(is_python ? "(" : "{")) return std::nullopt;
  const std::optional<OrderedJson> arguments =
      is_python ? reader.members('=', ")", 0) : reader.members(':', "}", 0);
  if (!arguments || !reader.is_at_end()) return std::nullopt;
  return ParsedCall{name, dumped(*arguments)};
}

}  // namespace

std::optional<OrderedJson> parse_python_literal(std::string_view text) {
  LiteralReader reader(text, Style::kPython);
  std::optional<OrderedJson> value = reader.value(0);
  return value && reader.is_at_end() ? std::move(value) : std::nullopt;
}

std::optional<ParsedCall> parse_python_call(std::string_view text) {
  return read_call(text, Style::kPython);
}

std::optional<ParsedCall> parse_gemma_call(std::string_view text) {
  return read_call(text, Style::kGemma);
}

std::size_t PythonScanner::feed(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    take(text[i]);
    if (is_done_) return i + 1;
  }
  return text.size();
}

void PythonScanner::take(char c) {
  if (quote_ != '\0') {
    if (is_escaped_) {
      is_escaped_ = false;
    } else if (c == '\\') {
      is_escaped_ = true;
    } else if (c == quote_) {
      quote_ = '\0';
    }
    return;
  }
  if (c == '"' || c == '\'') quote_ = c;
  if (c == '(' || c == '[' || c == '{') ++depth_;
  const bool closes = c == ')' || c == ']' || c == '}';
  if (closes && (depth_ <= 1 || --depth_ == 0)) is_done_ = true;
}

}  // namespace millrace
