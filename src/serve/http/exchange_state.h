// What a connection and whoever answers on it share: bytes to send, and who is still there.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/http/http_exchange.h"
#include "serve/http/reply_text.h"

namespace millrace {

// The connection's end of an exchange: asked to look at it on its io thread.
class ExchangeOwner {
 public:
  virtual ~ExchangeOwner() = default;
  // Any thread; called with the exchange's lock held, and not once detach() has returned.
  virtual void post_flush() = 0;
};

struct ExchangeStyle {
  std::vector<HttpHeader> headers;  // of every reply: CORS
  KeepAlive keep_alive = KeepAlive::kYes;
  bool is_head = false;
  bool is_http_1_0 = false;
};

// Shared by its connection and the handle that the handler holds. Lives on after both have parted.
class ExchangeState {
 public:
  ExchangeState(ExchangeOwner& owner, ExchangeStyle style);

  // The handler's side, any thread.
  void reply(HttpReply reply);
  void open_stream(HttpReply head);
  void write(std::string_view bytes);
  void end();
  void break_off();
  std::size_t num_unsent_bytes() const;
  bool is_gone() const { return is_gone_.load(std::memory_order_acquire); }
  void on_gone(UniqueFunction<void()> call);
  void on_drained(std::size_t low_bytes, UniqueFunction<void()> call);

  // The connection's side, its io thread.
  struct Sending {
    bool is_ended = false;   // nothing comes after what was taken
    bool is_broken = false;  // close at once
    bool is_kept_alive = false;
  };
  // Moves what waits into `out`, which is empty.
  Sending take(std::string& out);
  // So many of the bytes taken have been sent; calls on_drained where that is due.
  void note_sent(std::size_t num_bytes);
  // The connection has closed. Calls on_gone unless the whole answer was sent.
  void detach(bool was_answered);

 private:
  void wake_owner();  // with mutex_ held

  const ExchangeStyle style_;
  mutable std::mutex mutex_;  // Guards what follows but the atomic.
  ExchangeOwner* owner_;      // null once detached
  std::string unsent_;
  std::size_t num_unsent_ = 0;  // in unsent_ and on the connection's way out
  bool is_begun_ = false;
  bool is_chunked_ = false;
  bool is_ended_ = false;
  bool is_broken_ = false;
  bool is_kept_alive_ = false;
  bool is_flush_posted_ = false;
  std::size_t low_bytes_ = 0;
  bool was_above_low_ = false;
  UniqueFunction<void()> on_gone_;
  UniqueFunction<void()> on_drained_;
  bool is_answered_ = false;
  std::atomic<bool> is_gone_{false};
};

// The handler's handle; dropped without an answer, it breaks the exchange off.
HttpExchangeRef make_exchange_handle(std::shared_ptr<ExchangeState> state);

}  // namespace millrace
