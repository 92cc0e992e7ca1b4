// Acceptor and io threads.
#include "serve/http/http_server.h"

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "serve/http/connection.h"
#include "serve/http/reply_text.h"
#include "serve/http/tls_context.h"

namespace millrace {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// How often deadlines are looked at.
constexpr Duration kSweepInterval = std::chrono::milliseconds(100);
// When no connection can be accepted, for want of descriptors say.
constexpr Duration kAcceptPause = std::chrono::milliseconds(50);
constexpr std::size_t kScratchBytes = 64 << 10;

Error cannot_listen(const HttpServerOptions& options, const SocketError& error) {
  return {ErrorCode::kUnavailable, "cannot listen on " + options.host + " port " +
                                       std::to_string(options.port) + ": " + error.message()};
}

std::string address_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(endpoint.port());
}

// A thread with the connections that were dealt to it.
class IoThread {
 public:
  explicit IoThread(ConnectionHost host)
      : context_(1),
        work_(context_.get_executor()),
        sweep_(context_),
        host_(std::move(host)),
        scratch_(kScratchBytes) {}

  asio::io_context& context() { return context_; }
  void start() {
    sweep_later();
    thread_ = std::thread([this] { context_.run(); });
  }
  // Any thread: takes over a socket of this thread's context.
  void adopt(TcpSocket socket, std::shared_ptr<asio::ssl::context> tls) {
    asio::post(context_, [this, socket = std::move(socket), tls = std::move(tls)]() mutable {
      begin(std::move(socket), std::move(tls));
    });
  }
  // Any thread.
  void set_limits(const HttpLimits& limits, const CorsOptions& cors) {
    asio::post(context_, [this, limits, cors] {
      host_.options.limits = limits;
      host_.options.cors = cors;
    });
  }
  // Ends the thread: without connections, timer and guard its context runs dry.
  void stop() {
    asio::post(context_, [this] {
      is_stopping_ = true;
      sweep_.cancel();
      close_all();
      work_.reset();
    });
    if (thread_.joinable()) {
      thread_.join();
    } else {
      context_.run();
    }
  }

 private:
  void begin(TcpSocket socket, std::shared_ptr<asio::ssl::context> tls) {
    SocketError error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error || is_stopping_) {
      host_.statistics.num_connections.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    socket.set_option(tcp::no_delay(true), error);
    std::unique_ptr<Transport> transport =
        tls != nullptr ? make_tls_transport(std::move(socket), std::move(tls))
                       : make_plain_transport(std::move(socket), scratch_);
    std::make_shared<Connection>(std::move(transport), context_.get_executor(), host_,
                                 address_text(peer))
        ->start();
  }

  void sweep_later() {
    sweep_.expires_after(kSweepInterval);
    sweep_.async_wait([this](SocketError error) {
      if (error || is_stopping_) return;
      sweep();
      sweep_later();
    });
  }

  void sweep() {
    const TimePoint now = host_.clock.now();
    std::vector<std::shared_ptr<Connection>> overdue;  // shared with host_.open, which they leave
    for (const auto& [key, connection] : host_.open) {
      if (connection->is_overdue(now)) overdue.push_back(connection);
    }
    for (const auto& connection : overdue) connection->expire();
  }

  void close_all() {
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [key, connection] : host_.open) all.push_back(connection);
    for (const auto& connection : all) connection->close();
  }

  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer sweep_;
  ConnectionHost host_;
  std::vector<char> scratch_;
  bool is_stopping_ = false;
  std::thread thread_;
};

class AsioHttpServer final : public HttpServer {
 public:
  AsioHttpServer(const HttpServerOptions& options, HttpHandler& handler, const Clock& clock)
      : options_(options), connections_max_(options.limits.connections_max) {
    for (std::size_t i = 0; i < options.num_io_threads; ++i) {
      threads_.push_back(std::make_unique<IoThread>(
          ConnectionHost{options_, handler, clock, statistics_, is_draining_, {}}));
    }
    acceptor_.emplace(threads_.front()->context());
    accept_pause_.emplace(threads_.front()->context());
  }
  ~AsioHttpServer() override { stop(); }

  Status listen();
  void start() override;
  void begin_drain() override { is_draining_.store(true); }
  void stop() override;
  Status reload_tls(const TlsFiles& files) override;
  void set_limits(const HttpLimits& limits, const CorsOptions& cors) override;
  std::uint16_t port() const override { return port_; }
  std::string url() const override { return url_; }
  HttpCounters counters() const override;

 private:
  void accept();
  void on_accepted(IoThread& thread, TcpSocket socket);
  void refuse(TcpSocket socket);
  std::shared_ptr<asio::ssl::context> tls() const {
    const std::lock_guard lock(tls_mutex_);
    return tls_;
  }

  const HttpServerOptions options_;
  std::atomic<std::size_t> connections_max_;
  HttpStatistics statistics_;
  std::atomic<bool> is_draining_{false};
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::optional<tcp::acceptor> acceptor_;  // on the first io thread
  std::optional<asio::steady_timer> accept_pause_;
  std::size_t next_thread_ = 0;
  bool is_stopped_ = false;
  std::uint16_t port_ = 0;
  std::string url_;
  mutable std::mutex tls_mutex_;  // Guards tls_.
  std::shared_ptr<asio::ssl::context> tls_;
};

Status AsioHttpServer::listen() {
  if (!options_.tls.certificate_path.empty() || !options_.tls.key_path.empty()) {
    tls_ = TRY(make_tls_context(options_.tls));
  }
  SocketError error;
  tcp::resolver resolver(threads_.front()->context());
  const auto found =
      resolver.resolve(options_.host, std::to_string(options_.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return cannot_listen(options_, error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_->open(endpoint.protocol(), error);
  if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) {
    acceptor_->set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor_->bind(endpoint, error);
  if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot_listen(options_, error);
  const tcp::endpoint bound = acceptor_->local_endpoint(error);
  port_ = bound.port();
  url_ = (tls_ != nullptr ? "https://" : "http://") + address_text(bound);
  return Ok{};
}

void AsioHttpServer::start() {
  for (const auto& thread : threads_) thread->start();
  asio::post(threads_.front()->context(), [this] { accept(); });
}

// On the first io thread, like what follows.
void AsioHttpServer::accept() {
  IoThread& thread = *threads_[next_thread_];
  next_thread_ = (next_thread_ + 1) % threads_.size();
  acceptor_->async_accept(thread.context(), [this, &thread](SocketError error, TcpSocket socket) {
    if (!acceptor_->is_open()) return;
    if (!error) {
      on_accepted(thread, std::move(socket));
      return accept();
    }
    accept_pause_->expires_after(kAcceptPause);
    accept_pause_->async_wait([this](SocketError failed) {
      if (!failed && acceptor_->is_open()) accept();
    });
  });
}

void AsioHttpServer::on_accepted(IoThread& thread, TcpSocket socket) {
  const std::size_t num_before =
      statistics_.num_connections.fetch_add(1, std::memory_order_relaxed);
  if (num_before >= connections_max_.load(std::memory_order_relaxed)) {
    statistics_.num_connections.fetch_sub(1, std::memory_order_relaxed);
    statistics_.num_refused.fetch_add(1, std::memory_order_relaxed);
    return refuse(std::move(socket));
  }
  statistics_.num_accepted.fetch_add(1, std::memory_order_relaxed);
  thread.adopt(std::move(socket), tls());
}

// What the socket's buffer takes at once, and no more: there is no room for another connection.
void AsioHttpServer::refuse(TcpSocket socket) {
  SocketError ignored;
  socket.non_blocking(true, ignored);
  if (tls() == nullptr) {
    static const std::string kReply =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
        "Connection: close\r\n\r\n";
    socket.write_some(asio::buffer(kReply), ignored);
  }
  socket.close(ignored);
}

void AsioHttpServer::stop() {
  if (std::exchange(is_stopped_, true)) return;
  asio::post(threads_.front()->context(), [this] {
    SocketError ignored;
    acceptor_->close(ignored);
    accept_pause_->cancel();
  });
  for (const auto& thread : threads_) thread->stop();
}

void AsioHttpServer::set_limits(const HttpLimits& limits, const CorsOptions& cors) {
  connections_max_.store(limits.connections_max, std::memory_order_relaxed);
  for (const auto& thread : threads_) thread->set_limits(limits, cors);
}

Status AsioHttpServer::reload_tls(const TlsFiles& files) {
  if (tls() == nullptr) return Ok{};
  std::shared_ptr<asio::ssl::context> fresh = TRY(make_tls_context(files));
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(fresh);
  return Ok{};
}

HttpCounters AsioHttpServer::counters() const {
  const auto count = [](const auto& value) { return value.load(std::memory_order_relaxed); };
  return {.num_connections = count(statistics_.num_connections),
          .num_active = count(statistics_.num_active),
          .num_accepted = count(statistics_.num_accepted),
          .num_refused = count(statistics_.num_refused),
          .num_requests = count(statistics_.num_requests),
          .num_malformed = count(statistics_.num_malformed),
          .num_timeouts = count(statistics_.num_timeouts),
          .num_gone = count(statistics_.num_gone),
          .num_bytes_sent = count(statistics_.num_bytes_sent)};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(const HttpServerOptions& options,
                                                       HttpHandler& handler, const Clock& clock) {
  if (options.num_io_threads == 0) {
    return Error{ErrorCode::kInvalidArgument, "the server needs an io thread at least, found 0"};
  }
  auto server = std::make_unique<AsioHttpServer>(options, handler, clock);
  TRY(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace millrace
