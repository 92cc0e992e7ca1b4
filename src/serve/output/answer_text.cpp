// The stages of an answer's text, one after the other.
#include "serve/output/answer_text.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

AnswerEnd end_of(FinishReason reason) {
  switch (reason) {
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
  CHECK(false);  // Every enumerator is named above.
  return AnswerEnd::kCancelled;
}

std::optional<ReasoningTags> split_tags(const AnswerTextOptions& options) {
  if (options.reasoning_output == ReasoningOutput::kInContent) return std::nullopt;
  return options.reasoning;
}

std::vector<TextHook> redactions(const std::vector<TextHook>& hooks) {
  std::vector<TextHook> found;
  std::copy_if(hooks.begin(), hooks.end(), std::back_inserter(found),
               [](const TextHook& hook) { return hook.kind == TextHook::Kind::kRedact; });
  return found;
}

std::vector<TokenId> mark_tokens(const Tokenizer& tokenizer, const AnswerTextOptions& options) {
  std::vector<std::string_view> marks =
      options.has_channels ? channel_marks() : tool_marks(options.tools_format);
  if (options.reasoning) {
    const std::string_view open_token = options.reasoning->open_token;
    marks.push_back(open_token.empty() ? options.reasoning->open : open_token);
    marks.push_back(options.reasoning->close);
  }
  std::vector<TokenId> tokens;
  for (const std::string_view mark : marks) {
    if (const std::optional<TokenId> token = tokenizer.find_token(mark)) tokens.push_back(*token);
  }
  return tokens;
}

}  // namespace

AnswerTextOptions answer_text_options(const GenerationRequest& request, const AnswerFormat& format,
                                      std::string_view prompt) {
  AnswerTextOptions options;
  options.stops = request.stops;
  options.stop_ids = request.stop_ids;
  options.shows_stop = request.shows_stop;
  options.skips_special_tokens = request.skips_special_tokens;
  options.calls_in_parallel = request.calls_in_parallel;
  options.reasoning_output = request.reasoning;
  const auto* chat = std::get_if<ChatPrompt>(&request.prompt);
  if (chat == nullptr) return options;  // Plain completions are given as they come.
  options.reasoning = format.reasoning;
  options.has_channels = format.has_channels;
  if (format.reasoning) {
    options.reasoning_start = chat->continues_final_message
                                  ? ReasoningStart::kOver
                                  : reasoning_start(*format.reasoning, prompt);
  }
  if (request.tool_choice.mode != ToolChoice::Mode::kNone) {
    options.tools_format = format.tools;
    options.tools = chat->tools;
  }
  return options;
}

Result<AnswerText> AnswerText::create(Tokenizer tokenizer, AnswerTextOptions options) {
  StopMatcher stops = TRY(StopMatcher::create(options.stops));
  return AnswerText(std::move(tokenizer), std::move(stops), std::move(options));
}

AnswerText::AnswerText(Tokenizer tokenizer, StopMatcher stops, AnswerTextOptions options)
    : tokenizer_(std::move(tokenizer)),
      options_(std::move(options)),
      shown_specials_(mark_tokens(tokenizer_, options_)),
      // Special tokens are left out here, because some of them are marks.
      detokenizer_(tokenizer_, {.skip_special = SkipSpecial::kNo, .position = options_.position}),
      stops_(std::move(stops)),
      splitter_(split_tags(options_), options_.reasoning_start),
      parser_(
          {.format = options_.tools_format, .tools = options_.tools, .id_seed = options_.id_seed}),
      content_hooks_(options_.hooks),
      reasoning_hooks_(redactions(options_.hooks)) {
  if (options_.has_channels) {
    channels_.emplace(ChannelParserOptions{.tools = options_.tools, .id_seed = options_.id_seed});
  }
}

void AnswerText::push(const GeneratedToken& token, std::vector<AnswerEvent>& events) {
  if (has_ended()) return;
  note_logprobs(token);
  if (channels_ ? channels_->is_inside() : splitter_.is_inside()) ++num_reasoning_tokens_;
  if (is_hidden(token.token)) return;
  take_text(detokenizer_.push(token.token), events);
}

bool AnswerText::is_hidden(TokenId token) const {
  if (!options_.skips_special_tokens || !tokenizer_.is_special(token)) return false;
  return std::find(shown_specials_.begin(), shown_specials_.end(), token) == shown_specials_.end();
}

void AnswerText::note_logprobs(const GeneratedToken& token) {
  if (!token.logprob) return;
  const auto chance = [&](TokenId id, float logprob) {
    return TokenChance{id, std::string(tokenizer_.piece(id)), logprob};
  };
  TokenLogprobs& noted = logprobs_.emplace_back();
  noted.token = chance(token.token, *token.logprob);
  for (const TokenLogprob& top : token.top) noted.top.push_back(chance(top.token, top.logprob));
}

void AnswerText::take_text(std::string_view text, std::vector<AnswerEvent>& events) {
  StopMatcher::Output output = stops_.push(text);
  if (output.stop && options_.shows_stop) output.text += options_.stops[*output.stop];
  take_plain(output.text, events);
  if (!output.stop || has_ended()) return;
  flush_text(events);
  logprobs_.clear();  // Tokens of the stop string are no part of the answer.
  end_ = {.end = AnswerEnd::kStopString, .stop_string = options_.stops[*output.stop]};
}

void AnswerText::take_plain(std::string_view text, std::vector<AnswerEvent>& events) {
  if (!channels_) return take_split(splitter_.push(text), events);
  ToolCallParser::Output parts;
  channels_->push(text, parts);
  take_parts(std::move(parts), events);
}

void AnswerText::take_split(ReasoningSplitter::Output output, std::vector<AnswerEvent>& events) {
  if (!output.reasoning.empty()) {
    emit_reasoning(reasoning_hooks_.push(std::move(output.reasoning)), events);
  }
  if (output.content.empty()) return;
  emit_reasoning(reasoning_hooks_.flush(), events);
  ToolCallParser::Output parts;
  parser_.push(output.content, parts);
  take_parts(std::move(parts), events);
}

void AnswerText::take_parts(ToolCallParser::Output parts, std::vector<AnswerEvent>& events) {
  for (AnswerEventKind& part : parts) {
    if (has_ended()) return;
    if (channels_ && !std::holds_alternative<ReasoningDelta>(part)) {
      emit_reasoning(reasoning_hooks_.flush(), events);
    }
    if (auto* content = std::get_if<ContentDelta>(&part)) {
      emit_content(content_hooks_.push(std::move(content->text)), events);
      continue;
    }
    if (auto* thought = std::get_if<ReasoningDelta>(&part)) {
      if (options_.reasoning_output == ReasoningOutput::kInContent) {
        emit_content(content_hooks_.push(std::move(thought->text)), events);
      } else {
        emit_content(content_hooks_.flush(), events);
        emit_reasoning(reasoning_hooks_.push(std::move(thought->text)), events);
      }
      continue;
    }
    if (std::holds_alternative<ToolCallBegin>(part)) emit_content(content_hooks_.flush(), events);
    const bool is_end = std::holds_alternative<ToolCallEnd>(part);
    events.push_back({options_.choice, std::move(part)});
    if (is_end && !options_.calls_in_parallel && !is_flushing_) {
      end_ = {.end = AnswerEnd::kToolCalls};
    }
  }
}

void AnswerText::flush_text(std::vector<AnswerEvent>& events) {
  take_split(splitter_.flush(), events);
  emit_reasoning(reasoning_hooks_.flush(), events);
  ToolCallParser::Output parts;
  if (channels_) channels_->flush(parts);
  parser_.flush(parts);
  is_flushing_ = true;  // A call that ends now was cut short.
  take_parts(std::move(parts), events);
  emit_reasoning(reasoning_hooks_.flush(), events);
  emit_content(content_hooks_.flush(), events);
}

void AnswerText::finish(const Finish& finish, std::vector<AnswerEvent>& events) {
  if (!has_ended()) {
    const auto& ids = options_.stop_ids;
    const bool is_own_stop =
        finish.stop_token && std::find(ids.begin(), ids.end(), *finish.stop_token) != ids.end();
    if (is_own_stop && options_.shows_stop)
      take_text(detokenizer_.push(*finish.stop_token), events);
    if (!has_ended()) take_text(detokenizer_.flush(), events);
    if (!has_ended()) take_plain(stops_.flush(), events);
    if (!has_ended()) flush_text(events);
    if (!has_ended()) {
      end_ = ChoiceFinished{.end = end_of(finish.reason)};
      if (is_own_stop) end_->stop_token = finish.stop_token;
      const std::size_t num_calls = channels_ ? channels_->num_calls() : parser_.num_calls();
      if (end_->end == AnswerEnd::kStop && num_calls > 0) {
        end_->end = AnswerEnd::kToolCalls;
      }
    }
  }
  if (!logprobs_.empty()) {
    events.push_back({options_.choice, ContentDelta{.logprobs = std::exchange(logprobs_, {})}});
  }
  events.push_back({options_.choice, *end_});
}

void AnswerText::emit_content(std::string text, std::vector<AnswerEvent>& events) {
  if (text.empty()) return;
  events.push_back({options_.choice, ContentDelta{.text = std::move(text),
                                                  .logprobs = std::exchange(logprobs_, {})}});
}

void AnswerText::emit_reasoning(std::string text, std::vector<AnswerEvent>& events) {
  if (text.empty()) return;
  std::vector<TokenLogprobs> logprobs = std::exchange(logprobs_, {});
  if (options_.reasoning_output == ReasoningOutput::kOmitted) return;
  events.push_back(
      {options_.choice, ReasoningDelta{.text = std::move(text), .logprobs = std::move(logprobs)}});
}

}  // namespace millrace
