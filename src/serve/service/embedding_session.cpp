// Submitting inputs and collecting their vectors.
#include "serve/service/embedding_session.h"

#include <utility>

namespace millrace {

EmbeddingSession::EmbeddingSession(SessionContext& context, ServiceReplyRef reply,
                                   EmbeddingRequest request,
                                   std::shared_ptr<const ModelService> model)
    : context_(context),
      reply_(std::move(reply)),
      request_(std::move(request)),
      model_(std::move(model)),
      watch_(context.hub.next_watch()) {}

void EmbeddingSession::start(std::vector<Request> requests) {
  const ClassId service_class = requests.front().service_class;
  const Status status = submit(std::move(requests));
  if (!status.ok()) {
    return reply_->error(submission_error(status.error(), context_, model_->name(), service_class));
  }
  context_.hub.add(watch_, shared_from_this());
  reply_->exchange().on_gone([weak = weak_from_this()] {
    const auto session = weak.lock();
    if (session != nullptr) session->cancel();
  });
}

Status EmbeddingSession::submit(std::vector<Request> requests) {
  std::vector<TokenStream> streams;
  for (Request& request : requests) {
    request.watch = watch_;
    std::vector<TokenStream> one =
        TRY(context_.registry.submit(model_->name(), std::move(request)));
    streams.push_back(std::move(one.front()));
  }
  const std::lock_guard lock(mutex_);
  streams_ = std::move(streams);
  return Ok{};
}

void EmbeddingSession::cancel() {
  {
    const std::lock_guard lock(mutex_);
    for (TokenStream& stream : streams_) stream.cancel();
  }
  context_.hub.notify(watch_);
}

bool EmbeddingSession::pump() {
  if (reply_->is_gone()) {
    cancel();
    return true;
  }
  std::size_t num_prompt = 0;
  for (const TokenStream& stream : streams_) {
    const std::optional<Finish> finish = stream.finished();
    if (!finish) return false;
    const std::optional<Error> failure = failure_of(*finish);
    if (failure) return fail(*failure);
    num_prompt += finish->num_prompt;
  }
  std::vector<std::vector<float>> vectors;
  for (TokenStream& stream : streams_) vectors.push_back(stream.take_pooled());
  reply_->record().num_prompt_tokens = num_prompt;
  reply_->record().num_choices = streams_.size();
  reply_->json(embedding_body(request_, model_->name(), std::move(vectors), num_prompt));
  return true;
}

bool EmbeddingSession::fail(const Error& error) {
  cancel();
  reply_->error(api_error(error));
  return true;
}

}  // namespace millrace
