// Escapes text and writes numbers, the same on every machine.
#include "report/html.h"

#include <array>
#include <charconv>
#include <cmath>

namespace millrace {

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else if (c == '\'') {
      escaped += "&#39;";
    } else if ((byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7F) {
      escaped += "\xEF\xBF\xBD";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string number_text(double value, int num_digits) {
  if (value == 0) return "0";
  std::array<char, 64> buffer{};
  const double size = std::abs(value);
  const bool is_plain = size >= 1e-4 && size < 1e15;
  const auto shown = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::general, num_digits);
  std::string text(buffer.data(), shown.ptr);
  if (is_plain && text.find('e') != std::string::npos) {
    // More digits before the point than asked for: all of them are shown.
    const auto whole = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                     std::chars_format::fixed, 0);
    text.assign(buffer.data(), whole.ptr);
  }
  return text;
}

}  // namespace millrace
