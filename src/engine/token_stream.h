// The client's end of one request: its tokens as they come, how it ended, and a way to end it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/token_id.h"
#include "engine/finish.h"
#include "engine/prompt_scores.h"
#include "engine/request.h"
#include "engine/step.h"

namespace millrace {

struct GeneratedToken {
  TokenId token = 0;
  std::optional<float> logprob;       // when the request asked for log-probabilities
  std::span<const TokenLogprob> top;  // likeliest first; valid as long as the stream
};

// Told of news so that nobody need wait at a stream. Called by the engine thread once per step,
// with the `watch` of every stream that got a token or ended in it (once for each choice). Must
// neither block nor allocate for long: the next step waits for it. Whoever learns of news takes it
// with try_pop and finished.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual void streams_changed(std::span<const std::uint64_t> watches) = 0;
};

// The two ends' common state. Room for every token that the request can give is reserved when it is
// made, so the engine never waits for a slow client and never allocates for one.
class StreamState {
 public:
  StreamState(const Request& request, std::shared_ptr<std::atomic<std::uint64_t>> num_cancels,
              std::shared_ptr<const PromptScores> scores = nullptr);

  // The engine's side.
  void push(const SampledToken& token, std::span<const TokenLogprob> top);
  void start(std::size_t num_cached);
  void finish(const Finish& finish);
  // Before finish, for a pooled request.
  void set_pooled(std::vector<float> vector);
  bool is_cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  std::optional<std::uint64_t> watch() const { return watch_; }
  // Asks for what push touches; the second when what the first asked for has come.
  void prefetch() const;
  void prefetch_end() const;

  // The client's side.
  RequestId id() const { return id_; }
  void cancel();
  std::optional<GeneratedToken> pop(std::optional<Duration> wait_max);
  std::optional<Finish> finished() const;
  bool has_ended() const;
  std::optional<std::size_t> num_cached() const;
  std::vector<float> take_pooled();
  const PromptScores* prompt_scores() const;

 private:
  GeneratedToken token_at(std::size_t index) const;

  // A token touches the first three cache lines.
  alignas(64) mutable std::mutex mutex_;  // Guards what is not const and not atomic.
  std::vector<TokenId> tokens_;
  std::condition_variable changed_;
  const std::optional<std::uint64_t> watch_;
  const std::optional<std::uint32_t> top_logprobs_;
  bool is_finished_ = false;  // finish_ is there
  std::atomic<bool> cancelled_{false};

  const RequestId id_;
  // Shared with the engine, which looks for cancelled streams only when the count has moved; a
  // stream may outlive the engine.
  const std::shared_ptr<std::atomic<std::uint64_t>> num_cancels_;
  const std::shared_ptr<const PromptScores> scores_;  // shared with the sequence
  std::vector<float> logprobs_;                       // one per token when asked for
  std::vector<TokenLogprob> top_;                     // top_logprobs_ per token when asked for
  std::vector<float> pooled_;
  std::size_t num_popped_ = 0;
  std::optional<std::size_t> num_cached_;
  std::optional<Finish> finish_;
};

// Owned by the client; one client thread at a time. A stream that is dropped cancels its request.
class TokenStream {
 public:
  explicit TokenStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  TokenStream(TokenStream&&) noexcept = default;
  TokenStream& operator=(TokenStream&& other) noexcept;
  ~TokenStream();

  RequestId id() const { return state_->id(); }

  // The next token. Waits for it; nothing when the stream has ended and every token was taken.
  std::optional<GeneratedToken> pop() { return state_->pop(std::nullopt); }
  // The same without waiting, or waiting so long at most: nothing may also mean "not yet".
  std::optional<GeneratedToken> try_pop() { return state_->pop(Duration{0}); }
  std::optional<GeneratedToken> pop_for(Duration wait_max) { return state_->pop(wait_max); }

  // How the request ended, once it has and every token was taken: a client may look at any time
  // and never misses the last tokens.
  std::optional<Finish> finished() const { return state_->finished(); }
  // Whether it has ended, although tokens may still wait to be taken.
  bool has_ended() const { return state_->has_ended(); }
  // Tokens of the prompt that were found in the cache; known from the first token on, also to
  // whoever streams its usage first. Nothing before the request has run.
  std::optional<std::size_t> num_cached() const { return state_->num_cached(); }

  // Once a pooled request has ended with kStop: its vector, as wide as the model. Empty before,
  // after any other end, and when it was taken.
  std::vector<float> take_pooled() { return state_->take_pooled(); }

  // Of a request with prompt_logprobs: what its prompt came to, as long as the stream lives. Null
  // before the first token or a finish by kStop or kLength, and for other requests.
  const PromptScores* prompt_scores() const { return state_->prompt_scores(); }

  // Asks for the end. The engine frees everything at its next step.
  void cancel() { state_->cancel(); }

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace millrace
