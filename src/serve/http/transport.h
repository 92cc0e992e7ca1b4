// One connection's bytes, in the clear or through TLS. Only this folder's .cpp files include it.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "base/unique_function.h"

namespace millrace {

using SocketError = boost::system::error_code;
using TcpSocket = boost::asio::ip::tcp::socket;

// On its connection's io thread only. One read and one write at a time; each calls back exactly
// once, later, also when the transport is closed meanwhile.
class Transport {
 public:
  using ReadHandler = UniqueFunction<void(SocketError, std::string_view)>;
  using WriteHandler = UniqueFunction<void(SocketError, std::size_t)>;
  using Handler = UniqueFunction<void(SocketError)>;

  virtual ~Transport() = default;
  // Before anything else.
  virtual void handshake(Handler handler) = 0;
  // Bytes that came; valid during the call only.
  virtual void read(ReadHandler handler) = 0;
  // Some of the bytes, which live until the call.
  virtual void write(std::string_view bytes, WriteHandler handler) = 0;
  // Nothing more is sent; what the other side sends can still be read.
  virtual void finish_sending() = 0;
  virtual void close() = 0;
};

// `scratch` is the io thread's: what is idle holds no buffer of its own.
std::unique_ptr<Transport> make_plain_transport(TcpSocket socket, std::vector<char>& scratch);
// The context is shared by all connections that began with it.
std::unique_ptr<Transport> make_tls_transport(TcpSocket socket,
                                              std::shared_ptr<boost::asio::ssl::context> context);

}  // namespace millrace
