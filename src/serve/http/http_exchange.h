// One request's way back: a whole reply, or a stream that is written from any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_function.h"
#include "serve/http/http_message.h"

namespace millrace {

// Any thread may call any method; none blocks. Exactly one of reply() and open_stream() is called,
// once; a stream is ended with end(). What is written once the client has gone is dropped. An
// exchange that is dropped without an answer closes its connection.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual void reply(HttpReply reply) = 0;

  // Sends status and headers; the body follows in pieces, chunked where the client speaks HTTP/1.1.
  virtual void open_stream(HttpReply head) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;
  // Ends the stream as broken: the client sees the connection close before its end.
  virtual void break_off() = 0;

  // Bytes that wait to be sent. A writer that sees more than it likes stops until on_drained.
  virtual std::size_t num_unsent_bytes() const = 0;
  // The client closed, or did not read for so long that we did. A socket whose other side is half
  // closed counts as gone.
  virtual bool is_gone() const = 0;

  // Called once on an io thread when the client has gone before the answer's end (at once if it has
  // already). Set before the answer begins.
  virtual void on_gone(UniqueFunction<void()> call) = 0;
  // Called on an io thread each time when, after num_unsent_bytes() was above `low_bytes`, no more
  // than that wait.
  virtual void on_drained(std::size_t low_bytes, UniqueFunction<void()> call) = 0;
};

// Shared by the connection, which fulfils it, and whoever answers.
using HttpExchangeRef = std::shared_ptr<HttpExchange>;

// What a server does with requests.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // On an io thread; must not block. The exchange may be answered now or later, by any thread.
  virtual void handle(HttpRequest request, HttpExchangeRef exchange) = 0;
  // The reply to what never became a request: no HTTP, over a limit, too late. On an io thread.
  virtual HttpReply refuse(int status, std::string_view message) = 0;
};

}  // namespace millrace
