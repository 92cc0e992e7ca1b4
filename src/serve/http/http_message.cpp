// Looking headers up.
#include "serve/http/http_message.h"

#include <algorithm>

namespace millrace {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::optional<std::string_view> find_header(const std::vector<HttpHeader>& headers,
                                            std::string_view name) {
  for (const HttpHeader& header : headers) {
    const bool is_equal =
        std::equal(header.name.begin(), header.name.end(), name.begin(), name.end(),
                   [](char a, char b) { return lower(a) == lower(b); });
    if (is_equal) return header.value;
  }
  return std::nullopt;
}

}  // namespace millrace
