// What a client asked to have generated, whatever the dialect that it asked in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/token_id.h"
#include "constrain/constraint_spec.h"
#include "engine/sampling_params.h"
#include "text/chat_template.h"

namespace millrace {

// Whose words a request is in and its answer must be in.
enum class ApiDialect : std::uint8_t {
  kChat,         // POST /v1/chat/completions (OpenAI)
  kCompletions,  // POST /v1/completions (OpenAI)
  kResponses,    // POST /v1/responses (OpenAI), stateless
  kMessages,     // POST /v1/messages (Anthropic)
};

// A conversation for the model's chat template. Messages and tools are in OpenAI's chat form in
// every dialect, checked: roles system, user, assistant and tool ("developer" became "system"),
// content a string or null, tool_calls with ids, names and arguments.
struct ChatPrompt {
  OrderedJson messages = OrderedJson::array();
  OrderedJson tools = nullptr;      // [{"type": "function", "function": {…}}] or null
  OrderedJson documents = nullptr;  // an array of objects or null
  OrderedJson arguments = OrderedJson::object();  // chat_template_kwargs
  GenerationPrompt generation_prompt = GenerationPrompt::kOn;
  // The last message is the beginning of the answer: the prompt ends inside of it.
  bool continues_final_message = false;
};

// Texts or ids, each a prompt of its own with num_choices answers. At least one; none is empty ids.
using TextPrompts = std::vector<std::string>;
using TokenPrompts = std::vector<std::vector<TokenId>>;

// What the text of an answer must look like, as the client said it; output/constraint_choice.h
// turns it and the tool choice into a ConstraintSpec.
struct ResponseFormat {
  enum class Kind : std::uint8_t {
    kText,        // anything
    kJsonObject,  // any JSON object
    kJsonSchema,  // `schema`
    kRegex,       // `pattern`
    kGrammar,     // `pattern` is a GBNF grammar
    kChoice,      // one of `choices`
  };
  Kind kind = Kind::kText;
  OrderedJson schema = nullptr;
  std::string pattern = {};
  std::vector<std::string> choices = {};
  JsonStyle style = {};                                 // of kJsonObject and kJsonSchema
  AtTokenLimit at_token_limit = AtTokenLimit::kFinish;  // of all but kText
};

struct ToolChoice {
  enum class Mode : std::uint8_t {
    kNone,      // tools are not called; the prompt does not show them
    kAuto,      // the model decides
    kRequired,  // at least one call of one of `names`
  };
  Mode mode = Mode::kNone;
  // Tools that may be called; empty: all of them. A named choice is kRequired with one name.
  std::vector<std::string> names = {};
};

// Where what the model thinks before it answers goes.
enum class ReasoningOutput : std::uint8_t {
  kSeparate,   // in a field of its own
  kOmitted,    // nowhere; it still counts as output
  kInContent,  // left in the content as the model wrote it, tags included
};

// Immutable once parsed. Everything that can be checked without the model has been: ranges, counts,
// lengths, fields that exclude each other. Ids against the vocabulary, the model's and the class's
// names and lengths against the context are the service's and the engine's to check.
struct GenerationRequest {
  ApiDialect dialect = ApiDialect::kChat;
  std::string model;  // as the client wrote it; empty: the only one
  std::variant<ChatPrompt, TextPrompts, TokenPrompts> prompt;

  SamplingParams sampling;
  std::size_t num_choices = 1;  // per prompt; 1 to kChoicesMax
  // Tokens to generate at most; absent: as many as fit.
  std::optional<std::size_t> max_tokens;
  std::size_t min_tokens = 0;
  // Within StopMatcher's limits.
  std::vector<std::string> stops;
  std::vector<TokenId> stop_ids;
  bool ignores_eos = false;          // go on after the model's own ends of text
  bool shows_stop = false;           // include_stop_str_in_output
  bool skips_special_tokens = true;  // in the text of the answer
  bool adds_special_tokens = true;   // in front of text prompts (bos); never for chats
  bool echoes_prompt = false;        // completions: the answer's text begins with the prompt
  // How likely each token of the prompt was, with so many alternatives; absent: nobody asks. They
  // go with the prompt that is echoed, or into a field of their own.
  std::optional<std::uint32_t> prompt_logprobs;
  bool shows_prompt_logprobs = false;  // in a field of their own
  bool generates = true;  // else max_tokens was 0, here it is 1: what comes is thrown away
  std::optional<std::size_t> truncate_prompt_tokens;  // keep so many tokens at the prompt's end
  bool truncates_prompt = false;  // keep as many tokens at the prompt's end as fit

  ResponseFormat format;
  ToolChoice tool_choice;
  bool calls_in_parallel = true;  // parallel_tool_calls: more than one call in an answer
  ReasoningOutput reasoning = ReasoningOutput::kSeparate;

  bool is_stream = false;
  bool includes_usage = false;  // stream_options.include_usage; other dialects always show it

  std::optional<std::string> class_name;  // `priority`: the service class, by name
  std::optional<std::string> cache_salt;  // shares its prefixes with requests of this salt only
  std::optional<Duration> timeout;        // from the request's arrival
  std::string user;                       // for the access log only
  OrderedJson metadata = nullptr;         // echoed by dialects that echo it
};

}  // namespace millrace
