// Writing the heads and chunks of HTTP/1.1.
#include "serve/http/reply_text.h"

#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace millrace {
namespace {

void append_header(std::string_view name, std::string_view value, std::string& out) {
  out += name;
  out += ": ";
  for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out += "\r\n";
}

std::string date_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 64> text{};
  const std::size_t length =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), length};
}

}  // namespace

std::string_view reason_phrase(int status) {
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {100, "Continue"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {529, "Overloaded"},
  };
  for (const auto& [code, phrase] : kPhrases) {
    if (code == status) return phrase;
  }
  return "Status";
}

std::string head_text(const HttpReply& reply, const std::vector<HttpHeader>& more,
                      BodyFraming framing, KeepAlive keep_alive) {
  std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " ";
  text += reason_phrase(reply.status);
  text += "\r\n";
  append_header("Date", date_text(), text);
  const bool has_body = reply.status != 204 && reply.status >= 200;
  if (has_body) append_header("Content-Type", reply.content_type, text);
  if (framing == BodyFraming::kChunked) append_header("Transfer-Encoding", "chunked", text);
  if (framing == BodyFraming::kLength && has_body) {
    append_header("Content-Length", std::to_string(reply.body.size()), text);
  }
  if (keep_alive == KeepAlive::kNo) append_header("Connection", "close", text);
  for (const HttpHeader& header : reply.headers) append_header(header.name, header.value, text);
  for (const HttpHeader& header : more) append_header(header.name, header.value, text);
  text += "\r\n";
  return text;
}

void append_chunk(std::string_view bytes, std::string& out) {
  if (bytes.empty()) return;
  std::array<char, 20> size{};
  const std::to_chars_result end =
      std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16);
  out.append(size.data(), end.ptr);
  out += "\r\n";
  out += bytes;
  out += "\r\n";
}

}  // namespace millrace
