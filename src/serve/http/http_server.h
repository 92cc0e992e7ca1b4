// An HTTP/1.1 server: sockets, limits, timeouts and TLS, for thousands of open streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "serve/http/http_exchange.h"

namespace millrace {

struct HttpLimits {
  std::size_t header_bytes_max = std::size_t{32} << 10;  // request line and headers; more is 431
  std::uint64_t body_bytes_max = 32ull << 20;            // more is 413
  std::size_t connections_max = 8192;                    // in all; more are told 503 and closed
  Duration header_timeout = std::chrono::seconds(10);    // from the first byte to the last header
  Duration body_timeout = std::chrono::seconds(60);      // from there to the last byte of the body
  Duration idle_timeout = std::chrono::seconds(75);      // between requests
  // A client that takes no byte for so long is gone.
  Duration write_timeout = std::chrono::seconds(30);
};

// Who may call from pages of other origins.
struct CorsOptions {
  std::vector<std::string> origins;  // "*" is anybody; empty: CORS is off
  std::vector<std::string> headers = {"Authorization", "Content-Type"};  // that they may send
  Duration max_age = std::chrono::minutes(10);
};

// PEM files; both or none.
struct TlsFiles {
  std::string certificate_path;
  std::string key_path;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address or a name; "::" is every IPv6 and IPv4 address
  std::uint16_t port = 0;          // 0: the kernel chooses
  std::size_t num_io_threads = 1;
  HttpLimits limits;
  CorsOptions cors;
  TlsFiles tls;
};

struct HttpCounters {
  std::size_t num_connections = 0;  // open now
  std::size_t num_active = 0;       // requests whose answer is not all sent yet
  std::uint64_t num_accepted = 0;   // connections
  std::uint64_t num_refused = 0;    // connections over the limit
  std::uint64_t num_requests = 0;   // handed to the handler
  std::uint64_t num_malformed = 0;  // requests that were no HTTP or over a limit
  std::uint64_t num_timeouts = 0;   // headers, bodies, idle, writes
  std::uint64_t num_gone = 0;       // clients that went before their answer's end
  std::uint64_t num_bytes_sent = 0;
};

// Handler and clock outlive the server. Any thread may call any method.
class HttpServer {
 public:
  // Binds and listens; clients wait in the kernel's queue until start(). kUnavailable when the
  // address cannot be had, kInvalidArgument or kCorruptData when a certificate cannot be used.
  static Result<std::unique_ptr<HttpServer>> create(const HttpServerOptions& options,
                                                    HttpHandler& handler, const Clock& clock);
  // stop().
  virtual ~HttpServer() = default;

  virtual void start() = 0;
  // From here on each connection closes after its next reply. Requests still reach the handler, who
  // refuses them, so that whoever asks for health is told.
  virtual void begin_drain() = 0;
  // Closes everything and ends the io threads.
  virtual void stop() = 0;
  // Reads certificate and key again, from where they are now, for new connections. A server without
  // TLS stays without.
  virtual Status reload_tls(const TlsFiles& files) = 0;
  // From here on: sizes and CORS for the requests that come, times for the waits that begin.
  virtual void set_limits(const HttpLimits& limits, const CorsOptions& cors) = 0;

  virtual std::uint16_t port() const = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:8080"
  virtual HttpCounters counters() const = 0;
};

}  // namespace millrace
