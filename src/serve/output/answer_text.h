// One choice's tokens into what its client sees: text, thoughts, calls, and how it ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/finish.h"
#include "engine/token_stream.h"
#include "serve/api/answer.h"
#include "serve/api/generation_request.h"
#include "serve/output/answer_format.h"
#include "serve/output/channel_parser.h"
#include "serve/output/reasoning_splitter.h"
#include "serve/output/text_hooks.h"
#include "serve/output/tool_call_parser.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/tokenizer.h"

namespace millrace {

struct AnswerTextOptions {
  std::size_t choice = 0;  // of every event
  std::vector<std::string> stops;
  std::vector<TokenId> stop_ids;  // the request's own, to be named when one of them ends it
  bool shows_stop = false;
  bool skips_special_tokens = true;
  StreamPosition position = StreamPosition::kContinuation;
  std::optional<ReasoningTags> reasoning;  // absent: nothing is split off
  ReasoningStart reasoning_start = ReasoningStart::kUndecided;
  ReasoningOutput reasoning_output = ReasoningOutput::kSeparate;
  ToolFormat tools_format = ToolFormat::kNone;
  OrderedJson tools = nullptr;
  bool calls_in_parallel = true;  // else the first call ends the answer
  std::uint64_t id_seed = 0;      // another one for each choice of each request
  // Of content. Thoughts are redacted but neither trimmed nor tidied; calls are left alone.
  std::vector<TextHook> hooks;
  bool has_channels = false;  // of AnswerFormat
};

// What a request, its model's format and its prompt say; `choice`, `id_seed`, `hooks` and
// `position` are left for the caller to set. `prompt` is the text of the prompt or its end.
AnswerTextOptions answer_text_options(const GenerationRequest& request, const AnswerFormat& format,
                                      std::string_view prompt);

// Tokens → Detokenizer → StopMatcher → ReasoningSplitter → ToolCallParser → TextHooks → events.
// One choice; one thread at a time, not always the same. What has come out is never taken back.
class AnswerText {
 public:
  // kInvalidArgument for stop strings that StopMatcher refuses.
  static Result<AnswerText> create(Tokenizer tokenizer, AnswerTextOptions options);

  // Appends what the token completes, often nothing. After has_ended() nothing more.
  void push(const GeneratedToken& token, std::vector<AnswerEvent>& events);

  // Whether the text has come to its end before its tokens have: a stop string, or the only call.
  // The request is then to be cancelled, and finish() called.
  bool has_ended() const { return end_.has_value(); }

  // The stream's end: what was held back, and ChoiceFinished. For a request that failed the
  // writer's fail() is to be called instead.
  void finish(const Finish& finish, std::vector<AnswerEvent>& events);

  // Of the tokens pushed, those that were thought.
  std::size_t num_reasoning_tokens() const { return num_reasoning_tokens_; }

 private:
  AnswerText(Tokenizer tokenizer, StopMatcher stops, AnswerTextOptions options);

  bool is_hidden(TokenId token) const;
  void note_logprobs(const GeneratedToken& token);
  void take_text(std::string_view text, std::vector<AnswerEvent>& events);
  void take_plain(std::string_view text, std::vector<AnswerEvent>& events);
  void take_split(ReasoningSplitter::Output output, std::vector<AnswerEvent>& events);
  void take_parts(ToolCallParser::Output parts, std::vector<AnswerEvent>& events);
  void flush_text(std::vector<AnswerEvent>& events);
  void emit_content(std::string text, std::vector<AnswerEvent>& events);
  void emit_reasoning(std::string text, std::vector<AnswerEvent>& events);

  Tokenizer tokenizer_;
  AnswerTextOptions options_;
  std::vector<TokenId> shown_specials_;  // marks that the parsers need to see
  Detokenizer detokenizer_;
  StopMatcher stops_;
  ReasoningSplitter splitter_;
  ToolCallParser parser_;
  std::optional<ChannelParser> channels_;  // in place of the two
  TextHooks content_hooks_;
  TextHooks reasoning_hooks_;
  std::vector<TokenLogprobs> logprobs_;  // of tokens whose text has not come out yet
  std::size_t num_reasoning_tokens_ = 0;
  bool is_flushing_ = false;
  std::optional<ChoiceFinished> end_;
};

}  // namespace millrace
