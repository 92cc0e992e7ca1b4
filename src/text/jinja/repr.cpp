// Printing values; every step is paid for, since shared lists can be exponentially larger than they
// are.
#include "text/jinja/repr.h"

#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

// Escapes make a text ten times as long, so it goes to the output, where it is weighed, in chunks.
constexpr std::size_t kChunkBytes = 4096;

void append_hex(char32_t c, int num_digits, std::string& out) {
  for (int digit = num_digits - 1; digit >= 0; --digit) {
    out += "0123456789abcdef"[(c >> (4 * digit)) & 0xF];
  }
}

void append_escaped(char32_t c, char quote, std::string& out) {
  if (c == '\\' || c == static_cast<char32_t>(quote)) {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (has_class(c, CharacterClass::kPrintable)) {
    append_utf8(c, out);
  } else {
    out += c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
    append_hex(c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8, out);
  }
}

Status append_items(Sandbox& sandbox, const std::vector<Value>& items, std::string& out) {
  bool is_first = true;
  for (const Value& item : items) {
    if (!is_first) out += ", ";
    is_first = false;
    TRY(append_repr(sandbox, item, out));
  }
  return Ok{};
}

Status append_dict(Sandbox& sandbox, const Dict& dict, std::string& out) {
  out += '{';
  bool is_first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!is_first) out += ", ";
    is_first = false;
    TRY(append_repr(sandbox, key, out));
    out += ": ";
    TRY(append_repr(sandbox, value, out));
  }
  out += '}';
  return Ok{};
}

Status append_dict_view(Sandbox& sandbox, const Value& value, std::string& out) {
  const DictView& view = value.dict_view();
  out += std::string(type_name(value)) + "([";
  bool is_first = true;
  for (const auto& [key, item] : view.of.dict().entries) {
    if (!is_first) out += ", ";
    is_first = false;
    if (view.view == DictViewKind::kItems) out += '(';
    if (view.view != DictViewKind::kValues) TRY(append_repr(sandbox, key, out));
    if (view.view == DictViewKind::kItems) out += ", ";
    if (view.view != DictViewKind::kKeys) TRY(append_repr(sandbox, item, out));
    if (view.view == DictViewKind::kItems) out += ')';
  }
  out += "])";
  return Ok{};
}

Status append_namespace(Sandbox& sandbox, const Namespace& space, std::string& out) {
  out += "<Namespace {";
  bool is_first = true;
  for (const auto& [name, value] : space.attributes) {
    if (!is_first) out += ", ";
    is_first = false;
    TRY(append_quoted(sandbox, name, out));
    out += ": ";
    TRY(append_repr(sandbox, value, out));
  }
  out += "}>";
  return Ok{};
}

std::string range_repr(const Range& range) {
  std::string text = "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) text += ", " + std::to_string(range.step);
  return text + ")";
}

Status append_sequence(Sandbox& sandbox, const Value& value, std::string& out) {
  const std::vector<Value>& items = value.sequence().items;
  const bool is_list = value.is(Kind::kList);
  out += is_list ? '[' : '(';
  TRY(append_items(sandbox, items, out));
  if (!is_list && items.size() == 1) out += ',';
  out += is_list ? ']' : ')';
  return Ok{};
}

// Both str() and repr() of what is not a string or undefined.
Status append_plain(Sandbox& sandbox, const Value& value, std::string& out) {
  TRY(sandbox.spend(1));
  TRY(sandbox.enter());
  const DepthGuard guard(sandbox);
  switch (value.kind()) {
    case Kind::kNone:
      return sandbox.append(out, "None");
    case Kind::kBool:
      return sandbox.append(out, value.as_bool() ? "True" : "False");
    case Kind::kInt:
      return sandbox.append(out, std::to_string(value.as_int()));
    case Kind::kFloat:
      return sandbox.append(out, float_repr(value.as_double()));
    case Kind::kList:
    case Kind::kTuple:
      return append_sequence(sandbox, value, out);
    case Kind::kDict:
      return append_dict(sandbox, value.dict(), out);
    case Kind::kRange:
      return sandbox.append(out, range_repr(value.range()));
    case Kind::kDictView:
      return append_dict_view(sandbox, value, out);
    case Kind::kNamespace:
      return append_namespace(sandbox, value.name_space(), out);
    case Kind::kIterator:
      return sandbox.append(out, "<" + std::string(type_name(value)) + " object>");
    case Kind::kObject:
      return sandbox.append(out, TRY(value.opaque().repr(sandbox)));
    default:
      return Ok{};
  }
}

}  // namespace

Status append_str(Sandbox& sandbox, const Value& value, std::string& out) {
  if (value.is_string()) return sandbox.append(out, value.text());
  if (value.is_undefined() || value.is_missing()) return Ok{};
  return append_plain(sandbox, value, out);
}

Status append_repr(Sandbox& sandbox, const Value& value, std::string& out) {
  if (value.is_undefined()) return sandbox.append(out, "Undefined");
  if (!value.is_string()) return append_plain(sandbox, value, out);
  if (!value.string().is_markup) return append_quoted(sandbox, value.text(), out);
  out += "Markup(";
  TRY(append_quoted(sandbox, value.text(), out));
  out += ')';
  return Ok{};
}

Result<std::string> to_str(Sandbox& sandbox, const Value& value) {
  std::string text;
  TRY(append_str(sandbox, value, text));
  return text;
}

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                 std::chars_format::scientific);
  const std::string_view shortest(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
  const std::size_t e = shortest.find('e');
  int exponent = 0;
  const std::size_t sign = shortest[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(shortest.data() + sign, shortest.data() + shortest.size(), exponent);
  // Python writes exponents from -4 to 15 out.
  if (exponent < -4 || exponent >= 16) return std::string(shortest);
  std::array<char, 40> fixed{};
  const auto fixed_end =
      std::to_chars(fixed.data(), fixed.data() + fixed.size(), number, std::chars_format::fixed);
  std::string text(fixed.data(), fixed_end.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

Status append_quoted(Sandbox& sandbox, std::string_view text, std::string& out) {
  TRY(require_unicode_tables(text));
  TRY(sandbox.spend_items(text.size()));
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string quoted(1, quote);
  while (!text.empty()) {
    const Utf8Character character = decode_utf8(text);
    append_escaped(character.code_point, quote, quoted);
    text.remove_prefix(character.num_bytes);
    if (quoted.size() < kChunkBytes) continue;
    TRY(sandbox.append(out, quoted));
    quoted.clear();
  }
  quoted += quote;
  return sandbox.append(out, quoted);
}

}  // namespace millrace::jinja
