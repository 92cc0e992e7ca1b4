// The hand-over of bytes between threads.
#include "serve/http/exchange_state.h"

#include <utility>

#include "base/check.h"

namespace millrace {

ExchangeState::ExchangeState(ExchangeOwner& owner, ExchangeStyle style)
    : style_(std::move(style)), owner_(&owner) {}

void ExchangeState::wake_owner() {
  if (owner_ == nullptr || is_flush_posted_) return;
  is_flush_posted_ = true;
  owner_->post_flush();
}

void ExchangeState::reply(HttpReply reply) {
  const std::lock_guard lock(mutex_);
  CHECK(!is_begun_);
  is_begun_ = is_ended_ = true;
  is_kept_alive_ = style_.keep_alive == KeepAlive::kYes;
  if (owner_ == nullptr) return;
  unsent_ = head_text(reply, style_.headers, BodyFraming::kLength, style_.keep_alive);
  if (!style_.is_head) unsent_ += reply.body;
  num_unsent_ = unsent_.size();
  wake_owner();
}

void ExchangeState::open_stream(HttpReply head) {
  const std::lock_guard lock(mutex_);
  CHECK(!is_begun_);
  is_begun_ = true;
  is_chunked_ = !style_.is_http_1_0;
  const KeepAlive keep_alive = is_chunked_ ? style_.keep_alive : KeepAlive::kNo;
  is_kept_alive_ = keep_alive == KeepAlive::kYes;
  if (owner_ == nullptr) return;
  unsent_ = head_text(head, style_.headers,
                      is_chunked_ ? BodyFraming::kChunked : BodyFraming::kUntilClose, keep_alive);
  num_unsent_ = unsent_.size();
  wake_owner();
}

void ExchangeState::write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  CHECK(is_begun_);
  CHECK(!is_ended_);
  if (owner_ == nullptr || is_broken_ || style_.is_head || bytes.empty()) return;
  const std::size_t num_before = unsent_.size();
  if (is_chunked_) {
    append_chunk(bytes, unsent_);
  } else {
    unsent_ += bytes;
  }
  num_unsent_ += unsent_.size() - num_before;
  was_above_low_ = was_above_low_ || num_unsent_ > low_bytes_;
  wake_owner();
}

void ExchangeState::end() {
  const std::lock_guard lock(mutex_);
  CHECK(is_begun_);
  CHECK(!is_ended_);
  is_ended_ = true;
  if (owner_ == nullptr) return;
  if (is_chunked_ && !style_.is_head) {
    unsent_ += kLastChunk;
    num_unsent_ += kLastChunk.size();
  }
  wake_owner();
}

void ExchangeState::break_off() {
  const std::lock_guard lock(mutex_);
  if (is_ended_) return;
  is_broken_ = true;
  wake_owner();
}

std::size_t ExchangeState::num_unsent_bytes() const {
  const std::lock_guard lock(mutex_);
  return num_unsent_;
}

void ExchangeState::on_gone(UniqueFunction<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (owner_ != nullptr) {
      on_gone_ = std::move(call);
      return;
    }
    if (is_answered_) return;
  }
  call();
}

void ExchangeState::on_drained(std::size_t low_bytes, UniqueFunction<void()> call) {
  const std::lock_guard lock(mutex_);
  low_bytes_ = low_bytes;
  was_above_low_ = num_unsent_ > low_bytes;
  on_drained_ = std::move(call);
}

ExchangeState::Sending ExchangeState::take(std::string& out) {
  CHECK(out.empty());
  const std::lock_guard lock(mutex_);
  is_flush_posted_ = false;
  out.swap(unsent_);
  return {.is_ended = is_ended_, .is_broken = is_broken_, .is_kept_alive = is_kept_alive_};
}

void ExchangeState::note_sent(std::size_t num_bytes) {
  UniqueFunction<void()> call;
  {
    const std::lock_guard lock(mutex_);
    if (owner_ == nullptr) return;
    CHECK(num_bytes <= num_unsent_);
    num_unsent_ -= num_bytes;
    if (!was_above_low_ || num_unsent_ > low_bytes_ || !on_drained_) return;
    was_above_low_ = false;
    call = std::move(on_drained_);
  }
  call();
  const std::lock_guard lock(mutex_);
  if (owner_ != nullptr && !on_drained_) on_drained_ = std::move(call);
}

// The calls are dropped outside the lock: what they hold may hold this exchange.
void ExchangeState::detach(bool was_answered) {
  UniqueFunction<void()> gone;
  UniqueFunction<void()> drained;
  {
    const std::lock_guard lock(mutex_);
    if (owner_ == nullptr) return;
    owner_ = nullptr;
    is_answered_ = was_answered;
    unsent_ = std::string();
    num_unsent_ = 0;
    gone = std::move(on_gone_);
    drained = std::move(on_drained_);
    if (!was_answered) is_gone_.store(true, std::memory_order_release);
  }
  if (!was_answered && gone) gone();
}

namespace {

class ExchangeHandle final : public HttpExchange {
 public:
  explicit ExchangeHandle(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
  ~ExchangeHandle() override { state_->break_off(); }

  void reply(HttpReply reply) override { state_->reply(std::move(reply)); }
  void open_stream(HttpReply head) override { state_->open_stream(std::move(head)); }
  void write(std::string_view bytes) override { state_->write(bytes); }
  void end() override { state_->end(); }
  void break_off() override { state_->break_off(); }
  std::size_t num_unsent_bytes() const override { return state_->num_unsent_bytes(); }
  bool is_gone() const override { return state_->is_gone(); }
  void on_gone(UniqueFunction<void()> call) override { state_->on_gone(std::move(call)); }
  void on_drained(std::size_t low_bytes, UniqueFunction<void()> call) override {
    state_->on_drained(low_bytes, std::move(call));
  }

 private:
  std::shared_ptr<ExchangeState> state_;
};

}  // namespace

HttpExchangeRef make_exchange_handle(std::shared_ptr<ExchangeState> state) {
  return std::make_shared<ExchangeHandle>(std::move(state));
}

}  // namespace millrace
