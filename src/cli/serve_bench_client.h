// The least of an HTTP client: streams of completions over loopback, whose events are counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace millrace {

// One connection with one request on its way. One thread.
class ServeBenchClient {
 public:
  // Connects to this machine.
  static Result<ServeBenchClient> connect(std::uint16_t port);
  ServeBenchClient(ServeBenchClient&& other) noexcept;
  ServeBenchClient& operator=(ServeBenchClient&&) = delete;
  ~ServeBenchClient();

  // Sends a request with this body; what came of the last one is forgotten.
  Status post(const std::string& path, const std::string& body);
  // Takes what has come so far, without waiting. kUnavailable when the server has closed.
  Status read();
  bool is_done() const { return text_.find("data: [DONE]") != std::string::npos; }
  // Of the usage in the stream's last event; kCorruptData when there is none.
  Result<std::size_t> num_completion_tokens() const;

 private:
  explicit ServeBenchClient(int socket) : socket_(socket) {}

  int socket_;
  std::string text_;
};

}  // namespace millrace
