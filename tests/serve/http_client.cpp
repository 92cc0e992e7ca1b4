// Blocking sockets and just enough of HTTP/1.1 to read replies.
#include "serve/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cctype>

namespace millrace {
namespace {

int connect_to(std::uint16_t port, const char* address) {
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  const bool is_v6 = ::inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
  if (!is_v6) ::inet_pton(AF_INET, address, &v4.sin_addr);
  const int socket = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return -1;
  const int status = is_v6 ? ::connect(socket, reinterpret_cast<const sockaddr*>(&v6), sizeof(v6))
                           : ::connect(socket, reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
  if (status == 0) return socket;
  ::close(socket);
  return -1;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

HttpClient::HttpClient(std::uint16_t port, const char* address, int wait_ms)
    : socket_(connect_to(port, address)) {
  if (socket_ < 0) return;
  const timeval wait{.tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

HttpClient::~HttpClient() {
  close();
}

void HttpClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void HttpClient::finish_sending() {
  ::shutdown(socket_, SHUT_WR);
}

void HttpClient::set_receive_buffer(int num_bytes) {
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &num_bytes, sizeof(num_bytes));
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t num_sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (num_sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(num_sent));
  }
  return true;
}

bool HttpClient::fill() {
  std::array<char, 16384> buffer;
  const ssize_t num_read = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (num_read <= 0) return false;
  input_.append(buffer.data(), static_cast<std::size_t>(num_read));
  return true;
}

std::optional<std::string> HttpClient::read_line() {
  for (;;) {
    const std::size_t end = input_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 2);
      return line;
    }
    if (!fill()) return std::nullopt;
  }
}

std::optional<std::string> HttpClient::read_bytes(std::size_t num_bytes) {
  while (input_.size() < num_bytes) {
    if (!fill()) return std::nullopt;
  }
  std::string bytes = input_.substr(0, num_bytes);
  input_.erase(0, num_bytes);
  return bytes;
}

std::optional<ClientReply> HttpClient::read_head() {
  saw_last_chunk_ = false;
  events_.clear();
  const std::optional<std::string> status_line = read_line();
  if (!status_line || status_line->size() < 12) return std::nullopt;
  ClientReply reply;
  reply.status = std::stoi(status_line->substr(9, 3));
  for (;;) {
    const std::optional<std::string> line = read_line();
    if (!line) return std::nullopt;
    if (line->empty()) return reply;
    const std::size_t colon = line->find(": ");
    if (colon == std::string::npos) return std::nullopt;
    reply.headers[lower(line->substr(0, colon))] = line->substr(colon + 2);
  }
}

std::string HttpClient::read_piece() {
  const std::optional<std::string> size = read_line();
  if (!size || size->empty()) return "";
  const std::size_t num_bytes = std::stoul(*size, nullptr, 16);
  if (num_bytes == 0) {
    saw_last_chunk_ = read_line().has_value();
    return "";
  }
  std::string piece = read_bytes(num_bytes).value_or("");
  read_line();
  return piece;
}

std::optional<std::string> HttpClient::read_event() {
  for (;;) {
    const std::size_t end = events_.find("\n\n");
    if (end != std::string::npos) {
      std::string event = events_.substr(0, end);
      events_.erase(0, end + 2);
      const std::size_t data = event.find("data: ");
      return data == std::string::npos ? event : event.substr(data + 6);
    }
    const std::string piece = read_piece();
    if (piece.empty()) return std::nullopt;
    events_ += piece;
  }
}

std::optional<ClientReply> HttpClient::read_reply(bool is_head) {
  std::optional<ClientReply> reply = read_head();
  if (!reply || is_head) return reply;
  const auto length = reply->headers.find("content-length");
  if (length != reply->headers.end()) {
    const std::optional<std::string> body = read_bytes(std::stoul(length->second));
    reply->body = body.value_or("");
    reply->is_whole = body.has_value();
  } else if (reply->headers.count("transfer-encoding") > 0) {
    for (std::string piece = read_piece(); !piece.empty(); piece = read_piece()) {
      reply->body += piece;
    }
    reply->is_whole = saw_last_chunk_;
  } else if (reply->status == 204 || reply->status < 200) {
    reply->is_whole = true;
  } else {
    while (fill()) {
    }
    reply->body = std::exchange(input_, "");
    reply->is_whole = true;
  }
  return reply;
}

bool HttpClient::is_closed_by_peer() {
  char byte = 0;
  const ssize_t num_read = ::recv(socket_, &byte, 1, 0);
  return num_read == 0 || (num_read < 0 && errno == ECONNRESET);
}

std::optional<ClientReply> HttpClient::get(const std::string& path, const std::string& headers) {
  if (!send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n")) return std::nullopt;
  return read_reply();
}

bool HttpClient::send_post(const std::string& path, const std::string& body,
                           const std::string& headers) {
  return send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" +
              headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

std::optional<ClientReply> HttpClient::post(const std::string& path, const std::string& body,
                                            const std::string& headers) {
  if (!send_post(path, body, headers)) return std::nullopt;
  return read_reply();
}

}  // namespace millrace
