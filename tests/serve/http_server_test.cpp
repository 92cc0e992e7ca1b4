// The HTTP server over real sockets: what is well-formed is answered in order, what is not is
// refused, and nobody who is slow, gone or malicious holds anybody else up.
#include "serve/http/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "serve/http_client.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;

// /echo answers with the body, /later from another thread, /stream in pieces, /big with a lot,
// /hold not until the test says so, /drop never.
class EchoHandler final : public HttpHandler {
 public:
  ~EchoHandler() override {
    for (std::thread& thread : threads_) thread.join();
  }

  void handle(HttpRequest request, HttpExchangeRef exchange) override {
    if (request.path == "/later") {
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([exchange] {
        std::this_thread::sleep_for(milliseconds(20));
        exchange->reply({.body = "later"});
      });
    } else if (request.path == "/stream") {
      exchange->open_stream({.content_type = "text/event-stream"});
      for (int i = 0; i < 3; ++i) exchange->write("data: " + std::to_string(i) + "\n\n");
      exchange->end();
    } else if (request.path == "/big") {
      exchange->open_stream({.content_type = "text/plain"});
      exchange->on_drained(0, [this] { ++num_drained; });
      exchange->write(std::string(kBigBytes, 'x'));
      exchange->end();
    } else if (request.path == "/hold") {
      exchange->on_gone([this] {
        const std::lock_guard lock(mutex_);
        ++num_gone_;
        changed_.notify_all();
      });
      const std::lock_guard lock(mutex_);
      held_.push_back(exchange);
      changed_.notify_all();
    } else if (request.path != "/drop") {
      exchange->reply(
          {.headers = {{"x-seen", request.method + " " + request.path + "?" + request.query}},
           .body = request.body});
    }
  }
  HttpReply refuse(int status, std::string_view message) override {
    return {.status = status, .content_type = "text/plain", .body = std::string(message)};
  }

  std::vector<HttpExchangeRef> await_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.size() >= count; });
    return std::exchange(held_, {});
  }
  bool await_gone(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return num_gone_ >= count; });
  }

  static constexpr std::size_t kBigBytes = 32 << 20;
  std::atomic<int> num_drained{0};

 private:
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::vector<HttpExchangeRef> held_;
  std::size_t num_gone_ = 0;
  std::vector<std::thread> threads_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    options.num_io_threads = 2;
    server_ = MUST(HttpServer::create(options, handler_, clock_));
    server_->start();
  }
  void TearDown() override {
    if (server_ != nullptr) server_->stop();
  }
  HttpClient client() { return HttpClient(server_->port()); }
  // The status of the reply to these bytes; 0 when there is none.
  int status_of(std::string_view bytes) {
    HttpClient one = client();
    one.send(bytes);
    const std::optional<ClientReply> reply = one.read_reply();
    return reply ? reply->status : 0;
  }
  bool await(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }

  SystemClock clock_;
  EchoHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersRequestsOnOneConnectionInOrder) {
  start();
  HttpClient one = client();
  for (int i = 0; i < 20; ++i) {
    const std::string body = "body " + std::to_string(i);
    const auto reply = one.post("/echo?a=1", body);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, body);
    EXPECT_EQ(reply->headers.at("x-seen"), "POST /echo?a=1");
  }
  EXPECT_EQ(server_->counters().num_accepted, 1u);
  EXPECT_EQ(server_->counters().num_requests, 20u);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrderAlsoWhenTheFirstTakesLonger) {
  start();
  HttpClient one = client();
  const std::string later = "GET /later HTTP/1.1\r\nHost: t\r\n\r\n";
  const std::string echo = "GET /echo HTTP/1.1\r\nHost: t\r\n\r\n";
  ASSERT_TRUE(one.send(later + echo + later + echo));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(one.read_reply()->body, "later");
    EXPECT_EQ(one.read_reply()->headers.at("x-seen"), "GET /echo?");
  }
}

TEST_F(HttpServerTest, StreamsInChunksAndToOldClientsUntilTheEnd) {
  start();
  HttpClient one = client();
  for (int round = 0; round < 2; ++round) {  // A stream leaves the connection usable.
    ASSERT_TRUE(one.send("GET /stream HTTP/1.1\r\nHost: t\r\n\r\n"));
    ASSERT_EQ(one.read_head()->headers.at("content-type"), "text/event-stream");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(one.read_event(), std::to_string(i));
    EXPECT_EQ(one.read_event(), std::nullopt);
    EXPECT_TRUE(one.saw_last_chunk());
  }
  HttpClient old = client();
  ASSERT_TRUE(old.send("GET /stream HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(old.read_reply()->body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

TEST_F(HttpServerTest, HeadAnswersWithoutABody) {
  start();
  HttpClient one = client();
  ASSERT_TRUE(one.send("HEAD /echo HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_EQ(one.read_reply(true)->status, 200);
  ASSERT_TRUE(one.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_EQ(one.read_reply(true)->status, 200);
  EXPECT_EQ(one.get("/echo")->status, 200);  // Nothing of a body was in between.
}

TEST_F(HttpServerTest, ReadsChunkedBodiesAndAnswersExpect100) {
  start();
  HttpClient one = client();
  ASSERT_TRUE(
      one.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n"));
  ASSERT_TRUE(one.send("2;extension=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"));
  EXPECT_EQ(one.read_reply()->body, "abcde");
  ASSERT_TRUE(
      one.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n"
               "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(one.read_reply()->status, 100);
  ASSERT_TRUE(one.send("body"));
  EXPECT_EQ(one.read_reply()->body, "body");
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttp) {
  start();
  EXPECT_EQ(status_of("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/2.7\r\nHost: t\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);                            // No Host.
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);      // Two.
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: t\r\nBad Name: x\r\n\r\n"), 400);  // A space.
  EXPECT_EQ(status_of("GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET nowhere HTTP/1.1\r\nHost: t\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
                      "Content-Length: 2\r\n\r\nab"),
            400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            400);
  EXPECT_EQ(status_of("GET /echo HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
  EXPECT_EQ(status_of("\r\nGET http://t/echo HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
  EXPECT_GE(server_->counters().num_malformed, 13u);
}

TEST_F(HttpServerTest, LimitsHeadersAndBodies) {
  HttpServerOptions options;
  options.limits.header_bytes_max = 1000;
  options.limits.body_bytes_max = 1000;
  start(options);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: t\r\nX: " + std::string(2000, 'x') + "\r\n\r\n"),
            431);
  EXPECT_EQ(status_of("GET /" + std::string(2000, 'x')), 431);
  // A length that is too long is refused before a byte of the body has come.
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                      "Content-Length: 99999999999\r\n\r\n"),
            413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                      std::string(1001, 'x')),
            413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n" +
                      std::string(1000, 'x')),
            200);
}

TEST_F(HttpServerTest, TheReplyToABodyThatIsTooLongReachesAClientThatGoesOnSending) {
  HttpServerOptions options;
  options.limits.body_bytes_max = 1000;
  start(options);
  HttpClient one = client();
  ASSERT_TRUE(one.send_post("/echo", std::string(200'000, 'x')));
  const auto reply = one.read_reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 413);
  EXPECT_TRUE(one.is_closed_by_peer());
}

TEST_F(HttpServerTest, SlowRequestsEndInTime) {
  HttpServerOptions options;
  options.limits.header_timeout = milliseconds(300);
  options.limits.body_timeout = milliseconds(300);
  options.limits.idle_timeout = milliseconds(300);
  start(options);
  HttpClient silent = client();
  EXPECT_TRUE(silent.is_closed_by_peer());
  HttpClient idle = client();
  EXPECT_EQ(idle.get("/echo")->status, 200);
  EXPECT_TRUE(idle.is_closed_by_peer());
  // However steadily it trickles.
  const auto trickle = [&](const std::string& begin) {
    HttpClient slow = client();
    slow.send(begin);
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(milliseconds(50));
      if (!slow.send("x")) break;
    }
    const auto reply = slow.read_reply();
    return reply ? reply->status : 0;
  };
  EXPECT_EQ(trickle("GET / HTTP/1.1\r\nX: "), 408);
  EXPECT_EQ(trickle("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n"), 408);
  EXPECT_GE(server_->counters().num_timeouts, 4u);
}

TEST_F(HttpServerTest, TellsAtOnceWhenAClientHasGone) {
  start();
  {
    HttpClient one = client();
    ASSERT_TRUE(one.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n"));
    const auto held = handler_.await_held(1);
    ASSERT_EQ(held.size(), 1u);
    one.close();
    EXPECT_TRUE(handler_.await_gone(1));
    EXPECT_TRUE(held[0]->is_gone());
    held[0]->reply({.body = "too late"});  // Harmless.
  }
  HttpClient half = client();
  ASSERT_TRUE(half.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n"));
  const auto held = handler_.await_held(1);
  half.finish_sending();
  EXPECT_TRUE(handler_.await_gone(2));
  EXPECT_EQ(server_->counters().num_active, 0u);
  EXPECT_EQ(server_->counters().num_gone, 2u);
}

TEST_F(HttpServerTest, AHalfClosedSocketStillGetsAnAnswerThatIsThere) {
  start();
  HttpClient one = client();
  ASSERT_TRUE(one.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
  one.finish_sending();
  const auto reply = one.read_reply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->is_whole);
  EXPECT_EQ(reply->body.size(), EchoHandler::kBigBytes);
}

TEST_F(HttpServerTest, AClientThatReadsNothingIsCutOffAndHoldsNobodyUp) {
  HttpServerOptions options;
  options.limits.write_timeout = milliseconds(500);
  start(options);
  HttpClient stuck = client();
  stuck.set_receive_buffer(4096);
  ASSERT_TRUE(stuck.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n"));
  HttpClient other = client();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(other.get("/echo")->status, 200);
  EXPECT_TRUE(await([&] { return server_->counters().num_gone == 1; }));
  EXPECT_EQ(server_->counters().num_timeouts, 1u);
  EXPECT_EQ(handler_.num_drained, 0);
}

TEST_F(HttpServerTest, TellsWhenWhatWaitedHasBeenSent) {
  start();
  HttpClient one = client();
  EXPECT_EQ(one.get("/big")->body.size(), EchoHandler::kBigBytes);
  EXPECT_TRUE(await([&] { return handler_.num_drained == 1; }));
}

TEST_F(HttpServerTest, AnExchangeThatIsDroppedClosesItsConnection) {
  start();
  HttpClient one = client();
  ASSERT_TRUE(one.send("GET /drop HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_TRUE(one.is_closed_by_peer());
}

TEST_F(HttpServerTest, RefusesConnectionsOverTheLimitAndTakesThemAgainLater) {
  HttpServerOptions options;
  options.limits.connections_max = 2;
  start(options);
  HttpClient first = client();
  EXPECT_EQ(first.get("/echo")->status, 200);
  {
    HttpClient second = client();
    EXPECT_EQ(second.get("/echo")->status, 200);
    HttpClient third = client();
    EXPECT_EQ(third.read_reply()->status, 503);
    EXPECT_TRUE(third.is_closed_by_peer());
    EXPECT_EQ(server_->counters().num_refused, 1u);
  }
  EXPECT_TRUE(await([&] { return server_->counters().num_connections == 1; }));
  HttpClient fourth = client();
  EXPECT_EQ(fourth.get("/echo")->status, 200);
}

TEST_F(HttpServerTest, CorsForTheOriginsThatMay) {
  HttpServerOptions options;
  options.cors.origins = {"https://good.example"};
  start(options);
  HttpClient one = client();
  ASSERT_TRUE(
      one.send("OPTIONS /echo HTTP/1.1\r\nHost: t\r\nOrigin: https://good.example\r\n"
               "Access-Control-Request-Method: POST\r\n\r\n"));
  const auto preflight = one.read_reply();
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->headers.at("access-control-allow-origin"), "https://good.example");
  EXPECT_EQ(preflight->headers.at("access-control-allow-headers"), "Authorization, Content-Type");
  EXPECT_EQ(one.get("/echo", "Origin: https://good.example\r\n")
                ->headers.at("access-control-allow-origin"),
            "https://good.example");
  EXPECT_EQ(one.get("/echo", "Origin: https://bad.example\r\n")
                ->headers.count("access-control-allow-origin"),
            0u);
}

TEST_F(HttpServerTest, WhileDrainingEachConnectionClosesAfterItsReply) {
  start();
  HttpClient one = client();
  EXPECT_EQ(one.get("/echo")->headers.count("connection"), 0u);
  server_->begin_drain();
  EXPECT_EQ(one.get("/echo")->headers.at("connection"), "close");
  EXPECT_TRUE(one.is_closed_by_peer());
}

TEST_F(HttpServerTest, StopsWithEverythingOpen) {
  start();
  std::vector<HttpClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back().send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n"));
  }
  const auto held = handler_.await_held(20);
  server_->stop();
  EXPECT_TRUE(handler_.await_gone(20));
  for (const HttpExchangeRef& exchange : held) exchange->reply({});
  server_.reset();
  for (const HttpExchangeRef& exchange : held) EXPECT_TRUE(exchange->is_gone());
}

TEST_F(HttpServerTest, ListensOnIpv6AndSaysWhereItCannot) {
  HttpServerOptions options;
  options.host = "::1";
  auto server = HttpServer::create(options, handler_, clock_);
  if (!server.ok()) GTEST_SKIP() << server.error().message;
  server.value()->start();
  EXPECT_EQ(server.value()->url(), "http://[::1]:" + std::to_string(server.value()->port()));
  HttpClient one(server.value()->port(), "::1");
  EXPECT_EQ(one.get("/echo")->status, 200);
  options.port = server.value()->port();
  const auto taken = HttpServer::create(options, handler_, clock_);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(taken.error().message.find("cannot listen on ::1 port"), std::string::npos);
}

}  // namespace
}  // namespace millrace
