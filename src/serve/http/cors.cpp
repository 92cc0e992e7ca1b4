// The Fetch standard's CORS protocol, without credentials.
#include "serve/http/cors.h"

#include <algorithm>
#include <chrono>

namespace millrace {
namespace {

bool is_allowed(const CorsOptions& options, std::string_view origin) {
  return std::any_of(
      options.origins.begin(), options.origins.end(),
      [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<HttpHeader> cors_headers(const CorsOptions& options, const HttpRequest& request) {
  if (options.origins.empty()) return {};
  std::vector<HttpHeader> headers = {{"Vary", "Origin"}};
  const std::optional<std::string_view> origin = request.header("Origin");
  if (!origin || !is_allowed(options, *origin)) return headers;
  headers.push_back({"Access-Control-Allow-Origin", std::string(*origin)});
  headers.push_back({"Access-Control-Expose-Headers", "x-request-id, retry-after"});
  return headers;
}

std::optional<HttpReply> cors_preflight(const CorsOptions& options, const HttpRequest& request) {
  if (options.origins.empty() || request.method != "OPTIONS" ||
      !request.header("Access-Control-Request-Method")) {
    return std::nullopt;
  }
  HttpReply reply{.status = 204};
  const std::optional<std::string_view> origin = request.header("Origin");
  if (!origin || !is_allowed(options, *origin)) return reply;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options.max_age).count();
  reply.headers = {{"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"},
                   {"Access-Control-Allow-Headers", joined(options.headers)},
                   {"Access-Control-Max-Age", std::to_string(seconds)}};
  return reply;
}

}  // namespace millrace
