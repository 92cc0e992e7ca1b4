// Submitting, pumping and ending.
#include "serve/service/generation_session.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace millrace {
// A deadline that passed before anything was generated leaves nothing to answer with.
std::optional<Error> failure_of(const Finish& finish) {
  if (finish.error) return finish.error;
  if (finish.reason == FinishReason::kCancelled) {
    return Error{ErrorCode::kUnavailable, "the server is shutting down"};
  }
  if (finish.reason == FinishReason::kDeadline && finish.num_generated == 0) {
    return Error{ErrorCode::kDeadlineExceeded, "the request's time was up before its first token"};
  }
  return std::nullopt;
}

ApiError submission_error(const Error& error, const SessionContext& context,
                          const std::string& model, ClassId service_class) {
  ApiError told = api_error(error);
  if (error.code == ErrorCode::kResourceExhausted) {
    told.retry_after =
        std::chrono::ceil<std::chrono::seconds>(context.registry.retry_after(model, service_class));
  }
  // Counts are within the engine's limits by now: it is the prompt, and the cache it does not fit.
  if (error.code == ErrorCode::kTooLarge) return context_error(error.message, "");
  return told;
}

GenerationSession::GenerationSession(SessionContext& context, ServiceReplyRef reply,
                                     GenerationRequest request,
                                     std::shared_ptr<const ModelService> model,
                                     AnswerIdentity identity)
    : context_(context),
      reply_(std::move(reply)),
      request_(std::move(request)),
      model_(std::move(model)),
      watch_(context.hub.next_watch()),
      writer_(make_answer_writer(request_, std::move(identity))) {}

void GenerationSession::start(std::vector<Request> requests,
                              const std::vector<PreparedPrompt>& prompts) {
  const std::shared_ptr<GenerationSession> self = shared_from_this();
  const ClassId service_class = requests.front().service_class;
  for (const Request& request : requests) num_prompt_ += request.prompt.size();
  const Status status = submit(std::move(requests), prompts);
  if (!status.ok()) {
    return reply_->error(submission_error(status.error(), context_, model_->name(), service_class));
  }
  HttpExchange& exchange = reply_->exchange();
  exchange.on_drained(context_.stream_buffer_bytes_max / 2, [weak = weak_from_this()] {
    const auto session = weak.lock();
    if (session != nullptr) session->context_.hub.notify(session->watch_);
  });
  context_.hub.add(watch_, self);
  exchange.on_gone([weak = weak_from_this()] {
    const auto session = weak.lock();
    if (session != nullptr) session->cancel();
  });
}

// All or none: streams of a request that is refused are dropped, which cancels them.
Status GenerationSession::submit(std::vector<Request> requests,
                                 const std::vector<PreparedPrompt>& prompts) {
  std::vector<Choice> choices;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].watch = watch_;
    std::vector<TokenStream> streams =
        TRY(context_.registry.submit(model_->name(), std::move(requests[i]), request_.num_choices));
    for (TokenStream& stream : streams) {
      choices.push_back(TRY(make_choice(std::move(stream), choices.size(), prompts[i])));
    }
  }
  const std::lock_guard lock(mutex_);
  choices_ = std::move(choices);
  return Ok{};
}

Result<GenerationSession::Choice> GenerationSession::make_choice(
    TokenStream stream, std::size_t index, const PreparedPrompt& prompt) const {
  AnswerTextOptions options = answer_text_options(request_, model_->answer_format(), prompt.text);
  options.choice = index;
  options.id_seed = mix64(watch_) + index;
  options.hooks = model_->facts().hooks;
  const bool is_chat = std::holds_alternative<ChatPrompt>(request_.prompt);
  options.position = is_chat ? StreamPosition::kStart : StreamPosition::kContinuation;
  AnswerText text = TRY(AnswerText::create(model_->tokenizer(), std::move(options)));
  Choice choice{.stream = std::move(stream), .text = std::move(text)};
  if (request_.echoes_prompt) {
    choice.echo = prompt.text.empty() ? TRY(model_->tokenizer().decode(prompt.ids)) : prompt.text;
  }
  if (request_.prompt_logprobs) choice.prompt = prompt.ids;
  return choice;
}

void GenerationSession::cancel() {
  {
    const std::lock_guard lock(mutex_);
    for (Choice& choice : choices_) choice.stream.cancel();
  }
  context_.hub.notify(watch_);
}

bool GenerationSession::pump() {
  if (reply_->is_gone()) {
    give_up();
    return true;
  }
  const bool is_full = request_.is_stream &&
                       reply_->exchange().num_unsent_bytes() > context_.stream_buffer_bytes_max;
  if (is_full) return false;  // on_drained brings us back.
  for (Choice& choice : choices_) {
    pump_choice(choice);
    if (choice.finish && choice.finish->error) return fail_choice(*choice.finish->error);
  }
  write_events();
  const bool is_over = std::all_of(choices_.begin(), choices_.end(),
                                   [](const Choice& choice) { return choice.finish.has_value(); });
  if (is_over) finish();
  if (request_.is_stream && !out_.empty()) {
    reply_->write(out_);
    out_.clear();
  }
  if (is_over && request_.is_stream) reply_->end_stream();
  return is_over;
}

void GenerationSession::pump_choice(Choice& choice) {
  if (choice.finish) return;
  while (const std::optional<GeneratedToken> token = choice.stream.try_pop()) {
    // What came after a stop string, or is there because the engine has to generate something.
    if (choice.text.has_ended() || !request_.generates) continue;
    if (!reply_->record().first_token) reply_->note_first_token();
    ++choice.num_taken;
    choice.text.push(*token, events_);
    if (choice.text.has_ended()) choice.stream.cancel();
  }
  choice.finish = choice.stream.finished();
  if (!choice.finish) return;
  if (!choice.text.has_ended()) {
    choice.finish->error = failure_of(*choice.finish);
    if (choice.finish->error) return;
    choice.num_taken = request_.generates ? choice.finish->num_generated : 0;
  }
  choice.text.finish(*choice.finish, events_);
}

// A choice that failed fails the request: what the others have so far is no answer.
bool GenerationSession::fail_choice(const Error& error) {
  write_events();
  give_up();
  reply_->record().finish = finish_reason_name(FinishReason::kError);
  const ApiError told = api_error(error);
  if (!has_begun_ || !request_.is_stream) {
    reply_->error(told);
    return true;
  }
  writer_->fail(told, out_);
  reply_->record().error = told.message;
  reply_->write(out_);
  reply_->end_stream();
  return true;
}

// What was computed for nobody is still told, and charged to its key.
void GenerationSession::give_up() {
  cancel();
  Usage spent;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    while (choice.stream.try_pop()) ++choice.num_taken;
    spent.num_completion += choice.num_taken;
    const std::optional<std::size_t> num_cached = choice.stream.num_cached();
    if (num_cached) spent.num_prompt = num_prompt_;  // Some of it ran.
    if (i % request_.num_choices == 0) spent.num_cached += num_cached.value_or(0);
  }
  record_usage(spent);
  reply_->record().finish = finish_reason_name(FinishReason::kCancelled);
}

void GenerationSession::begin_answer() {
  has_begun_ = true;
  if (request_.is_stream) reply_->open_stream(answer_content_type(request_));
  writer_->begin(out_);
}

// What is known of the prompt is, once there is a token behind it.
void GenerationSession::begin_choice(std::size_t index) {
  Choice& choice = choices_[index];
  if (std::exchange(choice.has_begun, true)) return;
  std::vector<TokenLogprobs> prompt = scored_prompt(choice);
  if (request_.shows_prompt_logprobs) writer_->write({index, PromptScored{prompt}}, out_);
  if (!request_.echoes_prompt) return;
  if (!request_.sampling.top_logprobs) prompt.clear();
  if (choice.echo.empty() && prompt.empty()) return;
  writer_->write(
      {index, ContentDelta{.text = std::move(choice.echo), .logprobs = std::move(prompt)}}, out_);
}

std::vector<TokenLogprobs> GenerationSession::scored_prompt(const Choice& choice) const {
  const PromptScores* const scores = choice.stream.prompt_scores();
  std::vector<TokenLogprobs> tokens;
  if (scores == nullptr) return tokens;
  const Tokenizer& tokenizer = model_->tokenizer();
  const std::string_view text = choice.echo;
  bool is_in_front = true;  // nothing of the text has come yet
  for (std::size_t i = 0; i < choice.prompt.size(); ++i) {
    const TokenId id = choice.prompt[i];
    TokenLogprobs& token = tokens.emplace_back();
    token.token = {id, std::string(tokenizer.piece(id)), 0};
    // Tokens that the tokeniser adds, and the space that it puts before a text, are not in it.
    std::string& bytes = token.token.bytes;
    token.is_in_text = !is_in_front || !tokenizer.is_special(id) || text.starts_with(bytes);
    const bool is_first = token.is_in_text && std::exchange(is_in_front, false);
    if (is_first && bytes.starts_with(' ') && !text.starts_with(' ')) bytes.erase(0, 1);
    token.has_chance = i > 0;
    if (i == 0) continue;
    token.token.logprob = scores->logprobs[i - 1];
    token.rank = scores->ranks[i - 1];
    for (std::size_t k = 0; k < scores->num_top; ++k) {
      const TokenLogprob& top = scores->top[(i - 1) * scores->num_top + k];
      token.top.push_back({top.token, std::string(tokenizer.piece(top.token)), top.logprob});
    }
  }
  return tokens;
}

void GenerationSession::write_events() {
  if (events_.empty()) return;
  if (!has_begun_) begin_answer();
  for (const AnswerEvent& event : events_) {
    begin_choice(event.choice);
    writer_->write(event, out_);
  }
  events_.clear();
}

void GenerationSession::finish() {
  const Usage total = usage();
  writer_->finish(total, out_);
  record_usage(total);
  RequestRecord& record = reply_->record();
  record.queued = choices_.front().finish->waited;
  record.finish = std::string(finish_reason_name(choices_.front().finish->reason));
  if (!request_.is_stream) reply_->send({.body = std::move(out_)});
}

void GenerationSession::record_usage(const Usage& total) {
  RequestRecord& record = reply_->record();
  record.num_prompt_tokens = total.num_prompt;
  record.num_cached_tokens = total.num_cached;
  record.num_completion_tokens = total.num_completion;
  record.num_choices = choices_.size();
}

Usage GenerationSession::usage() const {
  Usage usage;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const Finish& finish = *choices_[i].finish;
    usage.num_completion += choices_[i].num_taken;
    usage.num_reasoning += choices_[i].text.num_reasoning_tokens();
    if (i % request_.num_choices != 0) continue;  // The prompt counts once.
    usage.num_prompt += finish.num_prompt;
    usage.num_cached += finish.num_cached;
  }
  return usage;
}

}  // namespace millrace
