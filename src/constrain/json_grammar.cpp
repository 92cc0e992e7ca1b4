// JSON's grammar (RFC 8259) in the style that was asked for.
#include "constrain/json_grammar.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "constrain/regex_grammar.h"

namespace millrace {
namespace {

constexpr std::uint8_t kFirstPlain = 0x20;  // below it, characters have to be escaped
constexpr std::uint32_t kIndentMax = 20;
// Names of members that stand without quotes.
constexpr const char* kBareKey = "[A-Za-z_][A-Za-z0-9_]*";
// The first byte of a special token, which is in no text.
constexpr char kSpecialByte = '\xff';

bool is_bare_key(const std::string& name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
  });
}

bool needs_escape(std::uint8_t byte, char quote) {
  return byte < kFirstPlain || byte == static_cast<std::uint8_t>(quote) || byte == '\\';
}

// The letter of a short escape; 0 where there is none.
char short_escape(std::uint8_t byte) {
  switch (byte) {
    case '"':
    case '\'':
    case '\\':
      return static_cast<char>(byte);
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return '\0';
  }
}

// Rewrites an automaton of texts to one of what stands between the quotes of JSON.
class Escaper {
 public:
  Escaper(const Automaton& text, char quote) : text_(text), quote_(quote) {}

  Automaton run() {
    for (std::size_t i = 0; i < text_.states.size(); ++i) {
      out_.add_state();
      out_.states[i].accepts = text_.states[i].accepts;
    }
    for (std::uint32_t i = 0; i < text_.states.size(); ++i) {
      for (const Automaton::Range& range : text_.states[i].ranges) add_range(i, range);
    }
    return std::move(out_);
  }

 private:
  void add_range(std::uint32_t from, const Automaton::Range& range) {
    std::uint32_t first_plain = range.first;
    for (std::uint32_t byte = range.first; byte <= range.last && byte < 0x80; ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      if (!needs_escape(value, quote_)) continue;
      if (first_plain < byte) add_plain(from, first_plain, byte - 1, range.target);
      first_plain = byte + 1;
      add_escape(from, value, range.target);
    }
    if (first_plain <= range.last) add_plain(from, first_plain, range.last, range.target);
  }

  void add_plain(std::uint32_t from, std::uint32_t first, std::uint32_t last,
                 std::uint32_t target) {
    out_.states[from].ranges.push_back(
        {static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last), target});
  }

  void add_escape(std::uint32_t from, std::uint8_t byte, std::uint32_t target) {
    const std::uint32_t escaped = next(from, '\\');
    const char letter = short_escape(byte);
    if (letter != '\0') {
      add_byte(escaped, static_cast<std::uint8_t>(letter), target);
      return;
    }
    constexpr std::string_view kLower = "0123456789abcdef";
    constexpr std::string_view kUpper = "0123456789ABCDEF";
    std::uint32_t at = next(escaped, 'u');
    at = next(at, '0');
    at = next(at, '0');
    at = next(at, static_cast<std::uint8_t>(kLower[byte >> 4]));
    const auto lower = static_cast<std::uint8_t>(kLower[byte & 0xFu]);
    const auto upper = static_cast<std::uint8_t>(kUpper[byte & 0xFu]);
    add_byte(at, lower, target);
    if (upper != lower) add_byte(at, upper, target);
  }

  void add_byte(std::uint32_t from, std::uint8_t byte, std::uint32_t target) {
    out_.states[from].ranges.push_back({byte, byte, target});
  }

  // The state behind this byte, which is the same for all that go through it.
  std::uint32_t next(std::uint32_t from, std::uint8_t byte) {
    const auto [at, is_new] = inner_.try_emplace((std::uint64_t{from} << 8) | byte, 0);
    if (is_new) {
      at->second = out_.add_state();
      add_byte(from, byte, at->second);
    }
    return at->second;
  }

  const Automaton& text_;
  const char quote_;
  Automaton out_;
  std::unordered_map<std::uint64_t, std::uint32_t> inner_;
};

}  // namespace

JsonGrammar::JsonGrammar(Grammar& grammar, const JsonStyle& style, std::string quote)
    : grammar_(grammar), style_(style), quote_(std::move(quote)) {}

Status JsonGrammar::status() const {
  if (error_) return Error(*error_);
  return grammar_.status();
}

// Of patterns that are written here, so only limits can make it fail.
ExprId JsonGrammar::regex(const char* pattern) {
  Result<Automaton> automaton = regex_automaton(grammar_, pattern, RegexMatch::kWhole, "JSON");
  if (!automaton.ok()) {
    if (!error_) error_ = automaton.error();
    return grammar_.nothing();
  }
  return grammar_.automaton(std::move(automaton).value());
}

ExprId JsonGrammar::space() {
  if (space_) return *space_;
  if (style_.whitespace != JsonWhitespace::kFlexible) {
    space_ = grammar_.empty();
  } else {
    const ExprId indent = grammar_.repeat(
        grammar_.char_class(CodePointSet({{'\t', '\t'}, {' ', ' '}})), 0, kIndentMax);
    space_ = grammar_.optional(grammar_.alternatives(
        {grammar_.bytes(" "), grammar_.sequence({grammar_.bytes("\n"), indent})}));
  }
  return *space_;
}

bool JsonGrammar::has_bare_keys(ObjectPlace place) const {
  return is_gemma() ||
         (style_.notation == JsonNotation::kPython && place == ObjectPlace::kArguments);
}

ExprId JsonGrammar::object_begin(ObjectPlace place) {
  const bool is_call = !is_gemma() && has_bare_keys(place);
  return grammar_.sequence({grammar_.bytes(is_call ? "(" : "{"), space()});
}
ExprId JsonGrammar::object_end(ObjectPlace place) {
  const bool is_call = !is_gemma() && has_bare_keys(place);
  return grammar_.sequence({space(), grammar_.bytes(is_call ? ")" : "}")});
}
ExprId JsonGrammar::array_begin() {
  return grammar_.sequence({grammar_.bytes("["), space()});
}
ExprId JsonGrammar::array_end() {
  return grammar_.sequence({space(), grammar_.bytes("]")});
}

ExprId JsonGrammar::comma() {
  if (style_.whitespace == JsonWhitespace::kSpaced) return grammar_.bytes(", ");
  return grammar_.sequence({space(), grammar_.bytes(","), space()});
}

ExprId JsonGrammar::colon(ObjectPlace place) {
  if (has_bare_keys(place)) return grammar_.bytes(is_gemma() ? ":" : "=");
  if (style_.whitespace == JsonWhitespace::kSpaced) return grammar_.bytes(": ");
  return grammar_.sequence({space(), grammar_.bytes(":"), space()});
}

Result<ExprId> JsonGrammar::key(const std::string& name, ObjectPlace place) {
  if (!has_bare_keys(place)) return string_literal(name);
  if (is_bare_key(name)) return grammar_.bytes(name);
  return Error{ErrorCode::kUnsupported, "property '" + name.substr(0, 64) +
                                            "' cannot be written without quotes, as this model's "
                                            "format of calls has it"};
}

Result<ExprId> JsonGrammar::key_of(const Automaton& names, ObjectPlace place) {
  if (!has_bare_keys(place)) return string_of(names);
  const Automaton bare = TRY(regex_automaton(grammar_, kBareKey, RegexMatch::kWhole, "key"));
  const std::size_t states_max = grammar_.budget().limits().pattern_states_max;
  Automaton keys = TRY(intersect(names, bare, states_max, grammar_.budget()));
  return is_empty(keys) ? grammar_.nothing() : grammar_.automaton(std::move(keys));
}

// A plain character, an escape, or a pair of escapes for a character beyond the first plane: one
// code point each. Half a pair is none.
ExprId JsonGrammar::string_char() {
  if (!string_char_ && is_gemma()) {
    // Where the quote is plain text, its first character is in no other.
    string_char_ = quote_[0] == kSpecialByte ? grammar_.any_char() : regex("[^<]");
  }
  // What Python and JSON read alike: neither \/ nor pairs of escapes.
  if (!string_char_ && style_.notation == JsonNotation::kPython) {
    string_char_ = regex(
        "[^\\x00-\\x1f\"\\\\]|\\\\(?:[\"\\\\bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}"
        "|[dD][0-7][0-9a-fA-F]{2}))");
  }
  if (!string_char_) {
    string_char_ = regex(
        "[^\\x00-\\x1f\"\\\\]|\\\\(?:[\"\\\\/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}"
        "|[dD][0-7][0-9a-fA-F]{2}|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}))");
  }
  return *string_char_;
}

// The same in Python's other quotes.
ExprId JsonGrammar::single_quoted_char() {
  if (!single_quoted_char_) {
    single_quoted_char_ = regex(
        "[^\\x00-\\x1f'\\\\]|\\\\(?:['\"\\\\bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}"
        "|[dD][0-7][0-9a-fA-F]{2}))");
  }
  return *single_quoted_char_;
}

Result<ExprId> JsonGrammar::string(std::uint32_t min, std::uint32_t max) {
  const bool is_any = min == 0 && max == kNoMax;
  if (is_any && any_string_) return *any_string_;
  const auto between = [&](ExprId character, const std::string& quote) {
    const ExprId sign = grammar_.bytes(quote);
    return grammar_.sequence({sign, grammar_.repeat(character, min, max), sign});
  };
  ExprId text = between(string_char(), quote_);
  if (style_.notation == JsonNotation::kPython) {
    text = grammar_.alternatives({text, between(single_quoted_char(), "'")});
  }
  TRY(status());
  if (!is_any) return text;
  const Automaton automaton =
      TRY(grammar_.to_automaton(text, grammar_.budget().limits().pattern_states_max));
  any_string_ = grammar_.automaton(automaton);
  return *any_string_;
}

Result<ExprId> JsonGrammar::string_of(const Automaton& text) {
  if (is_empty(text)) return grammar_.nothing();
  const ExprId quote = grammar_.bytes(quote_);
  if (!is_gemma()) {
    const ExprId escaped = grammar_.automaton(Escaper(text, '"').run());
    const ExprId quoted = grammar_.sequence({quote, escaped, quote});
    if (style_.notation != JsonNotation::kPython) return quoted;
    const ExprId single = grammar_.bytes("'");
    return grammar_.alternatives(
        {quoted,
         grammar_.sequence({single, grammar_.automaton(Escaper(text, '\'').run()), single})});
  }
  const std::size_t states_max = grammar_.budget().limits().pattern_states_max;
  const ExprId any = grammar_.repeat(string_char(), 0, kNoMax);
  TRY(status());
  const Automaton allowed = TRY(grammar_.to_automaton(any, states_max));
  Automaton plain = TRY(intersect(text, allowed, states_max, grammar_.budget()));
  if (is_empty(plain)) return grammar_.nothing();
  return grammar_.sequence({quote, grammar_.automaton(std::move(plain)), quote});
}

Result<Automaton> JsonGrammar::text_of_length(std::uint32_t min, std::uint32_t max) {
  return grammar_.to_automaton(grammar_.repeat(grammar_.any_char(), min, max),
                               grammar_.budget().limits().pattern_states_max);
}

ExprId JsonGrammar::string_literal(const std::string& text) {
  if (is_gemma()) {
    const bool is_plain = quote_[0] == kSpecialByte || text.find('<') == std::string::npos;
    return is_plain ? grammar_.bytes(quote_ + text + quote_) : grammar_.nothing();
  }
  const std::string quoted =
      OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  // Python's other quote, where nothing has to be escaped for it.
  if (style_.notation == JsonNotation::kPython && quoted.size() == text.size() + 2 &&
      text.find('\'') == std::string::npos) {
    return grammar_.alternatives({grammar_.bytes(quoted), grammar_.bytes("'" + text + "'")});
  }
  return grammar_.bytes(quoted);
}

ExprId JsonGrammar::word(const OrderedJson& value) {
  const bool is_python = style_.notation == JsonNotation::kPython;
  if (value.is_null()) return grammar_.bytes(is_python ? "None" : "null");
  if (value == true) return grammar_.bytes(is_python ? "True" : "true");
  return grammar_.bytes(is_python ? "False" : "false");
}

Result<ExprId> JsonGrammar::integer() {
  if (!integer_) integer_ = regex("-?(?:0|[1-9][0-9]{0,17})");
  TRY(status());
  return *integer_;
}

Result<ExprId> JsonGrammar::number() {
  if (!number_) {
    number_ = regex("-?(?:0|[1-9][0-9]{0,17})(?:\\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,2})?");
  }
  TRY(status());
  return *number_;
}

void JsonGrammar::define_any() {
  if (any_value_) return;
  any_value_ = grammar_.add_rule("value");
  any_object_ = grammar_.add_rule("object");
  any_array_ = grammar_.add_rule("array");
  const Result<ExprId> text = string();
  const Result<ExprId> digits = number();
  if (!text.ok() || !digits.ok()) {
    if (!error_) error_ = text.ok() ? digits.error() : text.error();
    return;
  }
  const ExprId value = grammar_.rule(*any_value_);
  const ExprId key = has_bare_keys(ObjectPlace::kValue) ? regex(kBareKey) : text.value();
  const ExprId member = grammar_.sequence({key, colon(), value});
  grammar_.define(*any_object_, object_of(member, 0, kNoMax));
  grammar_.define(*any_array_, array_of(value, 0, kNoMax));
  grammar_.define(
      *any_value_,
      grammar_.alternatives({text.value(), digits.value(), word(true), word(false), word(nullptr),
                             grammar_.rule(*any_object_), grammar_.rule(*any_array_)}));
}

ExprId JsonGrammar::any_value() {
  define_any();
  return grammar_.rule(*any_value_);
}

ExprId JsonGrammar::any_object(ObjectPlace place) {
  define_any();
  if (place == ObjectPlace::kArguments && has_bare_keys(place)) {
    const ExprId member = grammar_.sequence({regex(kBareKey), colon(place), any_value()});
    return object_of(member, 0, kNoMax, place);
  }
  return grammar_.rule(*any_object_);
}

ExprId JsonGrammar::any_array() {
  define_any();
  return grammar_.rule(*any_array_);
}

ExprId JsonGrammar::list_of(ExprId item, std::uint32_t min, std::uint32_t max) {
  if (max == 0) return grammar_.empty();
  const ExprId next = grammar_.sequence({comma(), item});
  const std::uint32_t more_max = max == kNoMax ? kNoMax : max - 1;
  const ExprId some =
      grammar_.sequence({item, grammar_.repeat(next, min == 0 ? 0 : min - 1, more_max)});
  return min == 0 ? grammar_.optional(some) : some;
}

ExprId JsonGrammar::object_of(ExprId member, std::uint32_t min, std::uint32_t max,
                              ObjectPlace place) {
  return grammar_.sequence({object_begin(place), list_of(member, min, max), object_end(place)});
}

ExprId JsonGrammar::array_of(ExprId item, std::uint32_t min, std::uint32_t max) {
  return grammar_.sequence({array_begin(), list_of(item, min, max), array_end()});
}

ExprId JsonGrammar::value(const OrderedJson& value) {
  if (value.is_string()) return string_literal(value.get_ref<const std::string&>());
  if (value.is_null() || value.is_boolean()) return word(value);
  if (!value.is_structured()) {
    return grammar_.bytes(value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
  }
  std::vector<ExprId> parts = {value.is_object() ? object_begin() : array_begin()};
  bool is_first = true;
  for (const auto& [key, item] : value.items()) {
    if (!is_first) parts.push_back(comma());
    is_first = false;
    if (value.is_object()) {
      const Result<ExprId> name = this->key(key, ObjectPlace::kValue);
      if (!name.ok() && !error_) error_ = name.error();
      parts.push_back(name.ok() ? name.value() : grammar_.nothing());
      parts.push_back(colon());
    }
    parts.push_back(this->value(item));
  }
  parts.push_back(value.is_object() ? object_end() : array_end());
  return grammar_.sequence(std::move(parts));
}

}  // namespace millrace
