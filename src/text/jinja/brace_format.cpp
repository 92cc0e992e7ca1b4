// Fields of a format string, looked up within the sandbox.
#include "text/jinja/brace_format.h"

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/attribute.h"
#include "text/jinja/compare.h"
#include "text/jinja/format_number.h"
#include "text/jinja/literal.h"
#include "text/jinja/repr.h"
#include "text/jinja/text_search.h"

namespace millrace::jinja {
namespace {

constexpr int kFieldDepthMax = 3;  // A field, fields in its specification, and in theirs.

struct Field {
  std::string_view name;
  char conversion = '\0';
  std::string_view specification;
};

class BraceFormatter {
 public:
  BraceFormatter(Sandbox& sandbox, const Arguments& arguments, bool is_markup)
      : sandbox_(sandbox), arguments_(arguments), is_markup_(is_markup) {}
  // Named arguments come from a mapping.
  void take_names_from(const Value& mapping) { mapping_ = mapping; }

  Result<std::string> format(std::string_view text, int depth) {
    if (depth > kFieldDepthMax) return template_error("Max string recursion exceeded");
    std::string out;
    while (!text.empty()) {
      const std::size_t brace = std::min(text.find_first_of("{}"), text.size());
      TRY(sandbox_.append(out, text.substr(0, brace)));
      text.remove_prefix(brace);
      if (text.empty()) break;
      if (text.size() > 1 && text[1] == text[0]) {
        out += text[0];
        text.remove_prefix(2);
        continue;
      }
      if (text[0] == '}') return template_error("Single '}' encountered in format string");
      const std::string_view field = TRY(take_field(text));
      TRY(append_field(TRY(split_field(field)), depth, out));
    }
    return out;
  }

 private:
  // What is between an opening brace and the one that closes it.
  static Result<std::string_view> take_field(std::string_view& text) {
    std::size_t num_open = 0;
    bool in_index = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '[' && num_open == 1) in_index = true;
      if (text[i] == ']') in_index = false;
      if (in_index) continue;
      if (text[i] == '{') ++num_open;
      if (text[i] == '}' && --num_open == 0) {
        const std::string_view field = text.substr(1, i - 1);
        text.remove_prefix(i + 1);
        return field;
      }
    }
    return template_error(text.size() == 1 ? "Single '{' encountered in format string"
                                           : "expected '}' before end of string");
  }

  static Result<Field> split_field(std::string_view text) {
    Field field;
    std::size_t end = 0;
    bool in_index = false;
    for (; end < text.size(); ++end) {
      if (text[end] == '[') in_index = true;
      if (text[end] == ']') in_index = false;
      if (in_index) continue;
      if (text[end] == '{') return template_error("unexpected '{' in field name");
      if (text[end] == '!' || text[end] == ':') break;
    }
    field.name = text.substr(0, end);
    text.remove_prefix(end);
    if (text.starts_with('!')) {
      if (text.size() < 2) return template_error("end of string while looking for conversion");
      field.conversion = text[1];
      text.remove_prefix(2);
      if (!text.empty() && text[0] != ':') {
        return template_error("expected ':' after conversion specifier");
      }
    }
    if (text.starts_with(':')) field.specification = text.substr(1);
    return field;
  }

  Status append_field(const Field& field, int depth, std::string& out) {
    Value value = TRY(look_up(field.name));
    TRY(convert(field.conversion, value));
    const std::string specification = TRY(format(field.specification, depth + 1));
    if (!is_markup_) return append_formatted(sandbox_, value, specification, out);
    if (value.is_string() && value.string().is_markup) {
      if (!specification.empty()) {
        return template_error("Unsupported format specification for Markup.");
      }
      return sandbox_.append(out, value.text());
    }
    std::string plain;
    TRY(append_formatted(sandbox_, value, specification, plain));
    return sandbox_.append(out, TRY(escape_html(sandbox_, plain)));
  }

  Status convert(char conversion, Value& value) {
    std::string text;
    switch (conversion) {
      case '\0':
        return Ok{};
      case 's':
        TRY(append_str(sandbox_, value, text));
        break;
      case 'r':
        TRY(append_repr(sandbox_, value, text));
        break;
      case 'a':
        return unsupported_error("conversion '!a' in a format string");
      default:
        return template_error(std::string("Unknown conversion specifier '") + conversion + "'");
    }
    value = TRY(sandbox_.string(std::move(text)));
    return Ok{};
  }

  Result<Value> look_up(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = TRY(first_value(name.substr(0, end), end == name.size()));
    std::string_view rest = name.substr(end);
    while (!rest.empty()) {
      if (rest[0] == '.') {
        const std::size_t stop = std::min(rest.find_first_of(".[", 1), rest.size());
        const Value key = TRY(sandbox_.string(std::string(rest.substr(1, stop - 1))));
        if (key.text().empty()) return template_error("Empty attribute in format string");
        value = TRY(get_attribute(sandbox_, value, key));
        rest.remove_prefix(stop);
        continue;
      }
      if (rest[0] != '[') return template_error("Only '.' or '[' may follow ']' in format field");
      const std::size_t close = rest.find(']');
      if (close == std::string_view::npos) return template_error("Missing ']' in format string");
      const std::string_view key = rest.substr(1, close - 1);
      if (key.empty()) return template_error("Empty attribute in format string");
      value = TRY(get_item(sandbox_, value, TRY(to_key(key))));
      rest.remove_prefix(close + 1);
    }
    return value;
  }

  Result<Value> to_key(std::string_view text) {
    if (is_number(text)) {
      const auto index = parse_digits(text, 10);
      if (!index) return template_error("Too many decimal digits in format string");
      return Value::integer(*index);
    }
    return sandbox_.string(std::string(text));
  }

  static bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  Result<Value> first_value(std::string_view name, bool is_whole_name) {
    if (name.empty() && is_whole_name) {
      if (numbering_ == Numbering::kManual) return mixed_numbering();
      numbering_ = Numbering::kAutomatic;
      return positional(num_automatic_++);
    }
    if (is_number(name)) {
      if (is_whole_name && numbering_ == Numbering::kAutomatic) return mixed_numbering();
      if (is_whole_name) numbering_ = Numbering::kManual;
      const auto index = parse_digits(name, 10);
      if (!index) return template_error("Too many decimal digits in format string");
      return positional(static_cast<std::size_t>(*index));
    }
    return named(name);
  }

  static Error mixed_numbering() {
    return template_error("cannot mix manual field specification and automatic field numbering");
  }

  Result<Value> positional(std::size_t index) {
    if (index >= arguments_.positional.size()) {
      return template_error("Replacement index " + std::to_string(index) +
                            " out of range for positional args tuple");
    }
    return arguments_.positional[index];
  }

  Result<Value> named(std::string_view name) {
    for (const auto& [candidate, value] : arguments_.named) {
      if (candidate == name) return value;
    }
    if (mapping_.is(Kind::kDict)) {
      TRY(sandbox_.spend(8));
      if (const Value* value = mapping_.dict().find(name)) return *value;
    }
    return template_error("format string has no value for '" + std::string(name) + "'");
  }

  enum class Numbering : std::uint8_t { kUnknown, kAutomatic, kManual };

  Sandbox& sandbox_;
  const Arguments& arguments_;
  Value mapping_;
  bool is_markup_;
  Numbering numbering_ = Numbering::kUnknown;
  std::size_t num_automatic_ = 0;
};

}  // namespace

Result<Value> format_braces(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  BraceFormatter formatter(sandbox, arguments, self.string().is_markup);
  return sandbox.string_like(self, TRY(formatter.format(self.text(), 1)));
}

Result<Value> format_braces_map(Sandbox& sandbox, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = TRY(bind(arguments, {"format_map", {""}, 1}));
  const Arguments none;
  BraceFormatter formatter(sandbox, none, self.string().is_markup);
  formatter.take_names_from(bound[0]);
  return sandbox.string_like(self, TRY(formatter.format(self.text(), 1)));
}

Status append_formatted(Sandbox& sandbox, const Value& value, std::string_view specification,
                        std::string& out) {
  if (specification.empty()) return append_str(sandbox, value, out);
  if (!value.is_string() && !value.is_number()) {
    return template_error("unsupported format string passed to " + std::string(type_name(value)) +
                          ".__format__");
  }
  const FormatSpec spec = TRY(parse_format_spec(specification));
  if (value.is_string()) return append_text(sandbox, value.text(), spec, out);
  return append_number(sandbox, value, spec, out);
}

}  // namespace millrace::jinja
