// One request that generates: submitted to the engine, its tokens written to its client as they
// come.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/model_registry.h"
#include "serve/api/answer.h"
#include "serve/output/answer_text.h"
#include "serve/service/answer_hub.h"
#include "serve/service/model_service.h"
#include "serve/service/service_reply.h"

namespace millrace {

struct SessionLimits {
  Duration request_time_max = std::chrono::minutes(10);
  // Text of a stream that its client has not taken; past it, tokens wait as ids in the engine's
  // stream, which has room for all that the request may generate.
  std::size_t stream_buffer_bytes_max = std::size_t{1} << 20;
};

// What all sessions share; outlives them.
struct SessionContext {
  ModelRegistry& registry;
  AnswerHub& hub;
  std::atomic<std::size_t> stream_buffer_bytes_max;  // as in SessionLimits
};

// What makes an end no answer; nothing when it is one.
std::optional<Error> failure_of(const Finish& finish);
// What a client is told whose request the engine did not take.
ApiError submission_error(const Error& error, const SessionContext& context,
                          const std::string& model, ClassId service_class);

// Begun on the host pool, pumped on the hub's thread, cancelled from any. Shared by the hub, and by
// the callbacks that tell it of its client.
//
//   host pool     start(): ids ─► requests ─► submit
//   hub           pump():  tokens ─► events ─► bytes, whenever the engine or the socket has news
//   io thread     cancel(): the client has gone
class GenerationSession final : public AnswerTask,
                                public std::enable_shared_from_this<GenerationSession> {
 public:
  GenerationSession(SessionContext& context, ServiceReplyRef reply, GenerationRequest request,
                    std::shared_ptr<const ModelService> model, AnswerIdentity identity);

  // Submits everything, or answers with what is wrong. One request of the engine for each prompt.
  void start(std::vector<Request> requests, const std::vector<PreparedPrompt>& prompts);
  bool pump() override;
  void cancel();

 private:
  struct Choice {
    TokenStream stream;
    AnswerText text;
    std::string echo = {};              // what the answer's text begins with
    std::vector<TokenId> prompt = {};   // of a prompt that is scored
    bool has_begun = false;             // what is said of the prompt was written
    std::optional<Finish> finish = {};  // as the engine says it; its ChoiceFinished was written
    std::size_t num_taken = 0;
  };

  Status submit(std::vector<Request> requests, const std::vector<PreparedPrompt>& prompts);
  Result<Choice> make_choice(TokenStream stream, std::size_t index,
                             const PreparedPrompt& prompt) const;
  void begin_answer();
  void begin_choice(std::size_t index);
  std::vector<TokenLogprobs> scored_prompt(const Choice& choice) const;
  void pump_choice(Choice& choice);
  bool fail_choice(const Error& error);
  void write_events();
  void finish();
  Usage usage() const;
  void give_up();
  void record_usage(const Usage& total);

  SessionContext& context_;
  const ServiceReplyRef reply_;  // shared with the steps that led here
  const GenerationRequest request_;
  const std::shared_ptr<const ModelService> model_;  // shared with the directory
  const std::uint64_t watch_;
  const std::unique_ptr<AnswerWriter> writer_;

  std::mutex mutex_;  // Guards choices_ until all is submitted; then their number stays.
  std::vector<Choice> choices_;
  std::size_t num_prompt_ = 0;  // tokens of all prompts; before the hub has it

  bool has_begun_ = false;  // The hub's thread, like what follows.
  std::vector<AnswerEvent> events_;
  std::string out_;
};

}  // namespace millrace
