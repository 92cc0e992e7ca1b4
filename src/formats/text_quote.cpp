// Quoting of untrusted text for messages.
#include "formats/text_quote.h"

#include <cstddef>

namespace millrace {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShownMax = 80;
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15u];
    }
  }
  if (text.size() > kShownMax) out += "…";
  return out + "'";
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace millrace
