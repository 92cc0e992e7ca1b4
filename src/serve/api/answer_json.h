// Parts of answers that several dialects share, as JSON and as frames.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "serve/api/answer.h"

namespace millrace {

// Invalid UTF-8 becomes U+FFFD; never throws.
std::string dump_json(const OrderedJson& value);

// A frame of server-sent events: "event: …" unless the name is empty, "data: …", an empty line.
void append_frame(std::string& out, std::string_view event, const OrderedJson& data);

// {"token", "logprob", "bytes", "top_logprobs"} of each, as chat and responses have them.
OrderedJson logprobs_json(const std::vector<TokenLogprobs>& logprobs);

// The text of a token that may be part of a character, as OpenAI's completions show it:
// "bytes:\xe2\x82" where it is no text.
std::string token_text(const std::string& bytes);

// JSON has no infinities.
// vLLM's form: null for the first token, then an object of the token's and its alternatives' ids.
OrderedJson prompt_logprobs_json(const std::vector<TokenLogprobs>& tokens);
double json_logprob(float logprob);

// OpenAI's "usage" of chats and completions.
OrderedJson usage_json(const Usage& usage);

}  // namespace millrace
