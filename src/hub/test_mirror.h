// For tests: an HTTP server on loopback that answers as a function says, and cuts off on request.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"

namespace millrace {

struct MirrorRequest {
  std::string target;  // path and query
  std::string head;    // all of the request, for headers

  std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

struct MirrorReply {
  int status = 200;
  std::string headers = {};  // lines that end in \r\n
  std::string body = {};
  std::optional<std::size_t> cut_after =
      std::nullopt;  // bytes of the body, then the connection closes
};

// A thread for each connection, one request on each.
class TestMirror {
 public:
  using Handler = std::function<MirrorReply(const MirrorRequest&)>;

  explicit TestMirror(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    CHECK(::listen(listener_, 64) == 0);
    socklen_t size = sizeof(address);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ::ntohs(address.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~TestMirror() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    for (std::thread& connection : connections_) connection.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<MirrorRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::uint64_t num_body_bytes() const { return num_body_bytes_.load(); }

 private:
  void accept_all() {
    for (;;) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      connections_.emplace_back([this, connection] { answer(connection); });
    }
  }

  void answer(int connection) {
    MirrorRequest request;
    char byte = 0;
    while (!request.head.ends_with("\r\n\r\n") && ::recv(connection, &byte, 1, 0) == 1) {
      request.head += byte;
    }
    const std::size_t space = request.head.find(' ');
    if (space != std::string::npos) {
      request.target =
          request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const MirrorReply reply = handler_(request);
      const std::string body = reply.body.substr(0, reply.cut_after.value_or(reply.body.size()));
      num_body_bytes_ += body.size();
      const std::string head =
          "HTTP/1.1 " + std::to_string(reply.status) +
          " X\r\nConnection: close\r\nContent-Length: " + std::to_string(reply.body.size()) +
          "\r\n" + reply.headers + "\r\n";
      const std::string all = head + body;
      for (std::size_t at = 0; at < all.size();) {
        const ssize_t sent = ::send(connection, all.data() + at, all.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) break;
        at += static_cast<std::size_t>(sent);
      }
    }
    ::close(connection);
  }

  const Handler handler_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::vector<std::thread> connections_;  // of the accepting thread, then of the destructor
  mutable std::mutex mutex_;              // Guards requests_.
  std::vector<MirrorRequest> requests_;
  std::atomic<std::uint64_t> num_body_bytes_{0};
};

}  // namespace millrace
