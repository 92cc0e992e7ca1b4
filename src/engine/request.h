// What was asked: immutable once the engine has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/token_id.h"
#include "engine/logit_constraint.h"
#include "engine/sampling_params.h"
#include "engine/service_class.h"
#include "memory/prefix_index.h"

namespace millrace {

class LoraAdapter;
// Shared by its store and every request that uses it, and never changed: whoever is last drops it.
using AdapterRef = std::shared_ptr<const LoraAdapter>;

// A request may ask for one vector instead of tokens: of its hidden states after the final norm.
enum class Pooling : std::uint8_t {
  kNone,  // tokens
  kMean,  // the mean over all positions
  kLast,  // that of the last token
};

struct Request {
  RequestId id;  // given by Engine::submit
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  // Tokens to generate at most; absent: as many as the context and the KV cache hold.
  std::optional<std::size_t> max_tokens;
  // No stop token can be drawn before so many tokens.
  std::size_t min_tokens = 0;
  // Tokens that end the sequence: the model's own ends of text and the client's. To ignore the
  // model's ends, leave them out.
  std::vector<TokenId> stop_ids;
  // Once this has passed the request ends as it is, before it costs more work.
  std::optional<TimePoint> deadline;
  // Whose share it is charged to; of SchedulerOptions::classes.
  ClassId service_class;
  // Its cached keys and values are shared with requests of the same salt only.
  PrefixSalt salt;
  // What the engine's StreamListener is told when there is news of this request; absent: nothing.
  std::optional<std::uint64_t> watch;
  // Tokens that may come, in its first state. Shared because it never changes: sequences fork it.
  std::shared_ptr<const LogitConstraint> constraint;
  // What is added to the model's weights; null: nothing. Of the same model.
  AdapterRef adapter;
  // Not kNone: nothing is generated, and the stream ends with a vector, not normalised. Leave
  // max_tokens, min_tokens, stop_ids and constraint out.
  Pooling pooling = Pooling::kNone;
  // How likely each token of the prompt was, and so many alternatives (0 to kTopLogprobsMax) to
  // each: nothing of the prompt comes from the cache then. See TokenStream::prompt_scores.
  std::optional<std::uint32_t> prompt_logprobs = std::nullopt;
};

// Choices of one request at most; OpenAI's limit.
inline constexpr std::size_t kChoicesMax = 128;

inline constexpr std::size_t kStopIdsMax = 256;

// What every request is held against, before it is queued.
struct RequestLimits {
  std::size_t vocabulary = 0;
  std::size_t context_tokens = 0;  // prompt and generated tokens together
  std::size_t cache_tokens = 0;    // slots of the whole KV cache
  std::size_t num_classes = 1;
  // Of vectors; 0: the runner gives none, nor the scores of prompts.
  std::size_t pooled_width = 0;
  std::size_t adapter_rank_max = 0;  // of adapters; 0: the runner takes none
};

// The request with max_tokens (1 for a pooled one) and the salt's adapter filled in;
// kInvalidArgument, kUnsupported or kTooLarge naming what was found and what is allowed. A request
// that passes can always run, alone if need be.
Result<Request> checked_request(Request request, const RequestLimits& limits);

// KV slots that the request fills at most. The last token is never computed.
inline std::size_t cache_tokens_max(const Request& request) {
  return request.prompt.size() + *request.max_tokens - 1;
}

}  // namespace millrace
