// GET over HTTP and HTTPS, with redirects that keep a token to itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"

namespace millrace {

struct HttpHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  // Empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpGet {
  std::string url;
  std::string token = {};    // for the url's own host alone; never in plain text but to loopback
  std::uint64_t offset = 0;  // bytes that are there already
};

struct HttpClientOptions {
  Duration connect_timeout = std::chrono::seconds(20);
  Duration stall_timeout = std::chrono::seconds(60);  // without a byte
  std::size_t num_redirects_max = 5;
  std::size_t header_bytes_max = std::size_t{64} << 10;
};

// One thread at a time; keeps connections between calls.
class HttpClient {
 public:
  explicit HttpClient(const HttpClientOptions& options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The body of a 200 or 206 goes to the sink, which may refuse more of it; bodies of other answers
  // are read and dropped. Returns the head of the last answer, with those headers of redirects that
  // it does not have itself. kUnavailable when the host cannot be reached, breaks off or stalls;
  // kInvalidArgument for schemes other than http and https, and when https would lead to http; the
  // sink's own error.
  using Sink = FunctionRef<Status(const HttpHead& head, std::span<const std::byte> bytes)>;
  Result<HttpHead> get(const HttpGet& request, Sink sink);

 private:
  struct Handle;
  struct Transfer;
  Result<std::optional<std::string>> get_once(const std::string& url, const std::string& token,
                                              Transfer& transfer);

  const HttpClientOptions options_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace
