// Inputs submitted a few at a time, vectors collected as they come.
#include "serve/service/embedding_session.h"

#include <cmath>
#include <utility>

namespace millrace {
namespace {

// As OpenAI gives them: dot products are cosines.
void normalise(std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += double{x} * double{x};
  if (!(squares > 0)) return;
  const double scale = 1.0 / std::sqrt(squares);
  for (float& x : vector) x = static_cast<float>(double{x} * scale);
}

}  // namespace

EmbeddingSession::EmbeddingSession(SessionContext& context, ServiceReplyRef reply,
                                   EmbeddingRequest request,
                                   std::shared_ptr<const ModelService> model,
                                   std::string model_name)
    : context_(context),
      reply_(std::move(reply)),
      request_(std::move(request)),
      model_(std::move(model)),
      model_name_(std::move(model_name)),
      watch_(context.hub.next_watch()) {}

void EmbeddingSession::start(std::vector<Request> requests) {
  for (Request& request : requests) {
    request.watch = watch_;
    inputs_.push_back({.request = std::move(request)});
  }
  context_.hub.add(watch_, shared_from_this());  // Which pumps it, and so submits the first ones.
  reply_->exchange().on_gone([weak = weak_from_this()] {
    const auto session = weak.lock();
    if (session != nullptr) session->cancel();
  });
}

void EmbeddingSession::cancel() {
  {
    const std::lock_guard lock(mutex_);
    for (Input& input : inputs_) {
      if (input.stream) input.stream->cancel();
    }
  }
  context_.hub.notify(watch_);
}

bool EmbeddingSession::pump() {
  if (reply_->is_gone()) {
    cancel();
    return true;
  }
  for (std::size_t i = 0; i < num_submitted_; ++i) {
    Input& input = inputs_[i];
    if (!input.stream || !input.stream->has_ended()) continue;
    const Status status = collect(input);
    if (!status.ok()) return fail(status.error());
  }
  const Status status = submit_more();
  if (!status.ok()) return fail(status.error());
  if (num_ended_ < inputs_.size()) return false;
  finish();
  return true;
}

// A full queue is waited for as long as some of ours are on their way, whose ends bring us back.
Status EmbeddingSession::submit_more() {
  while (num_submitted_ < inputs_.size() && num_submitted_ - num_ended_ < kInFlightMax) {
    Input& input = inputs_[num_submitted_];
    Result<std::vector<TokenStream>> streams =
        context_.registry.submit(model_->name(), input.request);
    if (!streams.ok()) {
      const bool may_wait = streams.error().code == ErrorCode::kResourceExhausted;
      if (may_wait && num_submitted_ > num_ended_) return Ok{};
      return streams.error();
    }
    const std::lock_guard lock(mutex_);
    input.stream.emplace(std::move(streams.value().front()));
    ++num_submitted_;
  }
  return Ok{};
}

Status EmbeddingSession::collect(Input& input) {
  const std::optional<Finish> finish = input.stream->finished();
  if (!finish) return Ok{};
  if (const std::optional<Error> failure = failure_of(*finish)) return *failure;
  if (finish->reason != FinishReason::kStop) {
    return Error{ErrorCode::kDeadlineExceeded, "the request's time was up before its embeddings"};
  }
  input.vector = input.stream->take_pooled();
  normalise(input.vector);
  num_prompt_tokens_ += finish->num_prompt;
  num_cached_tokens_ += finish->num_cached;
  ++num_ended_;
  const std::lock_guard lock(mutex_);
  input.stream.reset();
  return Ok{};
}

bool EmbeddingSession::fail(const Error& error) {
  reply_->error(
      submission_error(error, context_, model_->name(), inputs_.front().request.service_class));
  cancel();
  return true;
}

void EmbeddingSession::finish() {
  std::vector<std::vector<float>> vectors;
  for (Input& input : inputs_) vectors.push_back(std::move(input.vector));
  RequestRecord& record = reply_->record();
  record.num_prompt_tokens = num_prompt_tokens_;
  record.num_cached_tokens = num_cached_tokens_;
  record.num_choices = vectors.size();
  record.finish = "stop";
  reply_->json(embedding_body(request_, model_name_, std::move(vectors), num_prompt_tokens_));
}

}  // namespace millrace
