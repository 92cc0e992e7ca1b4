// A recursive descent over Oniguruma patterns that rewrites what PCRE2 would read differently.
#include "text/regex_syntax.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <vector>

#include "text/utf8.h"

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
constexpr std::string_view kPosixWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Outside of classes, Oniguruma's \w has six fractions and superscripts of Latin-1 too.
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

// What Oniguruma calls by a name that PCRE2 lacks or reads differently, as members of a class.
struct NamedClass {
  std::string_view name;  // Lower case, without separators.
  std::string_view members;
};
constexpr NamedClass kNamedClasses[] = {
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"alpha", R"(\p{Alphabetic})"},
    {"any", R"(\x{0}-\x{10FFFF})"},
    {"ascii", R"(\x{0}-\x{7F})"},
    {"assigned", R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}\p{Cc}\p{Cf}\p{Co})"},
    {"blank", R"(\p{Zs}\x{9})"},
    {"casedletter", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"closepunctuation", R"(\p{Pe})"},
    {"cntrl", R"(\p{Cc})"},
    {"connectorpunctuation", R"(\p{Pc})"},
    {"control", R"(\p{Cc})"},
    {"currencysymbol", R"(\p{Sc})"},
    {"dashpunctuation", R"(\p{Pd})"},
    {"decimalnumber", R"(\p{Nd})"},
    {"digit", R"(\p{Nd})"},
    {"enclosingmark", R"(\p{Me})"},
    {"finalpunctuation", R"(\p{Pf})"},
    {"format", R"(\p{Cf})"},
    {"graph", R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co})"},
    {"initialpunctuation", R"(\p{Pi})"},
    {"letter", R"(\p{L})"},
    {"letternumber", R"(\p{Nl})"},
    {"lineseparator", R"(\p{Zl})"},
    {"lower", R"(\p{Lowercase})"},
    {"lowercaseletter", R"(\p{Ll})"},
    {"mark", R"(\p{M})"},
    {"mathsymbol", R"(\p{Sm})"},
    {"modifierletter", R"(\p{Lm})"},
    {"modifiersymbol", R"(\p{Sk})"},
    {"nonspacingmark", R"(\p{Mn})"},
    {"number", R"(\p{N})"},
    {"openpunctuation", R"(\p{Ps})"},
    {"other", R"(\p{C})"},
    {"otherletter", R"(\p{Lo})"},
    {"othernumber", R"(\p{No})"},
    {"otherpunctuation", R"(\p{Po})"},
    {"othersymbol", R"(\p{So})"},
    {"paragraphseparator", R"(\p{Zp})"},
    {"print", R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co}\p{Zs})"},
    {"privateuse", R"(\p{Co})"},
    {"punct", R"(\p{P})"},
    {"punctuation", R"(\p{P})"},
    {"separator", R"(\p{Z})"},
    {"space", kSpace},
    {"spaceseparator", R"(\p{Zs})"},
    {"spacingmark", R"(\p{Mc})"},
    {"symbol", R"(\p{S})"},
    {"titlecaseletter", R"(\p{Lt})"},
    {"unassigned", R"(\p{Cn})"},
    {"upper", R"(\p{Uppercase})"},
    {"uppercaseletter", R"(\p{Lu})"},
    {"word", kWord},
    {"xdigit", kHexDigit},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Properties that are neither general categories nor scripts.
constexpr std::string_view kBinaryProperties[] = {"emoji",
                                                  "emojicomponent",
                                                  "emojimodifier",
                                                  "emojimodifierbase",
                                                  "emojipresentation",
                                                  "alphabetic",
                                                  "lowercase",
                                                  "uppercase",
                                                  "ideographic",
                                                  "math",
                                                  "whitespace",
                                                  "diacritic",
                                                  "dash",
                                                  "extendedpictographic",
                                                  "extender",
                                                  "hexdigit",
                                                  "idstart",
                                                  "idcontinue",
                                                  "xidstart",
                                                  "xidcontinue",
                                                  "quotationmark",
                                                  "cased",
                                                  "caseignorable",
                                                  "joincontrol",
                                                  "softdotted",
                                                  "unifiedideograph",
                                                  "radical",
                                                  "variationselector",
                                                  "regionalindicator",
                                                  "graphemebase",
                                                  "graphemeextend",
                                                  "patternsyntax",
                                                  "patternwhitespace",
                                                  "terminalpunctuation",
                                                  "defaultignorablecodepoint",
                                                  "noncharactercodepoint"};

// The members that a name stands for. Other names are for PCRE2 to know: categories, properties,
// and scripts, of which Oniguruma knows no extensions.
std::string members_of(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  for (const NamedClass& row : kNamedClasses) {
    if (row.name == plain) return std::string(row.members);
  }
  const bool is_plain =
      plain.size() <= 2 || std::find(std::begin(kBinaryProperties), std::end(kBinaryProperties),
                                     plain) != std::end(kBinaryProperties);
  return (is_plain ? "\\p{" : "\\p{sc:") + std::string(name) + "}";
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern) {}

  Result<std::string> run() {
    std::string out;
    while (!rest_.empty()) TRY(translate_next(out));
    // PCRE2 says what is wrong with parentheses.
    close_options(out);
    return out;
  }

 private:
  // An open parenthesis: where it is in the output, and how many more an option group has opened
  // since, for (?i) holds to the end of the group and takes its alternatives along.
  struct Group {
    std::size_t begin = 0;
    std::size_t num_options = 0;
  };

  Status translate_next(std::string& out) {
    switch (rest_[0]) {
      case '\\':
        atom_begin_ = out.size();
        return translate_escape(out);
      case '[':
        atom_begin_ = out.size();
        return translate_class(0, out);
      case '(':
        return open_group(out);
      case ')':
        return close_group(out);
      case '*':
      case '+':
      case '?':
        return translate_quantifier(1, out);
      case '{':
        if (const std::size_t num_bytes = interval_bytes()) {
          return translate_quantifier(num_bytes, out);
        }
        break;
      default:
        break;
    }
    atom_begin_ = out.size();
    const std::size_t num_bytes = decode_utf8(rest_).num_bytes;
    out.append(rest_.substr(0, num_bytes));
    rest_.remove_prefix(num_bytes);
    return Ok{};
  }

  void close_options(std::string& out) {
    out.append(groups_.back().num_options, ')');
    groups_.back().num_options = 0;
  }

  Status open_group(std::string& out) {
    constexpr std::size_t kGroupDepthMax = 100;
    if (groups_.size() >= kGroupDepthMax) {
      return Error{ErrorCode::kTooLarge,
                   "pattern: groups nested deeper than " + std::to_string(kGroupDepthMax)};
    }
    if (rest_.starts_with("(?#")) {
      rest_.remove_prefix(std::min(rest_.size(), rest_.find(')')));
      if (!rest_.empty()) take();
      return Ok{};
    }
    if (rest_.starts_with("(*")) {
      return Error{ErrorCode::kUnsupported, "pattern: callouts (* are not supported"};
    }
    if (rest_.starts_with("(?~")) {
      return Error{ErrorCode::kUnsupported, "pattern: the absent operator (?~ is not supported"};
    }
    const bool has_options =
        rest_.size() > 2 && rest_[1] == '?' && (is_letter(rest_[2]) || rest_[2] == '-');
    if (has_options) return open_options(out);
    groups_.push_back({out.size()});
    out.push_back(take());
    if (!rest_.starts_with("?")) return Ok{};
    // What follows is no quantifier.
    out.push_back(take());
    return Ok{};
  }

  // (?i:…) or (?i); Ruby's m is what PCRE2 calls s.
  Status open_options(std::string& out) {
    std::string letters;
    rest_.remove_prefix(2);
    while (!rest_.empty() && rest_[0] != ':' && rest_[0] != ')') {
      const char letter = take();
      if (letter != 'i' && letter != 'm' && letter != 'x' && letter != '-') {
        return Error{ErrorCode::kUnsupported,
                     std::string("pattern: option ") + letter + " is not supported"};
      }
      letters.push_back(letter == 'm' ? 's' : letter);
    }
    if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern: ( without )"};
    if (take() == ':') {
      groups_.push_back({out.size()});
    } else {
      ++groups_.back().num_options;
    }
    out += "(?" + letters + ":";
    return Ok{};
  }

  Status close_group(std::string& out) {
    close_options(out);
    out.push_back(take());
    if (groups_.size() == 1) return Ok{};
    atom_begin_ = groups_.back().begin;
    groups_.pop_back();
    return Ok{};
  }

  // How long {n}, {n,}, {n,m} or {,m} at the front is; 0: the brace is a character.
  std::size_t interval_bytes() const {
    std::size_t at = 1;
    std::size_t num_digits = 0;
    const auto skip_digits = [&] {
      for (; at < rest_.size() && is_digit(rest_[at]); ++at) ++num_digits;
    };
    skip_digits();
    if (at < rest_.size() && rest_[at] == ',') {
      ++at;
      skip_digits();
    }
    return num_digits > 0 && at < rest_.size() && rest_[at] == '}' ? at + 1 : 0;
  }

  // In Ruby an interval is never possessive and {n}? is optional: what follows is a quantifier of
  // its own, which PCRE2 allows around a group only.
  Status translate_quantifier(std::size_t num_bytes, std::string& out) {
    const std::string quantifier(rest_.substr(0, num_bytes));
    rest_.remove_prefix(num_bytes);
    const bool is_interval = quantifier[0] == '{';
    out += quantifier.starts_with("{,") ? "{0" + quantifier.substr(1) : quantifier;
    const bool may_be_lazy = !is_interval || quantifier.find(',') != std::string::npos;
    const bool takes_suffix =
        (rest_.starts_with("?") && may_be_lazy) || (rest_.starts_with("+") && !is_interval);
    if (takes_suffix) out.push_back(take());
    const bool again = rest_.starts_with("*") || rest_.starts_with("+") || rest_.starts_with("?") ||
                       (rest_.starts_with("{") && interval_bytes() > 0);
    if (!again) return Ok{};
    if (out.size() > kPatternBytesMax * 4) {
      return Error{ErrorCode::kTooLarge, "pattern: too many quantifiers of quantifiers"};
    }
    out.insert(std::min(atom_begin_, out.size()), "(?:");
    out += ")";
    return Ok{};
  }

  char take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  static std::string bracketed(std::string_view members) {
    return (members.starts_with("^") ? "[\\" : "[") + std::string(members) + "]";
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

  // The name of \p{…} or \P{…}, whose letter has been taken, and whether it is negated.
  struct Property {
    std::string members;
    bool negated = false;
  };
  Result<Property> take_property(bool negated) {
    if (!rest_.starts_with("{")) {
      return Error{ErrorCode::kUnsupported, "pattern: \\p without a name in braces"};
    }
    const std::size_t end = rest_.find('}');
    if (end == std::string_view::npos) {
      return Error{ErrorCode::kCorruptData, "pattern: \\p{ without }"};
    }
    std::string_view name = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    if (name.starts_with("^")) {
      name.remove_prefix(1);
      negated = !negated;
    }
    return Property{members_of(name), negated};
  }

  // Escapes that are one expression in a class and out of it; nothing for others.
  struct ClassEscape {
    std::string_view members;
    bool negated = false;
  };
  static std::optional<ClassEscape> class_escape(char kind) {
    switch (kind) {
      case 's':
        return ClassEscape{kSpace};
      case 'S':
        return ClassEscape{kNotSpace};
      case 'w':
        return ClassEscape{kWord};
      case 'W':
        return ClassEscape{kWord, true};
      case 'h':
        return ClassEscape{kHexDigit};
      case 'H':
        return ClassEscape{kHexDigit, true};
      case 'v':
        return ClassEscape{R"(\x{B})"};
      default:
        return std::nullopt;
    }
  }

  // Letters that Oniguruma gives a meaning after a backslash and PCRE2 the same; of others, the
  // backslash means nothing.
  static bool is_shared_escape(char kind) {
    return !is_letter(kind) ||
           std::string_view("tnrfaebdDxcRNXAZzGKkg").find(kind) != std::string_view::npos;
  }

  Status translate_escape(std::string& out) {
    take();
    if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern ends in a backslash"};
    const char kind = take();
    if (const std::optional<ClassEscape> escape = class_escape(kind)) {
      out += escape->negated ? bracketed_not(escape->members) : bracketed(escape->members);
      return Ok{};
    }
    const std::string word = bracketed(kWord);
    switch (kind) {
      case 'p':
      case 'P': {
        const Property property = TRY(take_property(kind == 'P'));
        const std::string_view members = property.members;
        if (members.starts_with("\\p{") && members.find('}') + 1 == members.size()) {
          out.append(property.negated ? "\\P" : "\\p").append(members.substr(2));
          break;
        }
        out += property.negated ? bracketed_not(property.members) : bracketed(property.members);
        break;
      }
      case 'u':
        out += TRY(unicode_escape());
        break;
      case 'O':
        out += "(?s:.)";
        break;
      case 'b':
        out += "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))";
        break;
      case 'B':
        out += "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
        break;
      case 'y':
      case 'Y':
        return Error{ErrorCode::kUnsupported,
                     std::string("pattern: the segment boundary \\") + kind + " is not supported"};
      default:
        if (is_shared_escape(kind)) out.push_back('\\');
        out.push_back(kind);
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

  static void add_members(ClassPart& part, std::string_view members, bool negated) {
    if (members == kWord) members = kPosixWord;
    if (negated) {
      part.alternatives.push_back(bracketed_not(members));
    } else {
      part.members += members;
    }
  }

  Status translate_class_escape(ClassPart& part) {
    take();
    if (rest_.empty()) return Error{ErrorCode::kCorruptData, "pattern ends in a backslash"};
    const char kind = take();
    if (const std::optional<ClassEscape> escape = class_escape(kind)) {
      add_members(part, escape->members, escape->negated);
    } else if (kind == 'p' || kind == 'P') {
      const Property property = TRY(take_property(kind == 'P'));
      add_members(part, property.members, property.negated);
    } else if (kind == 'u') {
      part.members += TRY(unicode_escape());
    } else {
      if (is_shared_escape(kind)) part.members.push_back('\\');
      part.members.push_back(kind);
    }
    return Ok{};
  }

  // [:alpha:] or [:^alpha:] inside a class; symbols are [:punct:] but not \p{Punct}.
  void translate_posix_class(ClassPart& part) {
    const std::size_t num_bytes = rest_.find(":]") + 2;
    std::string_view name = rest_.substr(2, num_bytes - 4);
    rest_.remove_prefix(num_bytes);
    const bool negated = name.starts_with("^");
    if (negated) name.remove_prefix(1);
    const std::string members = name == "punct" ? R"(\p{P}\p{S})" : members_of(name);
    add_members(part, members, negated);
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
        translate_posix_class(parts.back());
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
  std::size_t atom_begin_ = 0;  // Where in the output what a quantifier would repeat begins.
  std::vector<Group> groups_{{}};
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
