// A small blocking HTTP client for tests: says exactly what it is told to, hears with a time limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

struct ClientReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // without chunks
  bool is_whole = false;                       // its length or its last chunk was seen
};

// One connection. Every wait ends after `wait_ms`; what was missing then is empty.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port, const char* address = "127.0.0.1", int wait_ms = 20'000);
  ~HttpClient();
  HttpClient(HttpClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {
    input_ = std::move(other.input_);
  }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  bool is_connected() const { return socket_ >= 0; }
  // False when the other side does not take it.
  bool send(std::string_view bytes);
  void finish_sending();  // half-closes
  void close();
  void set_receive_buffer(int num_bytes);

  // The next reply, whole; nothing when the connection ended first.
  std::optional<ClientReply> read_reply(bool is_head = false);
  // Status and headers only: the body follows with read_piece.
  std::optional<ClientReply> read_head();
  // The next chunk of a chunked body; empty after the last one or at the end of the connection.
  std::string read_piece();
  bool saw_last_chunk() const { return saw_last_chunk_; }
  // The data of the next server-sent event; nothing at the end.
  std::optional<std::string> read_event();
  // Whether the other side has closed: waits for it.
  bool is_closed_by_peer();

  // One request and its reply on this connection.
  std::optional<ClientReply> get(const std::string& path, const std::string& headers = "");
  std::optional<ClientReply> post(const std::string& path, const std::string& body,
                                  const std::string& headers = "");
  bool send_post(const std::string& path, const std::string& body, const std::string& headers = "");

 private:
  bool fill();
  std::optional<std::string> read_line();
  std::optional<std::string> read_bytes(std::size_t num_bytes);

  int socket_ = -1;
  std::string input_;
  std::string events_;
  bool saw_last_chunk_ = false;
};

}  // namespace millrace
