// From the bytes of a request's body to a request, strictly: what would change the answer and is
// not understood is refused by name.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "engine/request.h"
#include "serve/api/generation_request.h"
#include "serve/api/text_request.h"

namespace millrace {

// What one request may ask for at most, whatever the model. Bytes of the body are HTTP's to limit.
struct ApiLimits {
  std::size_t json_depth_max = 48;  // Schemas of tools nest; OpenAI's own limit for them is 10.
  std::size_t choices_max = kChoicesMax;
  std::size_t prompts_max = 2048;     // OpenAI's limit for arrays of embeddings' inputs.
  std::size_t answers_max = 1024;     // prompts times n
  std::size_t messages_max = 16384;   // A conversation of a million tokens has fewer.
  std::size_t tools_max = 512;        // OpenAI allows 128; agents have been seen with more.
  std::size_t stop_strings_max = 64;  // no more than StopMatcher takes
  std::size_t schema_bytes_max = std::size_t{1} << 20;  // of one schema, pattern or grammar
  std::size_t max_tokens_max = std::size_t{1} << 30;    // above every context
  std::chrono::seconds timeout_max = std::chrono::hours(24);
};

struct ParseOptions {
  ApiLimits limits;
  // What holds where the request says nothing, for instance from a model's generation_config.json.
  SamplingParams sampling;
};

// kInvalidArgument for what is no JSON object, kTooLarge over a limit. Never throws.
Result<OrderedJson> parse_body(std::string_view body, const ApiLimits& limits = {});

// The body's "model" where it is a string, else nothing: to choose ParseOptions by.
std::string requested_model(const OrderedJson& body);

// Messages name the field, what was found and what is allowed: kInvalidArgument or kTooLarge, and
// kUnsupported for a field that we know and do not have.
Result<GenerationRequest> parse_generation(ApiDialect dialect, const OrderedJson& body,
                                           const ParseOptions& options = {});
Result<EmbeddingRequest> parse_embedding(const OrderedJson& body, const ApiLimits& limits = {});
Result<TokenizeRequest> parse_tokenize(const OrderedJson& body, const ApiLimits& limits = {});
Result<DetokenizeRequest> parse_detokenize(const OrderedJson& body, const ApiLimits& limits = {});

}  // namespace millrace
