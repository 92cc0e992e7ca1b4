// Bytes to one HTTP/1.x request, within limits; no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/http_message.h"

namespace millrace {

// What is wrong with a request, as a status and a sentence.
struct HttpFault {
  int status = 400;
  std::string message;
};

// Reads one request; one thread. Bytes after its end are left with the caller.
class RequestReader {
 public:
  RequestReader(std::size_t header_bytes_max, std::uint64_t body_bytes_max);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // Takes bytes from the front and says how many. Those that it leaves come again, with more behind
  // them, unless the request is complete or at fault.
  std::size_t feed(std::string_view bytes);

  bool has_begun() const { return has_begun_; }
  bool has_header() const;
  bool is_complete() const;
  const std::optional<HttpFault>& fault() const { return fault_; }

  // With the header, before the body: the client waits for "100 Continue".
  bool wants_continue() const;
  // The client takes another reply on this connection.
  bool keeps_alive() const;
  bool is_http_1_0() const;
  bool is_head() const;

  // Once it is complete; without the peer.
  HttpRequest take();

 private:
  struct Parser;  // Beast's
  void check_header();

  std::size_t header_bytes_max_;
  std::unique_ptr<Parser> parser_;
  bool has_begun_ = false;
  bool is_checked_ = false;
  std::optional<HttpFault> fault_;
  std::vector<HttpHeader> headers_;
  std::string path_;
  std::string query_;
};

}  // namespace millrace
