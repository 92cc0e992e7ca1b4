// One choice's tokens to the events of its answer: detokenised, watched for stop strings.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/token_stream.h"
#include "serve/api/answer.h"
#include "serve/api/generation_request.h"
#include "serve/service/model_service.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"

namespace millrace {

// One thread at a time. Events are appended to `events`.
class ChoiceText {
 public:
  ChoiceText(std::size_t choice, const GenerationRequest& request, const ModelService& model,
             std::optional<StopMatcher> matcher);

  // True when a stop string has ended the text.
  bool push(const GeneratedToken& token, std::vector<AnswerEvent>& events);
  // The stream has ended; nothing comes after this.
  void finish(const Finish& finish, std::vector<AnswerEvent>& events);

 private:
  bool add_text(std::string text, std::vector<AnswerEvent>& events);
  TokenLogprobs logprobs_of(const GeneratedToken& token) const;

  const std::size_t choice_;
  const Tokenizer tokenizer_;
  const std::vector<std::string> stops_;
  const std::vector<TokenId> stop_ids_;
  const bool has_logprobs_;
  const bool shows_stop_;
  Detokenizer detokenizer_;
  std::optional<StopMatcher> matcher_;
  std::vector<TokenLogprobs> logprobs_;  // of tokens whose text has not come yet
};

}  // namespace millrace
