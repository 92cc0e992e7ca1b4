// Tokens to deltas.
#include "serve/service/choice_text.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

StreamPosition position_of(const GenerationRequest& request) {
  return std::holds_alternative<ChatPrompt>(request.prompt) ? StreamPosition::kStart
                                                            : StreamPosition::kContinuation;
}

AnswerEnd end_of(const Finish& finish) {
  switch (finish.reason) {
    case FinishReason::kStop:
      return AnswerEnd::kStop;
    case FinishReason::kLength:
      return AnswerEnd::kLength;
    case FinishReason::kDeadline:
      return AnswerEnd::kDeadline;
    case FinishReason::kCancelled:
    case FinishReason::kError:
      return AnswerEnd::kCancelled;
  }
  return AnswerEnd::kCancelled;
}

}  // namespace

ChoiceText::ChoiceText(std::size_t choice, const GenerationRequest& request,
                       const ModelService& model, std::optional<StopMatcher> matcher)
    : choice_(choice),
      tokenizer_(model.tokenizer()),
      stops_(request.stops),
      stop_ids_(request.stop_ids),
      has_logprobs_(request.sampling.top_logprobs.has_value()),
      shows_stop_(request.shows_stop),
      detokenizer_(
          model.tokenizer(),
          {.skip_special = request.skips_special_tokens ? SkipSpecial::kYes : SkipSpecial::kNo,
           .position = position_of(request)}),
      matcher_(std::move(matcher)) {}

bool ChoiceText::push(const GeneratedToken& token, std::vector<AnswerEvent>& events) {
  if (has_logprobs_) logprobs_.push_back(logprobs_of(token));
  return add_text(detokenizer_.push(token.token), events);
}

bool ChoiceText::add_text(std::string text, std::vector<AnswerEvent>& events) {
  std::optional<std::size_t> stop;
  if (matcher_) {
    StopMatcher::Output output = matcher_->push(text);
    text = std::move(output.text);
    stop = output.stop;
    if (stop && shows_stop_) text += stops_[*stop];
  }
  if (!text.empty() || (has_logprobs_ && !logprobs_.empty() && stop)) {
    events.push_back(
        {choice_, ContentDelta{.text = std::move(text), .logprobs = std::exchange(logprobs_, {})}});
  }
  if (!stop) return false;
  events.push_back({choice_, ChoiceFinished{.end = AnswerEnd::kStopString,
                                            .stop_string = stops_[*stop],
                                            .stop_token = std::nullopt}});
  return true;
}

void ChoiceText::finish(const Finish& finish, std::vector<AnswerEvent>& events) {
  if (add_text(detokenizer_.flush(), events)) return;
  std::string rest = matcher_ ? matcher_->flush() : "";
  if (!rest.empty() || !logprobs_.empty()) {
    events.push_back(
        {choice_, ContentDelta{.text = std::move(rest), .logprobs = std::exchange(logprobs_, {})}});
  }
  ChoiceFinished finished{
      .end = end_of(finish), .stop_string = std::nullopt, .stop_token = std::nullopt};
  if (finish.stop_token && std::count(stop_ids_.begin(), stop_ids_.end(), *finish.stop_token) > 0) {
    finished.stop_token = finish.stop_token;
  }
  events.push_back({choice_, std::move(finished)});
}

TokenLogprobs ChoiceText::logprobs_of(const GeneratedToken& token) const {
  const auto chance = [&](TokenId id, float logprob) {
    return TokenChance{.id = id, .bytes = std::string(tokenizer_.piece(id)), .logprob = logprob};
  };
  TokenLogprobs logprobs;
  logprobs.token = chance(token.token, token.logprob.value_or(0.0f));
  for (const TokenLogprob& top : token.top) logprobs.top.push_back(chance(top.token, top.logprob));
  return logprobs;
}

}  // namespace millrace
