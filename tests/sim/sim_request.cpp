// Clients that read, dawdle, cancel and vanish, and the judgement of what they got.
#include "sim/sim_request.h"

#include <algorithm>

#include "base/check.h"
#include "sim/truth_runner.h"

namespace millrace {

SoloRun solo_run(const Request& request, const SimTruth& truth) {
  SoloRun run;
  for (std::size_t i = 0; i < *request.max_tokens; ++i) {
    const std::size_t position = request.prompt.size() + i;
    run.is_poisoned = truth.has_poison && is_poison_position(truth.seed, request.id, position);
    if (run.is_poisoned || is_bad_position(truth.seed, request.id, position)) {
      run.reason = FinishReason::kError;
      return run;
    }
    const TokenId token = true_token(truth.seed, request.id, position, truth.vocabulary);
    if (std::count(request.stop_ids.begin(), request.stop_ids.end(), token) > 0) {
      run.reason = FinishReason::kStop;
      return run;
    }
    run.tokens.push_back(token);
  }
  return run;
}

bool SimClient::take() {
  const std::optional<GeneratedToken> token = stream->try_pop();
  if (!token) return false;
  const std::size_t position = request.prompt.size() + tokens.size();
  CHECK(token->logprob.has_value() == request.sampling.top_logprobs.has_value());
  CHECK(!token->logprob || *token->logprob == -static_cast<float>(position));
  CHECK(token->top.size() == request.sampling.top_logprobs.value_or(0));
  for (std::size_t i = 0; i < token->top.size(); ++i) {
    CHECK(token->top[i].token == i);
    CHECK(token->top[i].logprob == -static_cast<float>(position + i));
  }
  tokens.push_back(token->token);
  return true;
}

void SimClient::behave(std::uint64_t step, Random& random) {
  if (!stream) {
    is_live = false;  // It was dropped before this step, whose beginning retired it.
    return;
  }
  if (habit == ClientHabit::kSlow) {
    if (random.chance(0.2)) take();
  } else {
    while (take()) {
    }
  }
  if (stream->has_ended()) is_live = false;
  if (step != leaves_at_step) return;
  if (habit == ClientHabit::kCancels) stream->cancel();
  if (habit == ClientHabit::kDrops) stream.reset();
}

std::string SimClient::verdict() const {
  CHECK(stream.has_value());
  const std::string who = "request " + std::to_string(request.id.value) + " ";
  const std::optional<Finish> finish = stream->finished();
  if (!finish) return who + "never ended";
  const auto is_prefix = tokens.size() <= solo.tokens.size() &&
                         std::equal(tokens.begin(), tokens.end(), solo.tokens.begin());
  if (!is_prefix) return who + "got other tokens than alone";
  if (finish->num_prompt != request.prompt.size()) return who + "lost count of its prompt";
  const std::size_t num_stops = finish->stop_token ? 1 : 0;
  if (finish->num_generated != tokens.size() + num_stops) return who + "lost count of its tokens";
  const bool ends_itself =
      finish->reason == FinishReason::kStop || finish->reason == FinishReason::kLength;
  if (ends_itself && finish->reason != solo.reason) return who + "ended for another reason";
  if (ends_itself && tokens.size() != solo.tokens.size()) return who + "got too few tokens";
  if (finish->error.has_value() != (finish->reason == FinishReason::kError)) {
    return who + "has an error without reason or the reverse";
  }
  if (finish->reason == FinishReason::kCancelled && habit != ClientHabit::kCancels) {
    return who + "was cancelled by nobody";
  }
  if (finish->reason == FinishReason::kDeadline && !request.deadline) {
    return who + "met a deadline that it does not have";
  }
  return "";
}

}  // namespace millrace
