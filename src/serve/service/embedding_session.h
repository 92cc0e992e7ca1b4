// One request for embeddings: a pooled request of the engine for each input, and one reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "serve/api/text_request.h"
#include "serve/service/generation_session.h"

namespace millrace {

// Begun on the host pool, pumped on the hub's thread, cancelled from any. Shared by the hub, and by
// the callback that tells it of its client.
class EmbeddingSession final : public AnswerTask,
                               public std::enable_shared_from_this<EmbeddingSession> {
 public:
  // Inputs that are with the engine at once: a long list neither fills the queue of its class nor
  // is refused because it would.
  static constexpr std::size_t kInFlightMax = 32;

  // `model_name` is what the client called the model: its own name or an adapter's.
  EmbeddingSession(SessionContext& context, ServiceReplyRef reply, EmbeddingRequest request,
                   std::shared_ptr<const ModelService> model, std::string model_name);

  // One pooled request for each input, in their order.
  void start(std::vector<Request> requests);
  bool pump() override;
  void cancel();

 private:
  struct Input {
    Request request;
    std::optional<TokenStream> stream = {};  // once submitted
    std::vector<float> vector = {};          // once ended, of length 1
  };

  Status submit_more();
  Status collect(Input& input);
  bool fail(const Error& error);
  void finish();

  SessionContext& context_;
  const ServiceReplyRef reply_;  // shared with the steps that led here
  const EmbeddingRequest request_;
  const std::shared_ptr<const ModelService> model_;  // shared with the directory
  const std::string model_name_;
  const std::uint64_t watch_;

  std::mutex mutex_;  // Guards the streams of inputs_.
  std::vector<Input> inputs_;

  std::size_t num_submitted_ = 0;  // The hub's thread, like what follows.
  std::size_t num_ended_ = 0;
  std::size_t num_prompt_tokens_ = 0;
  std::size_t num_cached_tokens_ = 0;
};

}  // namespace millrace
