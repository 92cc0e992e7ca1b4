// A request and a reply of HTTP as plain data.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct HttpHeader {
  std::string name;
  std::string value;
};

// The first header of that name, whatever its case.
std::optional<std::string_view> find_header(const std::vector<HttpHeader>& headers,
                                            std::string_view name);

struct HttpRequest {
  std::string method;  // "GET", as it came
  std::string path;    // percent-decoded, before the "?"
  std::string query;   // as it came, after the "?"
  std::vector<HttpHeader> headers;
  std::string body;
  std::string peer;  // "127.0.0.1:40000"

  std::optional<std::string_view> header(std::string_view name) const {
    return find_header(headers, name);
  }
};

// Content-Length, Connection, Date and CORS are added by the server.
struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers = {};
  std::string body = {};
};

}  // namespace millrace
