// An answer on its way to a client: events as plain data, and the writer that puts them in a
// dialect's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/token_id.h"
#include "serve/api/api_error.h"
#include "serve/api/generation_request.h"

namespace millrace {

// A token with its probability. The bytes may be part of a character.
struct TokenChance {
  TokenId id = 0;
  std::string bytes;
  float logprob = 0;
};

struct TokenLogprobs {
  TokenChance token;
  std::vector<TokenChance> top;  // likeliest first; as many as were asked for
  // Of a prompt's tokens: 1 when none was likelier.
  std::uint32_t rank = 0;
  bool has_chance = true;  // the first token of a prompt has none
  bool is_in_text = true;  // not of a prompt that has it and does not show it
};

// What may happen to one choice. The order is: deltas and calls in any order, at last one
// ChoiceFinished. A call's events are not interleaved with another's.
struct ContentDelta {
  std::string text = {};  // whole characters; may be empty with logprobs
  // Of the tokens that came since the last event, when the request asked for them.
  std::vector<TokenLogprobs> logprobs = {};
};
struct ReasoningDelta {
  std::string text = {};
  std::vector<TokenLogprobs> logprobs = {};
};
struct ToolCallBegin {
  std::size_t call = 0;  // counts from 0 within the choice
  std::string id = {};
  std::string name = {};
};
struct ToolCallDelta {
  std::size_t call = 0;
  std::string arguments = {};  // the next bytes of the arguments' JSON; whole characters
};
struct ToolCallEnd {
  std::size_t call = 0;
};

// Why a choice ended, in no dialect's words.
enum class AnswerEnd : std::uint8_t {
  kStop,        // the model's end of text, or a stop token
  kStopString,  // a stop string of the request
  kLength,      // max_tokens, or the context was full
  kToolCalls,   // the model called tools and waits for their results
  kDeadline,    // the request's time was up; what there is was sent
  kCancelled,   // the server is shutting down, or the client has gone
};
// Before everything else of a choice: its prompt, token by token, when the request asked for it.
struct PromptScored {
  std::vector<TokenLogprobs> tokens = {};
};
struct ChoiceFinished {
  AnswerEnd end = AnswerEnd::kStop;
  std::optional<std::string> stop_string = {};  // with kStopString
  std::optional<TokenId> stop_token = {};       // with kStop, when it was one of the request's own
};

// `choice` counts from 0: number of the prompt times num_choices, plus the choice of that prompt.
using AnswerEventKind = std::variant<ContentDelta, ReasoningDelta, ToolCallBegin, ToolCallDelta,
                                     ToolCallEnd, ChoiceFinished, PromptScored>;
struct AnswerEvent {
  std::size_t choice = 0;
  AnswerEventKind what;
};

// Of a whole request. A prompt counts once, however many choices it has.
struct Usage {
  std::size_t num_prompt = 0;
  std::size_t num_cached = 0;      // of num_prompt
  std::size_t num_completion = 0;  // all choices together; stop tokens count
  std::size_t num_reasoning = 0;   // of num_completion
};

// What an answer is called. The service makes the number (unique in this process and, by its seed,
// most likely in the world) and reads the clock.
struct AnswerIdentity {
  std::string id;                 // letters and digits, without a dialect's prefix
  std::int64_t unix_seconds = 0;  // when the request came
  std::string model;              // as the server calls it
  std::string fingerprint = {};   // of what equal seeds give equal answers with; empty: none
  std::size_t num_prompt = 0;     // tokens; Anthropic's dialect says it at the beginning
};

// One answer; one thread at a time. Every function appends to `out` what is to be sent now: frames
// of a stream of server-sent events (with their "data:" and blank lines), or nothing until finish()
// gives the whole JSON body.
//
//   begin → write* → finish     or at any place after begin, for streams only:  … → fail
//
// An error before anything was sent, and every error of an answer that is no stream, is sent as a
// reply of its own (ApiError has status and body); nothing more is called then.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  virtual void begin(std::string& out) = 0;
  virtual void write(const AnswerEvent& event, std::string& out) = 0;
  // After every choice has its ChoiceFinished.
  virtual void finish(const Usage& usage, std::string& out) = 0;
  // Ends a stream with the dialect's error frame.
  virtual void fail(const ApiError& error, std::string& out) = 0;
};

// "text/event-stream" or "application/json".
const char* answer_content_type(const GenerationRequest& request);

// The writer for the request's dialect, streamed or whole. Keeps nothing of the request's memory.
std::unique_ptr<AnswerWriter> make_answer_writer(const GenerationRequest& request,
                                                 AnswerIdentity identity);

}  // namespace millrace
