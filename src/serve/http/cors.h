// What browsers are told about calls from pages of other origins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/http/http_message.h"
#include "serve/http/http_server.h"

namespace millrace {

// Headers for the reply to a request; none when it names no origin or one that may not call.
std::vector<HttpHeader> cors_headers(const CorsOptions& options, const HttpRequest& request);
// The reply to a preflight; nothing when the request is none.
std::optional<HttpReply> cors_preflight(const CorsOptions& options, const HttpRequest& request);

}  // namespace millrace
