// One connection: reads requests one after the other, hands them over, sends what comes back.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "serve/http/exchange_state.h"
#include "serve/http/http_server.h"
#include "serve/http/request_reader.h"
#include "serve/http/transport.h"

namespace millrace {

// Of all io threads.
struct HttpStatistics {
  std::atomic<std::size_t> num_connections{0};
  std::atomic<std::size_t> num_active{0};
  std::atomic<std::uint64_t> num_accepted{0};
  std::atomic<std::uint64_t> num_refused{0};
  std::atomic<std::uint64_t> num_requests{0};
  std::atomic<std::uint64_t> num_malformed{0};
  std::atomic<std::uint64_t> num_timeouts{0};
  std::atomic<std::uint64_t> num_gone{0};
  std::atomic<std::uint64_t> num_bytes_sent{0};
};

class Connection;

// What the connections of one io thread have in common; that thread's alone but for the atomics.
struct ConnectionHost {
  HttpServerOptions options;
  HttpHandler& handler;
  const Clock& clock;
  HttpStatistics& statistics;
  const std::atomic<bool>& is_draining;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> open;  // shared with their handlers
};

// On its io thread only, but for post_flush. While a request is answered the connection goes on
// reading, up to pipelined_bytes_max, so that it learns when the client goes.
class Connection final : public ExchangeOwner, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<Transport> transport, boost::asio::any_io_executor executor,
             ConnectionHost& host, std::string peer);

  // Enters itself among the host's.
  void start();
  // Leaves the host's; whoever answers learns that the client has gone.
  void close();
  bool is_overdue(TimePoint now) const;
  // What follows from being overdue.
  void expire();
  // Between requests.
  bool is_idle() const;

  void post_flush() override;

 private:
  enum class State : std::uint8_t { kHandshake, kReading, kAnswering, kLingering, kClosed };

  void read();
  void on_read(SocketError error, std::string_view bytes);
  void on_peer_closed();
  void advance();
  void update_read_deadline();
  void dispatch();
  void refuse(const HttpFault& fault);
  void flush();
  bool fill_sending();
  void write();
  void on_written(SocketError error, std::size_t num_bytes);
  void finish_exchange();
  void linger();

  const std::unique_ptr<Transport> transport_;
  const boost::asio::any_io_executor executor_;
  ConnectionHost& host_;
  const std::string peer_;

  State state_ = State::kHandshake;
  bool is_reading_ = false;
  bool is_writing_ = false;
  bool has_continued_ = false;
  bool is_half_closed_ = false;
  std::string input_;  // came, not yet parsed
  std::optional<RequestReader> reader_;
  std::optional<TimePoint> read_deadline_;
  bool has_header_deadline_ = false;
  bool has_body_deadline_ = false;
  std::optional<TimePoint> write_deadline_;
  std::size_t num_discarded_ = 0;

  std::shared_ptr<ExchangeState> exchange_;  // shared with the handler's handle
  ExchangeState::Sending taken_;             // what was last taken from it
  std::string outbox_;                       // the connection's own words
  bool closes_after_outbox_ = false;
  std::string sending_;  // on its way
  std::size_t num_sent_ = 0;
  bool is_sending_exchange_ = false;
};

}  // namespace millrace
