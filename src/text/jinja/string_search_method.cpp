// Methods of str that look for something and say where or whether it is.
#include <algorithm>
#include <array>

#include "text/jinja/arguments.h"
#include "text/jinja/attribute.h"
#include "text/jinja/method.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

// The part of a text that optional start and end positions select; nothing when start is past it.
struct Part {
  std::string_view text;
  std::size_t num_before = 0;  // Code points.
};

Result<std::optional<Part>> select_part(Sandbox& sandbox, const Value& self, const Value& start,
                                        const Value& end) {
  const String& string = self.string();
  const Span span = TRY(clip_span(start, end, static_cast<std::int64_t>(string.num_code_points)));
  if (span.start > span.stop) return std::optional<Part>();
  TRY(sandbox.spend_bytes(string.text.size()));
  const auto first = static_cast<std::size_t>(span.start);
  const auto num_characters = static_cast<std::size_t>(span.stop - span.start);
  const std::string_view text = string.text;
  if (string.is_ascii()) return std::optional(Part{text.substr(first, num_characters), first});
  TRY(sandbox.spend_bytes(4 * (first + num_characters)));
  const std::size_t from = code_point_offset(text, first);
  const std::size_t num_bytes = code_point_offset(text.substr(from), num_characters);
  return std::optional(Part{text.substr(from, num_bytes), first});
}

enum class WhenAbsent : std::uint8_t { kMinusOne, kError };

template <Side kSide, WhenAbsent kAbsent>
Result<Value> position_of(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"find", {"", "", ""}, 1}));
  const std::string_view wanted = TRY(to_text(bound[0], "find"));
  if (const auto part = TRY(select_part(sandbox, self, bound[1], bound[2]))) {
    TRY(spend_search(sandbox, part->text, wanted));
    const std::size_t at =
        kSide == Side::kLeft ? find_text(part->text, wanted) : find_last_text(part->text, wanted);
    if (at != std::string_view::npos) {
      const std::size_t num_before = part->num_before + count_code_points(part->text.substr(0, at));
      return Value::integer(static_cast<std::int64_t>(num_before));
    }
  }
  if (kAbsent == WhenAbsent::kError) return template_error("substring not found");
  return Value::integer(-1);
}

Result<Value> count_of(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"count", {"", "", ""}, 1}));
  const std::string_view wanted = TRY(to_text(bound[0], "count"));
  const auto part = TRY(select_part(sandbox, self, bound[1], bound[2]));
  if (!part) return Value::integer(0);
  if (wanted.empty()) {
    return Value::integer(static_cast<std::int64_t>(count_code_points(part->text)) + 1);
  }
  TRY(spend_search(sandbox, part->text, wanted));
  std::int64_t num_found = 0;
  std::string_view rest = part->text;
  while (true) {
    const std::size_t at = find_text(rest, wanted);
    if (at == std::string_view::npos) return Value::integer(num_found);
    TRY(sandbox.spend(1));
    ++num_found;
    rest.remove_prefix(at + wanted.size());
  }
}

template <Side kSide>
Result<Value> has_affix(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"startswith", {"", "", ""}, 1}));
  std::vector<Value> affixes = {bound[0]};
  if (bound[0].is(Kind::kTuple)) affixes = bound[0].sequence().items;
  const auto part = TRY(select_part(sandbox, self, bound[1], bound[2]));
  for (const Value& affix : affixes) {
    const std::string_view text = TRY(to_text(affix, "startswith"));
    TRY(sandbox.spend_bytes(text.size()));
    if (!part) continue;
    const bool has =
        kSide == Side::kLeft ? part->text.starts_with(text) : part->text.ends_with(text);
    if (has) return Value::boolean(true);
  }
  return Value::boolean(false);
}

constexpr std::array<Method, 7> kMethods = {{
    {"startswith", has_affix<Side::kLeft>},
    {"endswith", has_affix<Side::kRight>},
    {"find", position_of<Side::kLeft, WhenAbsent::kMinusOne>},
    {"rfind", position_of<Side::kRight, WhenAbsent::kMinusOne>},
    {"index", position_of<Side::kLeft, WhenAbsent::kError>},
    {"rindex", position_of<Side::kRight, WhenAbsent::kError>},
    {"count", count_of},
}};

// One of str's questions about all characters of a text. An empty text is no example of any class.
template <CharacterClass kClass>
Result<Value> all_are(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"a class of characters", {}, 0}));
  TRY(require_unicode_tables(self.text()));
  TRY(sandbox.spend_items(self.text().size()));
  for (std::string_view rest = self.text(); !rest.empty();) {
    const Utf8Character character = decode_utf8(rest);
    if (!has_class(character.code_point, kClass)) return Value::boolean(false);
    rest.remove_prefix(character.num_bytes);
  }
  return Value::boolean(!self.text().empty() || kClass == CharacterClass::kPrintable);
}

Result<Value> all_are_space(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"isspace", {}, 0}));
  TRY(sandbox.spend_items(self.text().size()));
  return Value::boolean(!self.text().empty() && strip_space_left(self.text()).empty());
}

Result<Value> all_are_ascii(Sandbox&, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"isascii", {}, 0}));
  return Value::boolean(self.string().is_ascii());
}

Result<Value> is_identifier(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  if (self.text().empty()) return Value::boolean(false);
  const Utf8Character first = decode_utf8(self.text());
  if (!has_class(first.code_point, CharacterClass::kWordStart)) return Value::boolean(false);
  return all_are<CharacterClass::kWord>(sandbox, self, arguments);
}

// islower, isupper: some letter has a case, and none has another.
template <CharacterClass kWanted>
Result<Value> letters_are(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"a class of letters", {}, 0}));
  TRY(sandbox.spend_items(self.text().size()));
  return Value::boolean(TRY(has_letter_case(self.text(), kWanted)));
}

// istitle: capitals start words, small letters go on with them, and there is one.
Result<Value> is_titled(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  TRY(bind(arguments, {"istitle", {}, 0}));
  TRY(require_unicode_tables(self.text()));
  TRY(sandbox.spend_items(self.text().size()));
  bool has_capital = false;
  bool is_inside = false;
  for (std::string_view rest = self.text(); !rest.empty();) {
    const Utf8Character character = decode_utf8(rest);
    const bool is_capital = has_class(character.code_point, CharacterClass::kUpper) ||
                            has_class(character.code_point, CharacterClass::kTitle);
    const bool is_small = has_class(character.code_point, CharacterClass::kLower);
    if ((is_capital && is_inside) || (is_small && !is_inside)) return Value::boolean(false);
    is_inside = is_capital || is_small;
    has_capital = has_capital || is_capital;
    rest.remove_prefix(character.num_bytes);
  }
  return Value::boolean(has_capital);
}

constexpr std::array<Method, 12> kClassMethods = {{
    {"isalpha", all_are<CharacterClass::kAlpha>},
    {"isdecimal", all_are<CharacterClass::kDecimal>},
    {"isdigit", all_are<CharacterClass::kDigit>},
    {"isnumeric", all_are<CharacterClass::kNumeric>},
    {"isalnum", all_are<CharacterClass::kAlnum>},
    {"isprintable", all_are<CharacterClass::kPrintable>},
    {"isspace", all_are_space},
    {"isascii", all_are_ascii},
    {"isidentifier", is_identifier},
    {"islower", letters_are<CharacterClass::kLower>},
    {"isupper", letters_are<CharacterClass::kUpper>},
    {"istitle", is_titled},
}};

template <std::size_t N>
const Method* find_in(const std::array<Method, N>& methods, std::string_view name) {
  const auto* found = std::find_if(methods.begin(), methods.end(),
                                   [&](const Method& method) { return method.name == name; });
  return found == methods.end() ? nullptr : found;
}

}  // namespace

const Method* find_string_search_method(std::string_view name) {
  return find_in(kMethods, name);
}

const Method* find_string_class_method(std::string_view name) {
  return find_in(kClassMethods, name);
}

}  // namespace millrace::jinja
