// One conversion after another.
#include "text/jinja/percent_format.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/arguments.h"
#include "text/jinja/compare.h"
#include "text/jinja/format_number.h"
#include "text/jinja/repr.h"
#include "text/jinja/text_search.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace millrace::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Sandbox& sandbox, const Value& format, const Value& values)
      : sandbox_(sandbox),
        text_(format.text()),
        is_markup_(format.string().is_markup),
        values_(values) {}

  Result<std::string> run() {
    while (!text_.empty()) {
      const std::size_t percent = std::min(text_.find('%'), text_.size());
      TRY(sandbox_.append(out_, text_.substr(0, percent)));
      text_.remove_prefix(percent);
      if (text_.empty()) break;
      text_.remove_prefix(1);
      TRY(conversion());
    }
    if (!uses_names_ && !has_items() && next_ < num_values()) {
      return template_error("not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  std::size_t num_values() const {
    return values_.is(Kind::kTuple) ? values_.sequence().items.size() : 1;
  }
  // Python counts as a mapping whatever can be subscripted.
  bool has_items() const {
    return values_.is(Kind::kDict) || values_.is(Kind::kList) || values_.is(Kind::kRange) ||
           values_.is_undefined();
  }

  Result<Value> next_value() {
    if (uses_names_ || next_ >= num_values())
      return template_error("not enough arguments for format string");
    ++next_;
    return values_.is(Kind::kTuple) ? values_.sequence().items[next_ - 1] : values_;
  }

  Result<Value> named_value() {
    text_.remove_prefix(1);
    std::size_t num_open = 1;
    std::size_t end = 0;
    for (; end < text_.size(); ++end) {
      if (text_[end] == '(') ++num_open;
      if (text_[end] == ')' && --num_open == 0) break;
    }
    if (end == text_.size()) return template_error("incomplete format key");
    const Value name = TRY(sandbox_.string(std::string(text_.substr(0, end))));
    text_.remove_prefix(end + 1);
    if (!values_.is(Kind::kDict)) return template_error("format requires a mapping");
    TRY(sandbox_.spend_key(name));
    const Value* value = values_.dict().find(name);
    if (value == nullptr) return template_error("format has no value for '" + name.text() + "'");
    uses_names_ = true;
    return *value;
  }

  char front() const { return text_.empty() ? '\0' : text_.front(); }

  Status flags(FormatSpec& spec) {
    spec.align = '>';
    for (;; text_.remove_prefix(1)) {
      switch (front()) {
        case '-':
          is_left_ = true;
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          if (spec.sign != '+') spec.sign = ' ';
          break;
        case '#':
          spec.is_alternate = true;
          break;
        case '0':
          is_zero_filled_ = true;
          break;
        default:
          return Ok{};
      }
    }
  }

  // Digits, or a star for the next value.
  Result<std::int64_t> size() {
    if (front() == '*') {
      text_.remove_prefix(1);
      return to_index(TRY(next_value()));
    }
    std::int64_t number = 0;
    constexpr std::int64_t kSizeMax = 1'000'000'000;
    for (; front() >= '0' && front() <= '9'; text_.remove_prefix(1)) {
      number = number * 10 + (front() - '0');
      if (number > kSizeMax) return template_error("width or precision too big");
    }
    return number;
  }

  Status conversion() {
    is_left_ = false;
    is_zero_filled_ = false;
    FormatSpec spec;
    Value value;
    if (front() == '(') value = TRY(named_value());
    TRY(flags(spec));
    spec.width = TRY(size());
    if (spec.width < 0) {
      is_left_ = true;
      spec.width = spec.width < -1'000'000'000 ? 1'000'000'000 : -spec.width;
    }
    if (front() == '.') {
      text_.remove_prefix(1);
      spec.precision = std::max<std::int64_t>(TRY(size()), 0);
    }
    if (front() == 'h' || front() == 'l' || front() == 'L') text_.remove_prefix(1);
    if (text_.empty()) return template_error("incomplete format");
    const char type = front();
    text_.remove_prefix(1);
    if (type == '%') return sandbox_.append(out_, "%");
    if (value.is_missing()) value = TRY(next_value());
    return convert(type, value, spec);
  }

  Status convert(char type, const Value& value, FormatSpec& spec) {
    if (is_left_) spec.align = '<';
    switch (type) {
      case 's':
      case 'r':
        return text_conversion(type, value, spec);
      case 'c':
        return character(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(type, value, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return floating(type, value, spec);
      case 'a':
        return unsupported_error("conversion '%a' in a format string");
      default:
        return template_error(std::string("unsupported format character '") + type + "'");
    }
  }

  Status text_conversion(char type, const Value& value, const FormatSpec& spec) {
    std::string text;
    TRY(type == 's' ? append_str(sandbox_, value, text) : append_repr(sandbox_, value, text));
    const bool is_safe = type == 's' && value.is_string() && value.string().is_markup;
    if (is_markup_ && !is_safe) text = TRY(escape_html(sandbox_, text));
    return padded_text(text, spec);
  }

  Status padded_text(std::string_view text, FormatSpec spec) {
    spec.sign = '-';
    spec.is_alternate = false;
    return append_text(sandbox_, text, spec, out_);
  }

  Status character(const Value& value, FormatSpec& spec) {
    std::string text;
    if (value.is_string() && value.string().num_code_points == 1) {
      text = value.text();
    } else {
      const std::int64_t code = TRY(to_index(value));
      if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return template_error("%c argument is not a character");
      }
      append_utf8(static_cast<char32_t>(code), text);
    }
    spec.precision.reset();
    return padded_text(text, spec);
  }

  Status integer(char type, const Value& value, FormatSpec& spec) {
    if (!value.is_number()) {
      return template_error(std::string("%") + type + " format: a number is required, not " +
                            std::string(type_name(value)));
    }
    const bool is_decimal = type == 'd' || type == 'i' || type == 'u';
    std::int64_t number = value.as_int();
    if (value.is(Kind::kFloat)) {
      if (!is_decimal) return template_error("an integer is required, not float");
      const double whole = std::trunc(value.as_double());
      if (!(std::abs(whole) < 0x1p63)) return template_error("cannot convert float to integer");
      number = static_cast<std::int64_t>(whole);
    }
    // The precision is the least number of digits; zeros fill up to the width without it.
    const std::int64_t num_digits = spec.precision.value_or(0);
    if (num_digits > kPrecisionMax) return template_error("precision too big");
    spec.precision.reset();
    spec.type = is_decimal ? 'd' : type;
    std::string digits;
    FormatSpec bare;
    bare.type = spec.type;
    bare.sign = spec.sign;
    bare.is_alternate = spec.is_alternate;
    const bool has_zeros = is_zero_filled_ && !is_left_;
    const std::int64_t prefix_size = spec.is_alternate && !is_decimal ? 2 : 0;
    const std::int64_t sign_size = number < 0 || spec.sign != '-' ? 1 : 0;
    bare.fill = "0";
    bare.align = '=';
    bare.width = std::max(num_digits + prefix_size + sign_size, has_zeros ? spec.width : 0);
    TRY(append_number(sandbox_, Value::integer(number), bare, digits));
    return padded_text(digits, spec_for_text(spec));
  }

  static FormatSpec spec_for_text(FormatSpec spec) {
    spec.type = '\0';
    spec.precision.reset();
    return spec;
  }

  Status floating(char type, const Value& value, FormatSpec& spec) {
    if (!value.is_number()) {
      return template_error("must be real number, not " + std::string(type_name(value)));
    }
    spec.type = type;
    if (is_zero_filled_ && !is_left_) {
      spec.align = '=';
      spec.fill = "0";
    }
    return append_number(sandbox_, Value::number(value.as_double()), spec, out_);
  }

  Sandbox& sandbox_;
  std::string_view text_;
  bool is_markup_;
  const Value& values_;
  std::string out_;
  std::size_t next_ = 0;
  bool uses_names_ = false;
  bool is_left_ = false;
  bool is_zero_filled_ = false;
};

}  // namespace

Result<Value> format_percent(Sandbox& sandbox, const Value& format, const Value& values) {
  std::string text = TRY(PercentFormatter(sandbox, format, values).run());
  return sandbox.string_like(format, std::move(text));
}

}  // namespace millrace::jinja
