// The queue of one request's tokens between the engine and its client.
#include "engine/token_stream.h"

#include <utility>

#include "base/check.h"

namespace millrace {

StreamState::StreamState(const Request& request,
                         std::shared_ptr<std::atomic<std::uint64_t>> num_cancels,
                         std::shared_ptr<const PromptScores> scores)
    : watch_(request.watch),
      top_logprobs_(request.sampling.top_logprobs),
      id_(request.id),
      num_cancels_(std::move(num_cancels)),
      scores_(std::move(scores)) {
  const std::size_t num_tokens_max = *request.max_tokens;
  tokens_.reserve(num_tokens_max);
  if (!top_logprobs_) return;
  logprobs_.reserve(num_tokens_max);
  top_.reserve(num_tokens_max * *top_logprobs_);
}

void StreamState::push(const SampledToken& token, std::span<const TokenLogprob> top) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!is_finished_);
    CHECK(tokens_.size() < tokens_.capacity());
    tokens_.push_back(token.token);
    if (top_logprobs_) {
      CHECK(top.size() == *top_logprobs_);
      logprobs_.push_back(token.logprob);
      top_.insert(top_.end(), top.begin(), top.end());
    }
  }
  changed_.notify_one();
}

void StreamState::prefetch() const {
  __builtin_prefetch(&mutex_, 1);
  __builtin_prefetch(&changed_, 1);
  __builtin_prefetch(&top_logprobs_);
}

// The engine thread alone adds tokens, so it may look without the lock.
void StreamState::prefetch_end() const {
  __builtin_prefetch(tokens_.data() + tokens_.size(), 1);
}

void StreamState::start(std::size_t num_cached) {
  const std::lock_guard lock(mutex_);
  CHECK(!num_cached_);
  num_cached_ = num_cached;
}

void StreamState::finish(const Finish& finish) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!finish_);  // Every request ends once.
    finish_ = finish;
    is_finished_ = true;
  }
  changed_.notify_one();
}

void StreamState::set_pooled(std::vector<float> vector) {
  const std::lock_guard lock(mutex_);
  CHECK(!finish_);
  pooled_ = std::move(vector);
}

std::vector<float> StreamState::take_pooled() {
  const std::lock_guard lock(mutex_);
  if (!finish_) return {};
  return std::exchange(pooled_, {});
}

const PromptScores* StreamState::prompt_scores() const {
  const std::lock_guard lock(mutex_);
  const bool has_end = finish_ && (finish_->reason == FinishReason::kStop ||
                                   finish_->reason == FinishReason::kLength);
  return has_end || !tokens_.empty() ? scores_.get() : nullptr;
}

void StreamState::cancel() {
  cancelled_.store(true, std::memory_order_release);
  num_cancels_->fetch_add(1, std::memory_order_release);
}

std::optional<GeneratedToken> StreamState::pop(std::optional<Duration> wait_max) {
  std::unique_lock lock(mutex_);
  const auto has_news = [this] { return num_popped_ < tokens_.size() || finish_.has_value(); };
  if (!wait_max) {
    changed_.wait(lock, has_news);
  } else if (*wait_max > Duration{0}) {
    changed_.wait_for(lock, *wait_max, has_news);
  }
  if (num_popped_ == tokens_.size()) return std::nullopt;
  return token_at(num_popped_++);
}

GeneratedToken StreamState::token_at(std::size_t index) const {
  GeneratedToken token{.token = tokens_[index], .logprob = std::nullopt, .top = {}};
  if (top_logprobs_) {
    token.logprob = logprobs_[index];
    // Capacity was reserved for the whole request, so what is pushed later moves nothing.
    token.top = std::span(top_).subspan(index * *top_logprobs_, *top_logprobs_);
  }
  return token;
}

std::optional<Finish> StreamState::finished() const {
  const std::lock_guard lock(mutex_);
  return num_popped_ == tokens_.size() ? finish_ : std::nullopt;
}

bool StreamState::has_ended() const {
  const std::lock_guard lock(mutex_);
  return finish_.has_value();
}

std::optional<std::size_t> StreamState::num_cached() const {
  const std::lock_guard lock(mutex_);
  return num_cached_;
}

TokenStream& TokenStream::operator=(TokenStream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

TokenStream::~TokenStream() {
  if (state_ != nullptr) state_->cancel();
}

}  // namespace millrace
