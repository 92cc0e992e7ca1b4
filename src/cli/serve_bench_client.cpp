// Plain sockets: what a client costs must not count against the server.
#include "cli/serve_bench_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace millrace {
namespace {

Error socket_error(const std::string& what) {
  return {ErrorCode::kUnavailable, "bench client: " + what + ": " + std::strerror(errno)};
}

}  // namespace

Result<ServeBenchClient> ServeBenchClient::connect(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return socket_error("socket");
  ServeBenchClient client(socket);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return socket_error("connect");
  }
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return client;
}

ServeBenchClient::ServeBenchClient(ServeBenchClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), text_(std::move(other.text_)) {}

ServeBenchClient::~ServeBenchClient() {
  if (socket_ >= 0) ::close(socket_);
}

Status ServeBenchClient::post(const std::string& path, const std::string& body) {
  text_.clear();
  const std::string request = "POST " + path +
                              " HTTP/1.1\r\nHost: localhost\r\n"
                              "Content-Type: application/json\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  std::size_t num_sent = 0;
  while (num_sent < request.size()) {
    const ssize_t sent = ::send(socket_, request.data() + num_sent, request.size() - num_sent, 0);
    if (sent < 0 && errno != EINTR) return socket_error("send");
    if (sent > 0) num_sent += static_cast<std::size_t>(sent);
  }
  return Ok{};
}

Status ServeBenchClient::read() {
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      text_.append(buffer.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got == 0) return Error{ErrorCode::kUnavailable, "bench client: the server has closed"};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Ok{};
    if (errno != EINTR) return socket_error("recv");
  }
}

Result<std::size_t> ServeBenchClient::num_completion_tokens() const {
  constexpr std::string_view kName = "\"completion_tokens\":";
  const std::size_t at = text_.rfind(kName);
  std::size_t count = 0;
  if (at != std::string::npos) {
    const char* const begin = text_.data() + at + kName.size();
    if (std::from_chars(begin, text_.data() + text_.size(), count).ec == std::errc()) return count;
  }
  return Error{ErrorCode::kCorruptData,
               "bench client: the answer has no usage: " + text_.substr(0, 200)};
}

}  // namespace millrace
