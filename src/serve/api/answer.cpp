// Which writer a request's answer needs, and whole answers.
#include "serve/api/answer.h"

#include <utility>

#include "base/check.h"
#include "serve/api/answer_json.h"
#include "serve/api/answer_writers.h"

namespace millrace {
namespace {

// Collects every choice; one body at the end.
class WholeAnswerWriter final : public AnswerWriter {
 public:
  WholeAnswerWriter(AnswerSettings settings, AnswerBody body)
      : settings_(std::move(settings)), body_(body), choices_(settings_.num_choices) {}

  void begin(std::string&) override {}
  void write(const AnswerEvent& event, std::string&) override {
    CHECK(event.choice < choices_.size());
    choices_[event.choice].add(event);
  }
  void finish(const Usage& usage, std::string& out) override {
    out += dump_json(body_(settings_, choices_, usage));
  }
  // Never called: nothing was sent, so the error is a reply of its own.
  void fail(const ApiError&, std::string&) override { CHECK(false); }

 private:
  AnswerSettings settings_;
  AnswerBody body_;
  std::vector<AnswerPieces> choices_;
};

std::size_t num_prompts(const GenerationRequest& request) {
  if (const auto* texts = std::get_if<TextPrompts>(&request.prompt)) return texts->size();
  if (const auto* ids = std::get_if<TokenPrompts>(&request.prompt)) return ids->size();
  return 1;
}

AnswerBody body_of(ApiDialect dialect) {
  switch (dialect) {
    case ApiDialect::kChat:
      return chat_body;
    case ApiDialect::kCompletions:
      return completions_body;
    case ApiDialect::kResponses:
      return responses_body;
    case ApiDialect::kMessages:
      return anthropic_body;
  }
  CHECK(false);  // Every enumerator is named above.
  return nullptr;
}

}  // namespace

const char* answer_content_type(const GenerationRequest& request) {
  return request.is_stream ? "text/event-stream" : "application/json";
}

std::unique_ptr<AnswerWriter> make_answer_writer(const GenerationRequest& request,
                                                 AnswerIdentity identity) {
  AnswerSettings settings{.dialect = request.dialect,
                          .num_choices = num_prompts(request) * request.num_choices,
                          .includes_usage = request.includes_usage,
                          .has_logprobs = request.sampling.top_logprobs.has_value(),
                          .has_prompt_logprobs = request.shows_prompt_logprobs,
                          .identity = std::move(identity),
                          .echoed = OrderedJson::object()};
  if (request.dialect == ApiDialect::kResponses) settings.echoed = responses_echo(request);
  if (!request.is_stream) {
    return std::make_unique<WholeAnswerWriter>(std::move(settings), body_of(request.dialect));
  }
  switch (request.dialect) {
    case ApiDialect::kChat:
      return make_chat_stream(std::move(settings));
    case ApiDialect::kCompletions:
      return make_completions_stream(std::move(settings));
    case ApiDialect::kResponses:
      return make_responses_stream(std::move(settings));
    case ApiDialect::kMessages:
      return make_anthropic_stream(std::move(settings));
  }
  CHECK(false);  // Every enumerator is named above.
  return nullptr;
}

}  // namespace millrace
