// A request against the limits of the model and the cache.
#include "engine/request.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/lora_adapter.h"

namespace millrace {
namespace {

Status check_tokens(const char* what, const std::vector<TokenId>& tokens, std::size_t vocabulary) {
  for (const TokenId token : tokens) {
    if (token >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   std::string(what) + " has token " + std::to_string(token) +
                       ", the vocabulary has " + std::to_string(vocabulary)};
    }
  }
  return Ok{};
}

// The first refusal that applies, or how many tokens may be generated.
Result<std::size_t> generated_tokens_max(const Request& request, const RequestLimits& limits) {
  const std::size_t num_prompt = request.prompt.size();
  const std::string prompt = "prompt of " + std::to_string(num_prompt) + " tokens";
  if (num_prompt >= limits.context_tokens) {
    return Error{ErrorCode::kTooLarge,
                 prompt + " exceeds context of " + std::to_string(limits.context_tokens) +
                     (num_prompt == limits.context_tokens ? " with the token to generate" : "")};
  }
  if (num_prompt > limits.cache_tokens) {
    return Error{ErrorCode::kTooLarge,
                 prompt + " exceeds KV cache of " + std::to_string(limits.cache_tokens)};
  }
  const std::size_t context_rest = limits.context_tokens - num_prompt;
  const std::size_t cache_rest = limits.cache_tokens - num_prompt + 1;
  if (!request.max_tokens) return std::min(context_rest, cache_rest);
  const std::size_t wanted = *request.max_tokens;
  const std::string both = prompt + " and " + std::to_string(wanted) + " to generate exceed ";
  if (wanted > context_rest) {
    return Error{ErrorCode::kTooLarge,
                 both + "context of " + std::to_string(limits.context_tokens)};
  }
  if (wanted > cache_rest) {
    return Error{ErrorCode::kTooLarge, both + "KV cache of " + std::to_string(limits.cache_tokens)};
  }
  return wanted;
}

// A pooled request counts as one that generates a single token, which it never feeds back.
Status check_pooled(const Request& request, const RequestLimits& limits) {
  if (limits.pooled_width == 0) {
    return Error{ErrorCode::kUnsupported, "this engine gives no pooled hidden states"};
  }
  if (request.max_tokens || request.min_tokens > 0 || !request.stop_ids.empty() ||
      request.constraint != nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 "a pooled request generates nothing, found max_tokens, min_tokens, stop_ids or a "
                 "constraint"};
  }
  const std::size_t num_prompt = request.prompt.size();
  const std::size_t num_tokens_max = std::min(limits.context_tokens, limits.cache_tokens);
  if (num_prompt <= num_tokens_max) return Ok{};
  return Error{ErrorCode::kTooLarge, "prompt of " + std::to_string(num_prompt) +
                                         " tokens exceeds context of " +
                                         std::to_string(num_tokens_max)};
}

Status check_prompt_logprobs(const Request& request, const RequestLimits& limits) {
  if (!request.prompt_logprobs) return Ok{};
  if (limits.pooled_width == 0 || request.pooling != Pooling::kNone) {
    return Error{ErrorCode::kUnsupported,
                 "this engine gives no log-probabilities of prompts for such a request"};
  }
  const std::size_t top_max = std::min(kTopLogprobsMax, limits.vocabulary);
  if (*request.prompt_logprobs <= top_max) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "prompt_logprobs is " +
                                                std::to_string(*request.prompt_logprobs) +
                                                ", expected at most " + std::to_string(top_max)};
}

Status check_adapter(const Request& request, const RequestLimits& limits) {
  if (request.adapter == nullptr || request.adapter->rank_max() <= limits.adapter_rank_max) {
    return Ok{};
  }
  return Error{ErrorCode::kUnsupported, "adapter of rank " +
                                            std::to_string(request.adapter->rank_max()) +
                                            ", this engine is planned for ranks of at most " +
                                            std::to_string(limits.adapter_rank_max)};
}

}  // namespace

Result<Request> checked_request(Request request, const RequestLimits& limits) {
  CHECK(limits.vocabulary > 0);
  CHECK(limits.cache_tokens > 0);
  if (request.service_class.index >= limits.num_classes) {
    return Error{ErrorCode::kInvalidArgument,
                 "service class is number " + std::to_string(request.service_class.index) +
                     ", there are " + std::to_string(limits.num_classes)};
  }
  if (request.prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "prompt has no tokens, expected at least 1"};
  }
  TRY(check_adapter(request, limits));
  request.salt.adapter = request.adapter == nullptr ? 0 : request.adapter->id();
  if (request.pooling != Pooling::kNone) {
    TRY(check_pooled(request, limits));
    request.max_tokens = 1;
  } else if (request.max_tokens == std::size_t{0}) {
    return Error{ErrorCode::kInvalidArgument, "max_tokens is 0, expected at least 1"};
  } else {
    request.max_tokens = TRY(generated_tokens_max(request, limits));
  }
  TRY(check_prompt_logprobs(request, limits));
  TRY(check_tokens("prompt", request.prompt, limits.vocabulary));
  if (request.stop_ids.size() > kStopIdsMax) {
    return Error{ErrorCode::kTooLarge, std::to_string(request.stop_ids.size()) +
                                           " stop tokens, at most " + std::to_string(kStopIdsMax) +
                                           " are allowed"};
  }
  TRY(check_tokens("stop_ids", request.stop_ids, limits.vocabulary));
  TRY(check_sampling(request.sampling, limits.vocabulary));
  return request;
}

}  // namespace millrace
