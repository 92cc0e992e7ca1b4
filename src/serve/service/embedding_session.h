// One request for embeddings: a pooled request of the engine for each input, one body at the end.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/api/text_request.h"
#include "serve/service/generation_session.h"

namespace millrace {

// Begun on the host pool, pumped on the hub's thread, cancelled from any; as GenerationSession.
class EmbeddingSession final : public AnswerTask,
                               public std::enable_shared_from_this<EmbeddingSession> {
 public:
  EmbeddingSession(SessionContext& context, ServiceReplyRef reply, EmbeddingRequest request,
                   std::shared_ptr<const ModelService> model);

  // One request for each input, in order.
  void start(std::vector<Request> requests);
  bool pump() override;
  void cancel();

 private:
  Status submit(std::vector<Request> requests);
  bool fail(const Error& error);

  SessionContext& context_;
  const ServiceReplyRef reply_;  // shared with the steps that led here
  const EmbeddingRequest request_;
  const std::shared_ptr<const ModelService> model_;  // shared with the directory
  const std::uint64_t watch_;

  std::mutex mutex_;  // Guards streams_ until all is submitted; then their number stays.
  std::vector<TokenStream> streams_;
};

}  // namespace millrace
