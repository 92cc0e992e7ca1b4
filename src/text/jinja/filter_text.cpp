// Filters that give text.
#include <algorithm>
#include <array>
#include <utility>

#include "text/jinja/arguments.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/filter_functions.h"
#include "text/jinja/format_number.h"
#include "text/jinja/iterate.h"
#include "text/jinja/method.h"
#include "text/jinja/percent_format.h"
#include "text/jinja/repr.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"
#include "text/jinja/word_wrap.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

// A string as it is, anything else printed.
Result<Value> soft_string(Sandbox& sandbox, const Value& value) {
  if (value.is_string()) return value;
  return sandbox.string(TRY(to_str(sandbox, value)));
}

Result<Value> call_method(Sandbox& sandbox, const Value& self, std::string_view name,
                          Arguments arguments) {
  return find_method(self, name)->call(sandbox, self, arguments);
}

// A filter that is a method of str without arguments.
Result<Value> as_method(Sandbox& sandbox, const Arguments& arguments, std::string_view name) {
  const std::vector<Value> bound = TRY(bind(arguments, {name, {"s"}, 1}));
  return call_method(sandbox, TRY(soft_string(sandbox, bound[0])), name, {});
}

bool starts_word(char32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
}

bool is_url_safe(char c, bool keeps_slash) {
  const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (is_letter || (c >= '0' && c <= '9')) return true;
  return c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && keeps_slash);
}

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

enum class UrlPart : std::uint8_t { kPath, kQuery };

Result<std::string> quote_url(Sandbox& sandbox, const Value& value, UrlPart part) {
  const std::string text = TRY(to_str(sandbox, value));
  TRY(sandbox.spend_items(text.size()));
  std::string out;
  for (const char c : text) {
    if (is_url_safe(c, part == UrlPart::kPath)) {
      out += c;
    } else if (c == ' ' && part == UrlPart::kQuery) {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      const std::array<char, 3> escape = {'%', kHexDigits[byte >> 4], kHexDigits[byte & 0xF]};
      TRY(sandbox.append(out, std::string_view(escape.data(), escape.size())));
    }
  }
  return out;
}

Result<std::string> escaped(Sandbox& sandbox, const Value& value) {
  if (value.is_string() && value.string().is_markup) return value.text();
  return escape_html(sandbox, TRY(to_str(sandbox, value)));
}

}  // namespace

Result<Value> filter_upper(Sandbox& sandbox, const Arguments& arguments) {
  return as_method(sandbox, arguments, "upper");
}
Result<Value> filter_lower(Sandbox& sandbox, const Arguments& arguments) {
  return as_method(sandbox, arguments, "lower");
}
Result<Value> filter_capitalize(Sandbox& sandbox, const Arguments& arguments) {
  return as_method(sandbox, arguments, "capitalize");
}

Result<Value> filter_title(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"title", {"s"}, 1}));
  const Value text = TRY(soft_string(sandbox, bound[0]));
  TRY(sandbox.spend_items(4 * text.text().size()));
  std::string out;
  for (std::string_view rest = text.text(); !rest.empty();) {
    // A run of separators or a run of others; jinja2 treats both alike.
    const bool separates = starts_word(decode_utf8(rest).code_point);
    std::size_t end = 0;
    while (end < rest.size() &&
           starts_word(decode_utf8(rest.substr(end)).code_point) == separates) {
      end += decode_utf8(rest.substr(end)).num_bytes;
    }
    const std::size_t first = decode_utf8(rest).num_bytes;
    out += TRY(change_case(rest.substr(0, first), LetterCase::kUpper));
    out += TRY(change_case(rest.substr(first, end - first), LetterCase::kLower));
    rest.remove_prefix(end);
  }
  return sandbox.string(std::move(out));
}

Result<Value> filter_trim(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"trim", {"value", "chars"}, 1}));
  const Value text = TRY(soft_string(sandbox, bound[0]));
  Arguments set;
  if (!bound[1].is_missing()) set.positional.push_back(bound[1]);
  return call_method(sandbox, text, "strip", std::move(set));
}

Result<Value> filter_replace(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"replace", {"s", "old", "new", "count"}, 3}));
  const std::string text = TRY(to_str(sandbox, bound[0]));
  const std::string from = TRY(to_str(sandbox, bound[1]));
  const std::string to = TRY(to_str(sandbox, bound[2]));
  const std::int64_t limit = TRY(index_or(bound[3], kNoLimit));
  return sandbox.string(TRY(replace_text(sandbox, text, from, to, limit)));
}

Result<Value> filter_indent(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"indent", {"s", "width", "first", "blank"}, 1}));
  if (bound[0].is_undefined()) return undefined_error(bound[0]);
  TRY(to_text(bound[0], "indent"));
  std::string indent;
  if (bound[1].is_string()) {
    indent = bound[1].text();
  } else {
    const std::int64_t width = bound[1].is_missing() ? 4 : TRY(to_index(bound[1]));
    TRY(sandbox.append_repeated(indent, " ",
                                static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0))));
  }
  TRY(sandbox.spend_items(bound[0].text().size()));
  const std::string text = bound[0].text() + "\n";
  const Pieces lines = TRY(split_lines(sandbox, text, LineEnds::kDropped));
  std::string out = is_true(bound[2]) ? indent : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    const bool is_indented = i > 0 && (!lines[i].empty() || is_true(bound[3]));
    if (is_indented) TRY(sandbox.append(out, indent));
    TRY(sandbox.append(out, lines[i]));
  }
  return sandbox.string_like(bound[0], std::move(out));
}

Result<Value> filter_truncate(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound =
      TRY(bind(arguments, {"truncate", {"s", "length", "killwords", "end", "leeway"}, 1}));
  const std::int64_t length_max = bound[1].is_missing() ? 255 : TRY(to_index(bound[1]));
  const std::string_view end = bound[3].is_missing() ? "..." : TRY(to_text(bound[3], "truncate"));
  const std::int64_t leeway = TRY(index_or(bound[4], 5));
  const auto num_end = static_cast<std::int64_t>(count_code_points(end));
  if (length_max < num_end || leeway < 0) {
    return template_error("truncate() expects a length of at least " + std::to_string(num_end) +
                          " and no negative leeway");
  }
  // Not length_max + leeway, which may not fit.
  if (TRY(length(bound[0])) - length_max <= leeway) return bound[0];
  TRY(to_text(bound[0], "truncate"));
  const Value kept =
      TRY(get_slice(sandbox, bound[0], {Value(), Value::integer(length_max - num_end), Value()}));
  std::string_view head = kept.text();
  if (!is_true(bound[2])) head = head.substr(0, std::min(head.rfind(' '), head.size()));
  const bool escapes_end =
      kept.string().is_markup && !(bound[3].is_string() && bound[3].string().is_markup);
  const std::string tail = escapes_end ? TRY(escape_html(sandbox, end)) : std::string(end);
  return sandbox.string_like(kept, std::string(head) + tail);
}

Result<Value> filter_wordcount(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"wordcount", {"s"}, 1}));
  const std::string text = TRY(to_str(sandbox, bound[0]));
  TRY(require_unicode_tables(text));
  TRY(sandbox.spend_items(text.size()));
  std::int64_t num_words = 0;
  bool is_inside = false;
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Character character = decode_utf8(rest);
    const bool is_word =
        character.code_point == '_' || has_class(character.code_point, CharacterClass::kAlnum);
    if (is_word && !is_inside) ++num_words;
    is_inside = is_word;
    rest.remove_prefix(character.num_bytes);
  }
  return Value::integer(num_words);
}

Result<Value> filter_wordwrap(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(
      bind(arguments,
           {"wordwrap", {"s", "width", "break_long_words", "wrapstring", "break_on_hyphens"}, 1}));
  WrapStyle style;
  if (!bound[1].is_missing()) {
    const std::int64_t width = TRY(to_index(bound[1]));
    if (width < 1) return template_error("invalid width " + std::to_string(width));
    style.width = static_cast<std::size_t>(width);
  }
  if (!bound[2].is_missing() && !is_true(bound[2])) style.long_words = LongWords::kKept;
  if (!bound[4].is_missing() && !is_true(bound[4])) style.hyphens = Hyphens::kKept;
  const bool has_break = !bound[3].is_missing() && !bound[3].is_none();
  const std::string_view line_break = has_break ? TRY(to_text(bound[3], "wordwrap")) : "\n";
  const std::string_view text = TRY(to_text(bound[0], "wordwrap"));
  TRY(sandbox.spend_items(text.size()));
  std::string out;
  bool is_first = true;
  for (const std::string_view line : TRY(split_lines(sandbox, text, LineEnds::kDropped))) {
    if (!std::exchange(is_first, false)) TRY(sandbox.append(out, line_break));
    const std::vector<std::string> pieces = TRY(wrap_line(sandbox, line, style));
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (i > 0) TRY(sandbox.append(out, line_break));
      TRY(sandbox.append(out, pieces[i]));
    }
  }
  return sandbox.string(std::move(out));
}

Result<Value> filter_center(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"center", {"value", "width"}, 1}));
  Arguments width;
  width.positional.push_back(bound[1].is_missing() ? Value::integer(80) : bound[1]);
  return call_method(sandbox, TRY(soft_string(sandbox, bound[0])), "center", std::move(width));
}

Result<Value> filter_format(Sandbox& sandbox, const Arguments& arguments) {
  if (arguments.positional.empty()) return template_error("format() expects a value");
  const Value format = TRY(soft_string(sandbox, arguments.positional[0]));
  std::vector<Value> values(arguments.positional.begin() + 1, arguments.positional.end());
  if (arguments.named.empty()) {
    return format_percent(sandbox, format, TRY(sandbox.tuple(std::move(values))));
  }
  if (!values.empty()) {
    return template_error("can't handle positional and keyword arguments at the same time");
  }
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(TRY(sandbox.string(name)), value);
  }
  return format_percent(sandbox, format, TRY(sandbox.dict(std::move(entries))));
}

Result<Value> filter_string(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"string", {"s"}, 1}));
  return soft_string(sandbox, bound[0]);
}

Result<Value> filter_escape(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"escape", {"s"}, 1}));
  return sandbox.markup(TRY(escaped(sandbox, bound[0])));
}

Result<Value> filter_forceescape(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"forceescape", {"value"}, 1}));
  return sandbox.markup(TRY(escape_html(sandbox, TRY(to_str(sandbox, bound[0])))));
}

Result<Value> filter_safe(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"safe", {"value"}, 1}));
  return sandbox.markup(TRY(to_str(sandbox, bound[0])));
}

Result<Value> filter_urlencode(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"urlencode", {"value"}, 1}));
  Value pairs = bound[0];
  if (pairs.is_string() || !is_iterable(pairs)) {
    return sandbox.string(TRY(quote_url(sandbox, pairs, UrlPart::kPath)));
  }
  if (pairs.is(Kind::kDict)) pairs = TRY(sandbox.dict_view(pairs, DictViewKind::kItems));
  std::string out;
  for (const Value& pair : TRY(collect(sandbox, pairs))) {
    const std::vector<Value> parts = TRY(collect(sandbox, pair));
    if (parts.size() != 2) return template_error("urlencode() expects pairs");
    if (!out.empty()) out += '&';
    TRY(sandbox.append(out, TRY(quote_url(sandbox, parts[0], UrlPart::kQuery))));
    out += '=';
    TRY(sandbox.append(out, TRY(quote_url(sandbox, parts[1], UrlPart::kQuery))));
  }
  return sandbox.string(std::move(out));
}

Result<Value> filter_xmlattr(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"xmlattr", {"d", "autospace"}, 1}));
  if (!bound[0].is(Kind::kDict)) return template_error("xmlattr() expects a dict");
  const bool has_space = bound[1].is_missing() || is_true(bound[1]);
  std::string out;
  for (const auto& [key, value] : bound[0].dict().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string_view name = TRY(to_text(key, "xmlattr"));
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      return template_error("invalid character in attribute name '" + std::string(name) + "'");
    }
    if (!out.empty() || has_space) out += ' ';
    TRY(sandbox.append(out, TRY(escaped(sandbox, key))));
    TRY(sandbox.append(out, "=\"" + TRY(escaped(sandbox, value)) + "\""));
  }
  return sandbox.string(std::move(out));
}

Result<Value> filter_filesizeformat(Sandbox& sandbox, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"filesizeformat", {"value", "binary"}, 1}));
  Arguments number;
  number.positional = {bound[0], Value::none()};
  const Value size = TRY(filter_float(sandbox, number));
  if (size.is_none()) return template_error("filesizeformat() expects a number");
  const double num_bytes = size.as_double();
  const bool is_binary = is_true(bound[1]);
  const double base = is_binary ? 1024 : 1000;
  if (num_bytes == 1) return sandbox.string("1 Byte");
  if (num_bytes < base) {
    if (!(num_bytes > -0x1p63)) return template_error("filesizeformat() of a number too small");
    return sandbox.string(std::to_string(static_cast<std::int64_t>(num_bytes)) + " Bytes");
  }
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base * base;
  std::size_t prefix = 0;
  while (prefix + 1 < kPrefixes.size() && num_bytes >= unit) {
    unit *= base;
    ++prefix;
  }
  std::string text = float_digits(base * num_bytes / unit, 'f', 1, false) + " ";
  text += is_binary && prefix == 0 ? 'K' : kPrefixes[prefix];
  return sandbox.string(text + (is_binary ? "iB" : "B"));
}

}  // namespace millrace::jinja
