// The life of a connection: handshake, read, answer, linger, close.
#include "serve/http/connection.h"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"
#include "serve/http/cors.h"
#include "serve/http/reply_text.h"

namespace millrace {
namespace {

// Of requests that come before their turn; past this the client waits.
constexpr std::size_t kPipelinedBytesMax = 16 << 10;
// After a last reply what still comes is read away, so that the reply is not lost to a reset.
constexpr Duration kLingerTime = std::chrono::seconds(2);
constexpr std::size_t kLingerBytesMax = 1 << 20;
// A buffer larger than this is given back once it is sent.
constexpr std::size_t kKeptBytesMax = 16 << 10;

}  // namespace

Connection::Connection(std::unique_ptr<Transport> transport, boost::asio::any_io_executor executor,
                       ConnectionHost& host, std::string peer)
    : transport_(std::move(transport)),
      executor_(std::move(executor)),
      host_(host),
      peer_(std::move(peer)) {}

void Connection::start() {
  host_.open.emplace(this, shared_from_this());
  read_deadline_ = host_.clock.now() + host_.options.limits.header_timeout;
  transport_->handshake([self = shared_from_this()](SocketError error) {
    if (self->state_ == State::kClosed) return;
    if (error) return self->close();
    self->state_ = State::kReading;
    self->advance();
  });
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const std::shared_ptr<Connection> self = shared_from_this();
  state_ = State::kClosed;
  transport_->close();
  if (exchange_ != nullptr) {
    host_.statistics.num_gone.fetch_add(1, std::memory_order_relaxed);
    host_.statistics.num_active.fetch_sub(1, std::memory_order_relaxed);
    exchange_->detach(false);
    exchange_.reset();
  }
  host_.open.erase(this);
  host_.statistics.num_connections.fetch_sub(1, std::memory_order_relaxed);
}

bool Connection::is_overdue(TimePoint now) const {
  return (read_deadline_ && *read_deadline_ < now) || (write_deadline_ && *write_deadline_ < now);
}

void Connection::expire() {
  host_.statistics.num_timeouts.fetch_add(1, std::memory_order_relaxed);
  const bool is_late_request =
      state_ == State::kReading && reader_ && reader_->has_begun() && !is_writing_;
  if (!is_late_request) return close();
  refuse({408, "the request did not come in time"});
}

bool Connection::is_idle() const {
  return state_ == State::kReading && input_.empty() && (!reader_ || !reader_->has_begun());
}

void Connection::read() {
  if (is_reading_ || is_half_closed_ || state_ == State::kClosed) return;
  if (state_ == State::kAnswering && input_.size() >= kPipelinedBytesMax) return;
  is_reading_ = true;
  transport_->read([self = shared_from_this()](SocketError error, std::string_view bytes) {
    self->on_read(error, bytes);
  });
}

void Connection::on_read(SocketError error, std::string_view bytes) {
  is_reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return on_peer_closed();
  if (state_ == State::kLingering) {
    num_discarded_ += bytes.size();
    if (num_discarded_ > kLingerBytesMax) return close();
    return read();
  }
  input_ += bytes;
  advance();
}

// An answer that is there in full may still be read by a client that has only closed its half.
void Connection::on_peer_closed() {
  const bool is_answered = state_ == State::kAnswering && taken_.is_ended;
  const bool is_refused = closes_after_outbox_ && (is_writing_ || !outbox_.empty());
  if (!is_answered && !is_refused) return close();
  is_half_closed_ = true;
}

void Connection::advance() {
  if (state_ == State::kReading) {
    if (!reader_) {
      reader_.emplace(host_.options.limits.header_bytes_max, host_.options.limits.body_bytes_max);
    }
    input_.erase(0, reader_->feed(input_));
    if (reader_->fault()) {
      refuse(*reader_->fault());
    } else if (reader_->is_complete()) {
      dispatch();
    } else {
      if (reader_->wants_continue() && !has_continued_) {
        has_continued_ = true;
        outbox_ += "HTTP/1.1 100 Continue\r\n\r\n";
        flush();
      }
      update_read_deadline();
    }
  }
  read();
}

// From the first byte to the last header, and from there to the end, however slowly bytes trickle.
void Connection::update_read_deadline() {
  const HttpLimits& limits = host_.options.limits;
  if (reader_->has_header()) {
    if (!has_body_deadline_) read_deadline_ = host_.clock.now() + limits.body_timeout;
    has_body_deadline_ = true;
  } else if (reader_->has_begun()) {
    if (!has_header_deadline_) read_deadline_ = host_.clock.now() + limits.header_timeout;
    has_header_deadline_ = true;
  }
}

void Connection::dispatch() {
  HttpRequest request = reader_->take();
  request.peer = peer_;
  ExchangeStyle style;
  style.headers = cors_headers(host_.options.cors, request);
  const bool is_kept = reader_->keeps_alive() && !host_.is_draining.load();
  style.keep_alive = is_kept ? KeepAlive::kYes : KeepAlive::kNo;
  style.is_head = reader_->is_head();
  style.is_http_1_0 = reader_->is_http_1_0();
  // What an HTTP/1.0 client asks for by name is more than it need be given.
  if (style.is_http_1_0) style.keep_alive = KeepAlive::kNo;
  state_ = State::kAnswering;
  read_deadline_.reset();
  taken_ = {};
  exchange_ = std::make_shared<ExchangeState>(*this, std::move(style));
  host_.statistics.num_requests.fetch_add(1, std::memory_order_relaxed);
  host_.statistics.num_active.fetch_add(1, std::memory_order_relaxed);
  std::optional<HttpReply> preflight = cors_preflight(host_.options.cors, request);
  if (preflight) return exchange_->reply(std::move(*preflight));
  host_.handler.handle(std::move(request), make_exchange_handle(exchange_));
}

void Connection::refuse(const HttpFault& fault) {
  host_.statistics.num_malformed.fetch_add(1, std::memory_order_relaxed);
  const HttpReply reply = host_.handler.refuse(fault.status, fault.message);
  outbox_ += head_text(reply, {}, BodyFraming::kLength, KeepAlive::kNo) + reply.body;
  closes_after_outbox_ = true;
  state_ = State::kAnswering;  // Nothing more is parsed.
  read_deadline_.reset();
  flush();
}

void Connection::post_flush() {
  boost::asio::post(executor_, [self = shared_from_this()] { self->flush(); });
}

void Connection::flush() {
  if (state_ == State::kClosed || is_writing_) return;
  if (fill_sending()) write();
}

// False when there is nothing to send, after what follows from that.
bool Connection::fill_sending() {
  CHECK(sending_.empty());
  is_sending_exchange_ = outbox_.empty();
  if (!outbox_.empty()) {
    sending_.swap(outbox_);
    return true;
  }
  if (closes_after_outbox_) {
    if (state_ != State::kLingering) linger();
    return false;
  }
  if (exchange_ == nullptr) return false;
  taken_ = exchange_->take(sending_);
  if (taken_.is_broken) {
    close();
    return false;
  }
  if (!sending_.empty()) return true;
  if (taken_.is_ended) finish_exchange();
  return false;
}

void Connection::write() {
  is_writing_ = true;
  write_deadline_ = host_.clock.now() + host_.options.limits.write_timeout;
  transport_->write(std::string_view(sending_).substr(num_sent_),
                    [self = shared_from_this()](SocketError error, std::size_t num_bytes) {
                      self->on_written(error, num_bytes);
                    });
}

void Connection::on_written(SocketError error, std::size_t num_bytes) {
  is_writing_ = false;
  write_deadline_.reset();
  if (state_ == State::kClosed) return;
  if (error) return close();
  host_.statistics.num_bytes_sent.fetch_add(num_bytes, std::memory_order_relaxed);
  num_sent_ += num_bytes;
  if (is_sending_exchange_ && exchange_ != nullptr) exchange_->note_sent(num_bytes);
  if (num_sent_ < sending_.size()) return write();
  num_sent_ = 0;
  if (sending_.capacity() > kKeptBytesMax) sending_ = std::string();
  sending_.clear();
  flush();
}

void Connection::finish_exchange() {
  exchange_->detach(true);
  exchange_.reset();
  host_.statistics.num_active.fetch_sub(1, std::memory_order_relaxed);
  if (!taken_.is_kept_alive || is_half_closed_) return linger();
  reader_.reset();
  has_continued_ = has_header_deadline_ = has_body_deadline_ = false;
  state_ = State::kReading;
  read_deadline_ = host_.clock.now() + host_.options.limits.idle_timeout;
  advance();
}

void Connection::linger() {
  if (is_half_closed_) return close();
  state_ = State::kLingering;
  closes_after_outbox_ = true;
  transport_->finish_sending();
  read_deadline_ = host_.clock.now() + kLingerTime;
  read();
}

}  // namespace millrace
