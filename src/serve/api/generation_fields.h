// The fields that all dialects share: how tokens are drawn, when to stop, who asks.
#pragma once

#include "base/result.h"
#include "serve/api/field_reader.h"
#include "serve/api/generation_request.h"
#include "serve/api/parse_request.h"

namespace millrace {

// temperature, top_p, top_k, min_p, penalties, logit_bias and seed on top of the defaults, within
// the engine's ranges.
Status read_sampling(const FieldReader& body, SamplingParams& sampling);

// n, stop ids, min_tokens, ignore_eos, truncation, stream, class, salt, timeout, user, metadata.
Status read_common(const FieldReader& body, const ApiLimits& limits, GenerationRequest& request);

// Of the field that holds stop strings.
Status read_stops(const FieldReader& body, const char* name, const ApiLimits& limits,
                  GenerationRequest& request);

// Of the first of these fields that is there.
Status read_max_tokens(const FieldReader& body, std::initializer_list<const char*> names,
                       const ApiLimits& limits, GenerationRequest& request);

// What embeddings share with the rest.
Result<std::optional<Duration>> read_timeout(const FieldReader& body, const ApiLimits& limits);
Result<std::optional<std::string>> read_class_name(const FieldReader& body);

// A string, an array of strings, an array of ids or an array of such arrays.
Result<std::variant<TextPrompts, TokenPrompts>> read_prompts(const FieldReader& body,
                                                             const char* name,
                                                             const ApiLimits& limits);

// Sets the template's variables for "reasoning_effort" and its like, where the client has not set
// them itself: reasoning_effort, and for "none" what turns thinking off.
void set_reasoning_effort(const std::string& effort, OrderedJson& arguments);
// "low", "medium" or "high" becomes the template's variable of that name.
Status set_verbosity(const FieldReader& reader, OrderedJson& arguments);
// "enable_thinking" (Qwen 3 and others) and "thinking" (DeepSeek).
enum class Thinking : std::uint8_t { kOff, kOn };
void set_thinking(Thinking thinking, OrderedJson& arguments);

}  // namespace millrace
