// A recursive descent over Oniguruma patterns that rewrites what PCRE2 would read differently.
#include "text/regex_syntax.h"

#include <cstddef>
#include <vector>

namespace millrace {
namespace {

constexpr std::size_t kPatternBytesMax = 1 << 16;
constexpr std::size_t kClassDepthMax = 16;

// The White_Space property and its complement, as members of a class. PCRE2's own \s also matches
// U+180E, which is no white space since Unicode 6.3.
constexpr std::string_view kSpace = R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A})"
                                    R"(\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF})"
    R"(\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern) {}

  Result<std::string> run() {
    std::string out;
    while (!rest_.empty()) {
      if (rest_[0] == '\\') {
        TRY(translate_escape(out));
      } else if (rest_[0] == '[') {
        TRY(translate_class(0, out));
      } else if (rest_.starts_with("{,") && rest_.size() > 2 && is_digit(rest_[2])) {
        out += "{0,";
        rest_.remove_prefix(2);
      } else {
        out.push_back(take());
      }
    }
    return out;
  }

 private:
  char take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  static std::string bracketed(std::string_view members) {
    return "[" + std::string(members) + "]";
  }
  static std::string bracketed_not(std::string_view members) {
    return "[^" + std::string(members) + "]";
  }

  // \uHHHH, the one escape that is longer than its letter and means the same in and out of a class.
  Result<std::string> unicode_escape() {
    constexpr std::size_t kNumDigits = 4;
    const std::string_view digits = rest_.substr(0, kNumDigits);
    for (const char c : digits) {
      if (kHexAlphabet.find(c) == std::string_view::npos) {
        return Error{ErrorCode::kUnsupported, "pattern: \\u without four hex digits"};
      }
    }
    if (digits.size() < kNumDigits) {
      return Error{ErrorCode::kUnsupported, "pattern: \\u without four hex digits"};
    }
    rest_.remove_prefix(kNumDigits);
    return "\\x{" + std::string(digits) + "}";
  }

  Status translate_escape(std::string& out) {
    take();
    if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern ends in a backslash"};
    const char kind = take();
    switch (kind) {
      case 's':
        out += bracketed(kSpace);
        break;
      case 'S':
        out += bracketed_not(kSpace);
        break;
      case 'w':
        out += bracketed(kWord);
        break;
      case 'W':
        out += bracketed_not(kWord);
        break;
      case 'h':
        out += bracketed(kHexDigit);
        break;
      case 'H':
        out += bracketed_not(kHexDigit);
        break;
      case 'u':
        out += TRY(unicode_escape());
        break;
      case 'b':
      case 'B':
        return Error{ErrorCode::kUnsupported,
                     std::string("pattern: the word boundary \\") + kind + " is not supported"};
      default:
        out += {'\\', kind};
    }
    return Ok{};
  }

  // One side of && inside a class: members that PCRE2 takes in one bracket, and alternatives that
  // need their own.
  struct ClassPart {
    std::string members;
    std::vector<std::string> alternatives;

    // An expression that matches exactly one character.
    std::string expression() const {
      if (alternatives.empty()) return bracketed(members);
      std::string out = "(?:";
      if (!members.empty()) out += bracketed(members) + "|";
      for (std::size_t i = 0; i < alternatives.size(); ++i) {
        out += (i == 0 ? "" : "|") + alternatives[i];
      }
      return out + ")";
    }
    bool empty() const { return members.empty() && alternatives.empty(); }
  };

  Status translate_class_escape(ClassPart& part) {
    take();
    if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern ends in a backslash"};
    const char kind = take();
    switch (kind) {
      case 's':
        part.members += kSpace;
        break;
      case 'S':
        part.members += kNotSpace;
        break;
      case 'w':
        part.members += kWord;
        break;
      case 'W':
        part.alternatives.push_back(bracketed_not(kWord));
        break;
      case 'h':
        part.members += kHexDigit;
        break;
      case 'H':
        part.alternatives.push_back(bracketed_not(kHexDigit));
        break;
      case 'u':
        part.members += TRY(unicode_escape());
        break;
      default:
        part.members += {'\\', kind};
    }
    return Ok{};
  }

  // Appends [...] at the front of rest_ as an expression that matches exactly one character.
  Status translate_class(std::size_t depth, std::string& out) {
    if (depth >= kClassDepthMax) {
      return Error{ErrorCode::kTooLarge, "pattern: character classes nested deeper than " +
                                             std::to_string(kClassDepthMax)};
    }
    take();
    const bool negated = rest_.starts_with("^");
    if (negated) take();
    std::vector<ClassPart> parts(1);
    if (rest_.starts_with("]")) parts[0].members += "\\]", take();
    while (!rest_.starts_with("]")) {
      if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern: [ without ]"};
      if (rest_.starts_with("&&")) {
        rest_.remove_prefix(2);
        parts.emplace_back();
      } else if (rest_[0] == '\\') {
        TRY(translate_class_escape(parts.back()));
      } else if (rest_.starts_with("[:") && rest_.find(":]") != std::string_view::npos) {
        const std::size_t num_bytes = rest_.find(":]") + 2;
        parts.back().members += rest_.substr(0, num_bytes);
        rest_.remove_prefix(num_bytes);
      } else if (rest_[0] == '[') {
        std::string inner;
        TRY(translate_class(depth + 1, inner));
        if (inner.starts_with("[") && !inner.starts_with("[^")) {
          parts.back().members += std::string_view(inner).substr(1, inner.size() - 2);
        } else {
          parts.back().alternatives.push_back(inner);
        }
      } else {
        parts.back().members.push_back(take());
      }
    }
    take();
    return append_class(parts, negated, out);
  }

  static Status append_class(const std::vector<ClassPart>& parts, bool negated, std::string& out) {
    for (const ClassPart& part : parts) {
      if (part.empty()) return Error{ErrorCode::kUnsupported, "pattern: an empty class"};
    }
    if (parts.size() == 1 && parts[0].alternatives.empty()) {
      out += negated ? bracketed_not(parts[0].members) : bracketed(parts[0].members);
      return Ok{};
    }
    std::string both = "(?:";
    for (std::size_t i = 1; i < parts.size(); ++i) both += "(?=" + parts[i].expression() + ")";
    both += parts[0].expression() + ")";
    out += negated ? "(?:(?!" + both + ")(?s:.))" : both;
    return Ok{};
  }

  static constexpr std::string_view kHexAlphabet = "0123456789abcdefABCDEF";

  std::string_view rest_;
};

}  // namespace

Result<std::string> to_pcre2_syntax(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return Error{ErrorCode::kTooLarge, "pattern of " + std::to_string(pattern.size()) +
                                           " bytes exceeds " + std::to_string(kPatternBytesMax)};
  }
  return Translator(pattern).run();
}

}  // namespace millrace
