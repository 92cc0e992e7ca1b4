// Reading and writing through Asio.
#include "serve/http/transport.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <utility>

namespace millrace {
namespace {

namespace asio = boost::asio;

void close_socket(TcpSocket& socket) {
  SocketError ignored;
  socket.close(ignored);
}

class PlainTransport final : public Transport {
 public:
  PlainTransport(TcpSocket socket, std::vector<char>& scratch)
      : socket_(std::move(socket)), scratch_(scratch) {
    SocketError ignored;
    socket_.non_blocking(true, ignored);
  }

  void handshake(Handler handler) override {
    asio::post(socket_.get_executor(),
               [handler = std::move(handler)]() mutable { handler(SocketError()); });
  }

  // Waits, then reads what is there into the thread's buffer.
  void read(ReadHandler handler) override {
    socket_.async_wait(TcpSocket::wait_read,
                       [this, handler = std::move(handler)](SocketError error) mutable {
                         std::size_t num_bytes = 0;
                         if (!error) num_bytes = socket_.read_some(asio::buffer(scratch_), error);
                         if (error == asio::error::would_block) return read(std::move(handler));
                         handler(error, std::string_view(scratch_.data(), num_bytes));
                       });
  }

  void write(std::string_view bytes, WriteHandler handler) override {
    socket_.async_write_some(asio::buffer(bytes.data(), bytes.size()), std::move(handler));
  }

  void finish_sending() override {
    SocketError ignored;
    socket_.shutdown(TcpSocket::shutdown_send, ignored);
  }
  void close() override { close_socket(socket_); }

 private:
  TcpSocket socket_;
  std::vector<char>& scratch_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(TcpSocket socket, std::shared_ptr<asio::ssl::context> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  void handshake(Handler handler) override {
    stream_.async_handshake(asio::ssl::stream_base::server, std::move(handler));
  }

  void read(ReadHandler handler) override {
    stream_.async_read_some(
        asio::buffer(buffer_),
        [this, handler = std::move(handler)](SocketError error, std::size_t num_bytes) mutable {
          handler(error, std::string_view(buffer_.data(), num_bytes));
        });
  }

  void write(std::string_view bytes, WriteHandler handler) override {
    stream_.async_write_some(asio::buffer(bytes.data(), bytes.size()), std::move(handler));
  }

  // A reply's end is known by its length or its last chunk, so nobody waits for a close_notify.
  void finish_sending() override {
    SocketError ignored;
    stream_.next_layer().shutdown(TcpSocket::shutdown_send, ignored);
  }
  void close() override { close_socket(stream_.next_layer()); }

 private:
  static constexpr std::size_t kBufferBytes = 4096;

  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<TcpSocket> stream_;
  std::vector<char> buffer_ = std::vector<char>(kBufferBytes);
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(TcpSocket socket, std::vector<char>& scratch) {
  return std::make_unique<PlainTransport>(std::move(socket), scratch);
}

std::unique_ptr<Transport> make_tls_transport(TcpSocket socket,
                                              std::shared_ptr<asio::ssl::context> context) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(context));
}

}  // namespace millrace
